// What a caller is told about a shard. Pure.
#pragma once

#include <string>

#include "absl/status/status.h"

namespace saldo::shards {

inline constexpr char kUnavailableReason[] = "SHARD_UNAVAILABLE";

// UNAVAILABLE with ErrorInfo {SHARD_UNAVAILABLE, metadata: shard} and RetryInfo.
absl::Status ShardUnavailable(const std::string& shard);

// An error of one shard of several. A database that is away becomes ShardUnavailable; another
// failure of the server gets the shard's name before its message and into its ErrorInfo, where it
// has one. What is wrong with the request itself stays as it is, for it names what it means.
absl::Status OfShard(const std::string& shard, const absl::Status& status);

}  // namespace saldo::shards
