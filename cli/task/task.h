// `saldo task list|show|kinds|run`: what the servers do in the background, and having it done.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace saldo::cli {

absl::StatusOr<int> RunTask(const std::vector<std::string>& arguments);

}  // namespace saldo::cli
