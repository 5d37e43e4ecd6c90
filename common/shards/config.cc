#include "common/shards/config.h"

#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/status_macros.h"

namespace saldo::shards {

void Bind(config::Binder& binder, ShardsConfig& config, const std::string& dsn) {
  binder.List(
      "shards", &config, {.min = 0, .max = kShardsMax},
      [](config::Binder& item, ShardConfig& shard) {
        item.String("name", &shard.name, {.min = 1, .max = 32},
                    "Its name: a-z, 0-9, _ and -; a database keeps the name it was started with");
        item.String("from", &shard.from, {.min = 1, .max = 16},
                    "The first hash that it owns: the first digits of a SHA-1, filled up with 0");
        item.String("to", &shard.to, {.min = 1, .max = 16},
                    "The last hash that it owns: the first digits of a SHA-1, filled up with f");
        item.Secret("dsn", &shard.dsn, {.min = 1, .max = 4096},
                    "Where its database is, as postgres.dsn, which must then not be given");
      },
      "The databases that share the data; none means one, postgres.dsn. The first is the home of "
      "all that is not sharded");
  binder.Check([&config, &dsn] { return Resolve(config, dsn).status(); });
}

absl::StatusOr<Databases> Resolve(const ShardsConfig& config, const std::string& dsn) {
  if (config.empty()) {
    if (dsn.empty()) {
      return absl::InvalidArgumentError(
          "postgres.dsn: not given; set it in the file, with SALDO_POSTGRES_DSN or with "
          "--postgres.dsn, or list the databases in shards");
    }
    return Databases{.map = ShardMap(), .list = {{.name = kOnlyShard, .dsn = dsn}}};
  }
  if (!dsn.empty()) {
    return absl::InvalidArgumentError(
        "postgres.dsn: must not be given together with shards: each shard has its own dsn");
  }
  std::vector<ShardSpec> specs;
  Databases databases;
  std::set<std::string> seen;
  for (const ShardConfig& shard : config) {
    specs.push_back({.name = shard.name, .from = shard.from, .to = shard.to});
    if (!shard.dsn.empty() && !seen.insert(shard.dsn).second) {
      return absl::InvalidArgumentError(absl::StrFormat(
          "shards: \"%s\" has the dsn of a shard before it; each has a database of its own",
          shard.name));
    }
    databases.list.push_back({.name = shard.name, .dsn = shard.dsn});
  }
  absl::StatusOr<ShardMap> map = ShardMap::Make(specs);
  if (!map.ok()) {
    return absl::Status(map.status().code(), absl::StrCat("shards: ", map.status().message()));
  }
  databases.map = *std::move(map);
  return databases;
}

}  // namespace saldo::shards
