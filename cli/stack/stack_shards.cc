#include "cli/stack/stack_shards.h"

#include <cstdint>

#include "absl/numeric/int128.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "cli/output.h"

namespace saldo::cli {

std::string DatabaseName(size_t shard, size_t shards) {
  return shards == 1 ? "saldo" : absl::StrCat("saldo_s", shard + 1, "_of_", shards);
}

shards::ShardsConfig EqualShards(const std::vector<std::string>& dsns) {
  const absl::uint128 all = absl::MakeUint128(1, 0);
  const auto first = [&](size_t shard) { return all * shard / dsns.size(); };
  shards::ShardsConfig shards;
  for (size_t i = 0; i < dsns.size(); ++i) {
    shards.push_back(
        {.name = absl::StrCat("s", i + 1),
         .from = absl::StrFormat("%016x", absl::Uint128Low64(first(i))),
         .to = absl::StrFormat("%016x", absl::Uint128Low64(first(i + 1) - absl::uint128(1))),
         .dsn = dsns[i]});
  }
  return shards;
}

std::string ShardsYaml(const shards::ShardsConfig& shards) {
  std::string yaml = "# Written anew by each start of the stack.\nshards:\n";
  for (const shards::ShardConfig& shard : shards) {
    absl::StrAppend(&yaml, "  - name: ", shard.name, "\n    from: ", Quoted(shard.from),
                    "\n    to: ", Quoted(shard.to), "\n    dsn: ", Quoted(shard.dsn), "\n");
  }
  return yaml;
}

int ClientOn(const shards::ShardMap& map, size_t shard) {
  int client = 1;
  while (map.Of(absl::StrCat(client)) != shard) ++client;
  return client;
}

}  // namespace saldo::cli
