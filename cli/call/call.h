// `saldo call METHOD JSON`: one RPC with JSON in and out.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace saldo::cli {

absl::StatusOr<int> RunCall(const std::vector<std::string>& arguments);

}  // namespace saldo::cli
