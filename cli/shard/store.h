// The SQL of `saldo shard`.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/base/call_context.h"
#include "common/postgres/connection.h"

namespace saldo::cli::shard {

struct Figures {
  int64_t bytes = 0;  // of the database
  int64_t accounts = 0;
  bool accounts_estimated = false;  // from PostgreSQL's statistics, where there are very many
  int64_t last_seq = 0;
  // Batches that the relay and the aggregation have not come to; nothing where there is no cursor.
  std::optional<int64_t> relay_lag;
  std::optional<int64_t> aggregation_lag;
};

absl::StatusOr<Figures> ReadFigures(postgres::Connection& connection, const CallContext& context);

// What has a key that chooses the shard: a type of accounts, locks or states.
struct KeyedType {
  std::string kind;  // "account", "lock", "state"
  std::string name;
  std::vector<std::string> key;       // name and kind of each attribute: "client_id integer"
  std::vector<std::string> sharding;  // names, in the order of the key
};

// All that servers have written to the database, by kind and name.
absl::StatusOr<std::vector<KeyedType>> ReadTypes(postgres::Connection& connection,
                                                 const CallContext& context);

}  // namespace saldo::cli::shard
