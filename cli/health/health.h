// `saldo health`: one question to a running program, for health checks of containers.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace saldo::cli {

// 0 when all that was asked are well, else 1.
absl::StatusOr<int> RunHealth(const std::vector<std::string>& arguments);

}  // namespace saldo::cli
