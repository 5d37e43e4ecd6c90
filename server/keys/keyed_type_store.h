// The types of locks and states as one database knows them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/base/call_context.h"
#include "common/postgres/pool.h"
#include "server/keys/keyed_types.h"

namespace saldo::keys {

// How to see which types of a kind something is stored under, so that a change which would break it
// is refused.
struct KeyedTypeUse {
  KeyedKind kind;
  // What is stored, in faults: "locks".
  std::string_view what;
  // No parameters; answers the names of those types.
  postgres::Statement used_names;
};

// Before anything else in a transaction that writes by the definition of a type: until its end, no
// definition of the database changes. (The ledger's writer has it in its own.) What the database
// says of a type is then asked in another statement, and given to CheckCurrent.
inline constexpr postgres::Statement kHoldTypes{"keyed_types.hold",
                                                "SELECT pg_advisory_xact_lock_shared(2003985777)"};
// (kind, name) -> redefinition, or no row.
inline constexpr postgres::Statement kReadRedefinition{
    "keyed_types.read_redefinition",
    "SELECT redefinition FROM keyed_types WHERE kind = $1 AND name = $2"};

// UNAVAILABLE, with RetryInfo, when the type is not any more what this server takes it for.
absl::Status CheckCurrent(const KeyedType& type, std::optional<int32_t> stored_redefinition);

class KeyedTypeStore {
 public:
  // `pool` outlives the store. A kind without a use counts as unused.
  KeyedTypeStore(postgres::Pool& pool, std::vector<KeyedTypeUse> uses)
      : pool_(pool), uses_(std::move(uses)) {}

  // Makes the database fit the configured types and answers them with their redefinitions. A type
  // that is gone and under which nothing is stored is left alone. FAILED_PRECONDITION with the
  // faults (faults.h), and nothing changed, when what is stored forbids a change. Servers that
  // start together do this one after the other.
  absl::StatusOr<std::vector<KeyedType>> Sync(const CallContext& context,
                                              const std::vector<KeyedType>& configured);

 private:
  postgres::Pool& pool_;
  const std::vector<KeyedTypeUse> uses_;
};

}  // namespace saldo::keys
