// Whether what a shard holds belongs there: accounts, locks and states, by the hashes of their
// keys.
#pragma once

#include <cstddef>
#include <string_view>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "cli/verify/store.h"
#include "common/postgres/transaction.h"
#include "common/shards/shard_map.h"

namespace saldo::cli::verify {

// What has a key.
struct Placed {
  std::string_view name;  // of the check
  std::string_view unit;
  postgres::Statement types;
  postgres::Statement page;
};

absl::Span<const Placed> AllPlaced();

// In a transaction of TakeSnapshot. Reads all keys, page by page.
absl::StatusOr<Finding> CheckPlacement(postgres::Transaction& tx, const Placed& placed,
                                       const shards::ShardMap& map, size_t shard);

}  // namespace saldo::cli::verify
