// The shards as a part of a program's configuration.
//
//   binder.Section("postgres", [&](config::Binder& b) { postgres::Bind(b, c.postgres,
//   postgres::Dsn::kOptional); }); shards::Bind(binder, c.shards, c.postgres.connection.dsn);
//   ...
//   absl::StatusOr<shards::Databases> databases =
//       shards::Resolve(c.shards, c.postgres.connection.dsn);
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/config/binder.h"
#include "common/shards/shard_map.h"

namespace saldo::shards {

// An item of the key `shards`.
struct ShardConfig {
  std::string name;
  std::string from = "0";
  std::string to = "f";
  std::string dsn;
};

// None: one shard, whose database is postgres.dsn.
using ShardsConfig = std::vector<ShardConfig>;

inline constexpr size_t kShardsMax = 64;

struct Database {
  std::string name = {};  // of the shard
  std::string dsn = {};
};

// The shards, and where each is: the same numbering.
struct Databases {
  ShardMap map;
  std::vector<Database> list;

  size_t size() const { return list.size(); }
};

// Binds the key `shards`, and the rules between it and postgres.dsn, of which exactly one is given.
// `dsn` is bound as postgres.dsn, with postgres::Dsn::kOptional. `binder` is that
// of the whole configuration; all arguments outlive the load.
void Bind(config::Binder& binder, ShardsConfig& config, const std::string& dsn);

// INVALID_ARGUMENT when the ranges or names do not fit, or not exactly one of both is given.
absl::StatusOr<Databases> Resolve(const ShardsConfig& config, const std::string& dsn);

}  // namespace saldo::shards
