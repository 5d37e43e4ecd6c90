// `saldo shard`: how the shards are, and which one has what.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace saldo::cli {

// The exit code.
absl::StatusOr<int> RunShard(const std::vector<std::string>& arguments);

}  // namespace saldo::cli
