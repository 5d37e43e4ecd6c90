// `saldo verify`: whether all that is stored agrees with the events.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace saldo::cli {

// The exit code: 0 when all agrees, 1 when something differs, 2 when that could not be told. Errors
// are those of the arguments.
absl::StatusOr<int> RunVerify(const std::vector<std::string>& arguments);

}  // namespace saldo::cli
