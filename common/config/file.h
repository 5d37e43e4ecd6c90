// Small files, read whole. Internal to this folder.
#pragma once

#include <cstddef>
#include <string>

#include "absl/status/statusor.h"

namespace saldo::config::internal {

// Reads a file of at most `size_max` bytes; pipes do too. The message of an error is the reason
// alone, such as "No such file or directory".
absl::StatusOr<std::string> ReadFile(const std::string& path, size_t size_max);

}  // namespace saldo::config::internal
