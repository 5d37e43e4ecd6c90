// The shards of a development stack: equal ranges, one database each. Pure.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "common/shards/config.h"

namespace saldo::cli {

inline constexpr int kStackShardsMax = 4;

// "saldo" for the only one; else each count of shards has databases of its own, for the ranges of
// one do not fit another: "saldo_s1_of_2".
std::string DatabaseName(size_t shard, size_t shards);

// Equal ranges, named s1 to sN; the dsns are those of the same places.
shards::ShardsConfig EqualShards(const std::vector<std::string>& dsns);

// A configuration file with the key `shards`.
std::string ShardsYaml(const shards::ShardsConfig& shards);

// The least client id from 1 on whose accounts are on this shard.
int ClientOn(const shards::ShardMap& map, size_t shard);

}  // namespace saldo::cli
