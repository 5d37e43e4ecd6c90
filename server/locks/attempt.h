// One try to take a lock, within one transaction: what the database knows of it, the decision, and
// the grant or the place in the queue that comes of it.
#pragma once

#include <cstdint>
#include <optional>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/postgres/result.h"
#include "common/postgres/statement.h"
#include "common/postgres/transaction.h"
#include "server/locks/queue.h"
#include "server/locks/store.h"

namespace saldo::locks {

// LockStore::Acquire within `tx`. Waits for other changes of the lock, which are short, but never
// for a write that rests on a grant.
absl::StatusOr<std::variant<Granted, Queued>> TryAcquire(postgres::Transaction& tx,
                                                         const Claim& claim,
                                                         std::optional<int64_t> waiter,
                                                         absl::Duration wait);

// Tells on kChannel that who waits for the lock, LockName::Signal, should try again.
inline constexpr postgres::Statement kTell{"locks.tell", "SELECT pg_notify('saldo_locks', $1)"};

// Rows of token, owner, exclusive, acquired_at, expires_at.
absl::StatusOr<std::vector<Holder>> ReadHolders(postgres::Result result);

}  // namespace saldo::locks
