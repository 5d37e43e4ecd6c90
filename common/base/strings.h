// Our interfaces speak std::string_view. Debian builds Abseil for C++14, where absl::string_view is
// a type of its own.
#pragma once

#include <string_view>

#include "absl/strings/string_view.h"

namespace saldo {

inline absl::string_view AsAbsl(std::string_view text) { return {text.data(), text.size()}; }

}  // namespace saldo
