// What is checked over all shards together. Each shard tells its facts from its own snapshot, all
// of which are taken before anything is checked; then they are compared, by pure code.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "cli/verify/format.h"
#include "common/postgres/transaction.h"

namespace saldo::cli::verify {

// Of the events of balanced requests.
struct AssetTotal {
  std::string asset;
  int64_t events;
  std::string total;  // credits - debits
};

struct ShardFacts {
  std::string shard;
  std::vector<AssetTotal> totals;  // by asset
};

// In a transaction of TakeSnapshot.
absl::StatusOr<ShardFacts> ReadFacts(postgres::Transaction& tx, const std::string& shard);

// The results of all checks over all shards.
std::vector<CheckResult> CheckOverAll(const std::vector<ShardFacts>& shards);

}  // namespace saldo::cli::verify
