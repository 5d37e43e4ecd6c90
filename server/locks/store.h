// The locks of one shard, in its database.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "common/base/call_context.h"
#include "common/postgres/pool.h"
#include "server/keys/keyed_type_store.h"
#include "server/keys/keyed_types.h"
#include "server/locks/queue.h"

namespace saldo::locks {

// For the registry of types: which types of locks are held now.
keys::KeyedTypeUse LockTypeUse();

// On which changes are told that somebody may wait for.
inline constexpr std::string_view kChannel = "saldo_locks";

// One lock of a shard.
struct LockName {
  // `types` keeps `type` alive.
  std::shared_ptr<const keys::KeyedTypes> types;
  const keys::KeyedType* type = nullptr;
  std::string key;  // encoded, see keys/attributes.h

  // "client_lock{client_id=17}", for people.
  std::string Describe() const { return type->Describe(key); }
  // What is told on kChannel.
  std::string Signal() const;
};

// What a caller wants of it.
struct Claim {
  LockName lock;
  std::string owner;
  bool exclusive = false;
  absl::Duration ttl;
};

struct Granted {
  int64_t token = 0;
  absl::Time expires_at;
  // Expired grants that it took the place of.
  int64_t expired = 0;
};

// A place in the queue.
struct Queued {
  int64_t waiter = 0;
  // When to try again at the latest.
  absl::Duration retry_in;
  // What the caller is told if the wait ends without a grant.
  absl::Status refusal;
};

// A holder beside its key, for lists.
struct KeyedHolder {
  std::string key;
  Holder holder;
};

class LockStore {
 public:
  // How long a place in the queue outlives the server that stands for it.
  static constexpr absl::Duration kLease = absl::Seconds(5);

  // `pool` outlives the store.
  explicit LockStore(postgres::Pool& pool) : pool_(pool) {}

  // Grants the lock if it can be had now, and no write rests on a grant that is over and that could
  // not be had beside this one: that counts as held, and is not waited for. Otherwise takes or
  // keeps a place in the queue, for `wait` from now on at most, or, where `wait` is zero, fails
  // with the refusal. `waiter` is the place that it has; when its lease has lapsed meanwhile, it
  // gets one at the end.
  absl::StatusOr<std::variant<Granted, Queued>> Acquire(const CallContext& context,
                                                        const Claim& claim,
                                                        std::optional<int64_t> waiter,
                                                        absl::Duration wait);
  // The new end. FAILED_PRECONDITION {LOCK_LOST}.
  absl::StatusOr<absl::Time> Renew(const CallContext& context, const LockName& lock, int64_t token,
                                   absl::Duration ttl);
  // The grant is over then, but writes that rest on it may still be under way.
  // FAILED_PRECONDITION {LOCK_LOST}.
  absl::Status Release(const CallContext& context, const LockName& lock, int64_t token);

  // Those that hold, by token, and how many wait.
  absl::StatusOr<std::pair<std::vector<Holder>, int64_t>> Get(const CallContext& context,
                                                              const LockName& lock);
  // Those of a type that hold, by key and token, behind these two.
  absl::StatusOr<std::vector<KeyedHolder>> List(const CallContext& context, std::string_view type,
                                                std::string_view after_key, int64_t after_token,
                                                int64_t limit);

  // Lets places in the queue live on.
  absl::Status RenewPlaces(const CallContext& context, absl::Span<const int64_t> waiters);
  // Gives them up, and lets those behind know.
  absl::Status LeavePlaces(const CallContext& context, absl::Span<const int64_t> waiters);

  // Removes up to `limit` locks that nobody has used for `idle`, and answers how many. Leaves those
  // that a write still rests on.
  absl::StatusOr<int64_t> RemoveIdle(const CallContext& context, absl::Duration idle,
                                     int64_t limit);

 private:
  postgres::Pool& pool_;
};

// For a transaction that rests on grants: leaves it to the first round trip to hold on to those
// that are there, and to see which of them have not expired. Answers how many statements that are.
// The lists are of one length and ordered by type, key and token.
absl::StatusOr<int> ReadGrants(postgres::Transaction& tx, const std::vector<std::string>& types,
                               const std::vector<std::string>& keys,
                               const std::vector<int64_t>& tokens);
// From the answers to these statements: the indexes, below `count`, of the grants that hold.
absl::StatusOr<std::vector<size_t>> TakeGrants(absl::Span<postgres::Result> results, size_t count);

// FAILED_PRECONDITION {LOCK_LOST}.
absl::Status LockLost(const LockName& lock, int64_t token);

}  // namespace saldo::locks
