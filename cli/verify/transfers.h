// Transfers between wallets of two shards, as both tell them. A row is read in the snapshot of its
// own shard, and its counterpart in a later one: a payee is credited after its payer was debited,
// and a transfer ends after that, so whoever comes later must be there. While transfers go on, no
// moment shows both shards at once, and none is needed.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "cli/verify/store.h"
#include "common/postgres/connection.h"
#include "common/postgres/transaction.h"
#include "common/shards/shard_map.h"

namespace saldo::cli::verify {

// Asks a shard outside all snapshots.
using AskLater = absl::FunctionRef<absl::StatusOr<postgres::Result>(
    size_t shard, const postgres::Statement& statement, const std::vector<std::string>& ids)>;

// That every credit from another shard has its debit there, of the same wallets and amount, and one
// that was not given back.
absl::StatusOr<Finding> CheckCredits(absl::Span<postgres::Transaction* const> snapshots,
                                     const shards::ShardMap& map, AskLater later);

// That what was settled is credited, and what was refunded is refused, on the payee's shard.
absl::StatusOr<Finding> CheckEnds(absl::Span<postgres::Transaction* const> snapshots,
                                  const shards::ShardMap& map, AskLater later);

}  // namespace saldo::cli::verify
