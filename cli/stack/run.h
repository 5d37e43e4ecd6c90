// `saldo stack run`: from its arguments to its exit code.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace saldo::cli {

absl::StatusOr<int> RunStackRun(const std::vector<std::string>& arguments);

}  // namespace saldo::cli
