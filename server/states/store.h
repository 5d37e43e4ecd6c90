// The SQL of states.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "common/base/call_context.h"
#include "common/postgres/pool.h"
#include "common/postgres/transaction.h"
#include "server/keys/keyed_type_store.h"

namespace saldo::states {

// How to see which types have states.
extern const keys::KeyedTypeUse kStateUse;

struct State {
  std::string document;
  int64_t version;
  absl::Time updated_at;
};
// Nothing when it is not there.
absl::StatusOr<std::optional<State>> ReadState(postgres::Pool& pool, const CallContext& context,
                                               std::string_view type, std::string_view key);

// By type and encoded key, in the order in which rows are locked.
using Name = std::pair<std::string_view, std::string_view>;

// What a batch starts from. Rows are locked until its transaction ends, and so is the making of
// states that are not there.
struct Before {
  std::map<Name, int64_t> versions;                         // of those that are there
  absl::flat_hash_map<std::string, int32_t> redefinitions;  // of state types
};
// Leaves the locks and reads to the next round trip, and answers how many statements they are.
// `puts` are those of `names` that may have to be made; both are in order.
absl::StatusOr<int> LockStates(postgres::Transaction& tx, const std::vector<Name>& names,
                               const std::vector<Name>& puts);
// Their answers. The names point into `names`. ABORTED when one of `puts` has gone in between: the
// batch has to be tried again.
absl::StatusOr<Before> TakeLocked(absl::Span<postgres::Result> results,
                                  const std::vector<Name>& names, const std::vector<Name>& puts);

// The rows of one batch, column by column. What they point to outlives the call.
struct Rows {
  struct Documents {
    std::vector<std::string_view> types, keys, documents;
  } made, replaced;
  struct {
    std::vector<std::string_view> types, keys;
  } removed;
};
// Leaves them to the transaction's last round trip.
absl::Status Write(postgres::Transaction& tx, int64_t version, const Rows& rows);

}  // namespace saldo::states
