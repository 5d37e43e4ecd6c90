#include "server/locks/store.h"

#include <algorithm>
#include <set>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/base/strings.h"
#include "common/observability/trace.h"
#include "common/postgres/statement.h"
#include "common/postgres/transaction.h"
#include "common/rpc/errors.h"
#include "server/locks/attempt.h"

namespace saldo::locks {
namespace {

using postgres::Result;
using postgres::Statement;
using postgres::Transaction;

constexpr Statement kLockRow{
    "locks.lock_row", "SELECT released_token FROM locks WHERE type = $1 AND key = $2 FOR UPDATE"};
// The old end, the new one, and whether somebody waits who may have to count anew.
constexpr Statement kRenew{
    "locks.renew",
    "UPDATE lock_holders AS h SET expires_at = clock_timestamp() + $4 * interval '1 microsecond' "
    "FROM (SELECT expires_at FROM lock_holders WHERE type = $1 AND key = $2 AND token = $3) AS old "
    "WHERE h.type = $1 AND h.key = $2 AND h.token = $3 AND h.expires_at > clock_timestamp() "
    "RETURNING h.expires_at, h.expires_at < old.expires_at"};
// Unless a transaction rests on the grant: nobody waits for that.
constexpr Statement kRelease{
    "locks.release",
    "DELETE FROM lock_holders WHERE type = $1 AND key = $2 AND token = (SELECT token FROM "
    "lock_holders WHERE type = $1 AND key = $2 AND token = $3 FOR UPDATE SKIP LOCKED) "
    "RETURNING expires_at > clock_timestamp()"};
// For one that stays so: no write is checked by it any more, and the next grant finds it over, but
// takes its place only when nobody rests on it.
constexpr Statement kEnd{
    "locks.end",
    "UPDATE lock_holders SET expires_at = clock_timestamp() "
    "WHERE type = $1 AND key = $2 AND token = $3 AND expires_at > clock_timestamp()"};
constexpr Statement kAnyWaits{
    "locks.any_waits", "SELECT EXISTS (SELECT FROM lock_waiters WHERE type = $1 AND key = $2)"};
constexpr Statement kNoteRelease{"locks.note_release",
                                 "UPDATE locks SET released_token = $3, used_at = "
                                 "date_trunc('minute', clock_timestamp()) "
                                 "WHERE type = $1 AND key = $2"};

constexpr Statement kGet{
    "locks.get",
    "SELECT token, owner, exclusive, acquired_at, expires_at FROM lock_holders "
    "WHERE type = $1 AND key = $2 AND expires_at > clock_timestamp() ORDER BY token"};
constexpr Statement kCountWaiters{
    "locks.count_waiters",
    "SELECT count(*) FROM lock_waiters "
    "WHERE type = $1 AND key = $2 AND lease_until > clock_timestamp()"};
constexpr Statement kList{
    "locks.list",
    "SELECT key, token, owner, exclusive, acquired_at, expires_at FROM lock_holders "
    "WHERE type = $1 AND (key, token) > ($2, $3) AND expires_at > clock_timestamp() "
    "ORDER BY key, token LIMIT $4"};

constexpr Statement kRenewPlaces{
    "locks.renew_places",
    "UPDATE lock_waiters SET lease_until = "
    "least(clock_timestamp() + $2 * interval '1 microsecond', wait_until) "
    "WHERE waiter_id IN (SELECT waiter_id FROM lock_waiters WHERE waiter_id = ANY ($1) "
    "ORDER BY waiter_id FOR UPDATE)"};
// Whether somebody comes behind is not asked: he may be about to commit.
constexpr Statement kLeavePlaces{
    "locks.leave_places",
    "WITH gone AS (DELETE FROM lock_waiters WHERE waiter_id IN (SELECT waiter_id FROM lock_waiters "
    "WHERE waiter_id = ANY ($1) ORDER BY waiter_id FOR UPDATE) RETURNING type, key) "
    "SELECT pg_notify('saldo_locks', type || E'\\x1f' || key) "
    "FROM (SELECT DISTINCT type, key FROM gone) AS g"};

// Who uses one meanwhile sets used_at, at which the row lock looks again.
constexpr Statement kTakeIdle{
    "locks.take_idle",
    "SELECT type, key FROM locks AS l "
    "WHERE used_at <= clock_timestamp() - $1 * interval '1 microsecond' "
    "AND NOT EXISTS (SELECT FROM lock_holders AS h WHERE h.type = l.type AND h.key = l.key"
    " AND h.expires_at > clock_timestamp()) "
    "AND NOT EXISTS (SELECT FROM lock_waiters AS w WHERE w.type = l.type AND w.key = l.key"
    " AND w.lease_until > clock_timestamp()) "
    "ORDER BY used_at LIMIT $2 FOR UPDATE SKIP LOCKED"};
#define SALDO_LOCKS_THESE                                      \
  " USING unnest($1::text[], $2::text[]) AS idle (type, key) " \
  "WHERE t.type = idle.type COLLATE \"C\" AND t.key = idle.key COLLATE \"C\""
// One may have been renewed after the look at it began, but not since its lock's row is locked.
// Those that a transaction rests on are left to a later time.
constexpr Statement kRemoveHolders{
    "locks.remove_holders",
    "DELETE FROM lock_holders WHERE (type, key, token) IN (SELECT t.type, t.key, t.token "
    "FROM lock_holders AS t, unnest($1::text[], $2::text[]) AS idle (type, key) "
    "WHERE t.type = idle.type COLLATE \"C\" AND t.key = idle.key COLLATE \"C\" "
    "AND t.expires_at <= clock_timestamp() FOR UPDATE OF t SKIP LOCKED)"};
constexpr Statement kRemoveWaiters{"locks.remove_waiters",
                                   "DELETE FROM lock_waiters AS t" SALDO_LOCKS_THESE};
constexpr Statement kRemoveLocks{
    "locks.remove_locks", "DELETE FROM locks AS t" SALDO_LOCKS_THESE
                          " AND NOT EXISTS (SELECT FROM lock_holders AS h WHERE h.type = t.type "
                          "AND h.key = t.key)"};
#undef SALDO_LOCKS_THESE

// With this lock a grant can be renewed, but not deleted.
#define SALDO_LOCKS_WANTED                                                                   \
  "FROM unnest($1::text[], $2::text[], $3::int8[]) WITH ORDINALITY AS w (type, key, token, " \
  "ordinal) JOIN lock_holders AS h ON h.type = w.type COLLATE \"C\" "                        \
  "AND h.key = w.key COLLATE \"C\" AND h.token = w.token "
// Not of grants that are over: their locks are for others to take.
constexpr Statement kHoldGrants{"locks.hold_grants",
                                "SELECT w.ordinal::int4 " SALDO_LOCKS_WANTED
                                "WHERE h.expires_at > clock_timestamp() "
                                "ORDER BY h.type, h.key, h.token FOR KEY SHARE OF h"};
// After all of these are held, for that may have taken time.
constexpr Statement kReadGrants{"locks.read_grants", "SELECT w.ordinal::int4 " SALDO_LOCKS_WANTED
                                                     "WHERE h.expires_at > clock_timestamp()"};
#undef SALDO_LOCKS_WANTED

constexpr Statement kUsedTypes{
    "locks.used_types",
    "SELECT name FROM keyed_types AS t WHERE kind = 'lock' AND EXISTS (SELECT FROM lock_holders AS "
    "h WHERE h.type = t.name AND h.expires_at > clock_timestamp())"};

constexpr std::string_view kDomain = "saldo";

// A lock that others hold, or a grant that is over, is an answer.
void MarkFault(trace::Span& span, const absl::Status& status) {
  if (!absl::IsFailedPrecondition(status)) span.SetStatus(status);
}

}  // namespace

keys::KeyedTypeUse LockTypeUse() { return {keys::KeyedKind::kLock, "locks", kUsedTypes}; }

std::string LockName::Signal() const {
  return absl::StrCat(type->name, absl::string_view(&keys::kSeparator, 1), key);
}

absl::Status LockLost(const LockName& lock, int64_t token) {
  const std::string name = lock.Describe();
  return rpc::WithErrorInfo(
      absl::FailedPreconditionError(absl::StrCat("the grant ", token, " of ", name, " is over")),
      "LOCK_LOST", kDomain,
      {{"lock", name}, {"type", lock.type->name}, {"token", absl::StrCat(token)}});
}

absl::StatusOr<int> ReadGrants(Transaction& tx, const std::vector<std::string>& types,
                               const std::vector<std::string>& keys,
                               const std::vector<int64_t>& tokens) {
  SALDO_RETURN_IF_ERROR(tx.DeferParams(kHoldGrants, postgres::Params::Of(types, keys, tokens)));
  SALDO_RETURN_IF_ERROR(tx.DeferParams(kReadGrants, postgres::Params::Of(types, keys, tokens)));
  return 2;
}

absl::StatusOr<std::vector<size_t>> TakeGrants(absl::Span<Result> results, size_t count) {
  if (results.size() != 2) return absl::InternalError("the answers about grants are not two");
  SALDO_ASSIGN_OR_RETURN(const auto locked, std::move(results[0]).As<int32_t>());
  SALDO_ASSIGN_OR_RETURN(const auto live, std::move(results[1]).As<int32_t>());
  std::set<int32_t> ours;
  for (const auto& [ordinal] : locked) ours.insert(ordinal);
  std::vector<size_t> held;
  for (const auto& [ordinal] : live) {
    if (ordinal < 1 || static_cast<size_t>(ordinal) > count)
      return absl::InternalError("a grant has an ordinal that was not asked for");
    if (ours.contains(ordinal)) held.push_back(static_cast<size_t>(ordinal) - 1);
  }
  return held;
}

absl::StatusOr<std::variant<Granted, Queued>> LockStore::Acquire(const CallContext& context,
                                                                 const Claim& claim,
                                                                 std::optional<int64_t> waiter,
                                                                 absl::Duration wait) {
  trace::Span span("LockStore.Acquire");
  absl::StatusOr<std::variant<Granted, Queued>> outcome = absl::UnknownError("no try was made");
  const absl::Status status =
      pool_.Transact(context, {.name = "locks.acquire"}, [&](Transaction& tx) -> absl::Status {
        outcome = TryAcquire(tx, claim, waiter, wait);
        return outcome.status();
      });
  MarkFault(span, status);
  SALDO_RETURN_IF_ERROR(status);
  return outcome;
}

absl::StatusOr<absl::Time> LockStore::Renew(const CallContext& context, const LockName& lock,
                                            int64_t token, absl::Duration ttl) {
  trace::Span span("LockStore.Renew");
  absl::Time end;
  const std::string& type = lock.type->name;
  const absl::Status status =
      pool_.Transact(context, {.name = "locks.renew"}, [&](Transaction& tx) -> absl::Status {
        SALDO_RETURN_IF_ERROR(tx.Defer(kLockRow, type, lock.key));
        SALDO_ASSIGN_OR_RETURN(
            Result result, tx.Query(kRenew, type, lock.key, token, absl::ToInt64Microseconds(ttl)));
        SALDO_ASSIGN_OR_RETURN(const auto rows, (std::move(result).As<absl::Time, bool>()));
        if (rows.empty()) return LockLost(lock, token);
        const auto [new_end, sooner] = rows[0];
        end = new_end;
        return sooner ? tx.Defer(kTell, lock.Signal()) : absl::OkStatus();
      });
  MarkFault(span, status);
  SALDO_RETURN_IF_ERROR(status);
  return end;
}

absl::Status LockStore::Release(const CallContext& context, const LockName& lock, int64_t token) {
  trace::Span span("LockStore.Release");
  const std::string& type = lock.type->name;
  // Of the attempt that counts; a grant that was over is taken away all the same.
  absl::Status outcome;
  const absl::Status status =
      pool_.Transact(context, {.name = "locks.release"}, [&](Transaction& tx) -> absl::Status {
        outcome = absl::OkStatus();
        SALDO_RETURN_IF_ERROR(tx.Defer(kLockRow, type, lock.key));
        SALDO_RETURN_IF_ERROR(tx.Defer(kRelease, type, lock.key, token));
        SALDO_RETURN_IF_ERROR(tx.Defer(kEnd, type, lock.key, token));
        SALDO_RETURN_IF_ERROR(tx.Defer(kAnyWaits, type, lock.key));
        SALDO_ASSIGN_OR_RETURN(std::vector<Result> results, tx.Send());
        if (results.size() != 4) return absl::InternalError("a release has lost an answer");
        SALDO_ASSIGN_OR_RETURN(const auto locks,
                               std::move(results[0]).As<std::optional<int64_t>>());
        SALDO_ASSIGN_OR_RETURN(const auto deleted, std::move(results[1]).As<bool>());
        const bool ended = results[2].affected() > 0;
        SALDO_ASSIGN_OR_RETURN(const auto waits, std::move(results[3]).One<bool>());
        if (ended || (!deleted.empty() && std::get<0>(deleted[0]))) {
          SALDO_RETURN_IF_ERROR(tx.Defer(kNoteRelease, type, lock.key, token));
        } else if (locks.empty() || std::get<0>(locks[0]) != token) {
          outcome = LockLost(lock, token);
        }
        const bool tell = (ended || !deleted.empty()) && std::get<0>(waits);
        return tell ? tx.Defer(kTell, lock.Signal()) : absl::OkStatus();
      });
  span.SetStatus(status);
  SALDO_RETURN_IF_ERROR(status);
  return outcome;
}

absl::StatusOr<std::pair<std::vector<Holder>, int64_t>> LockStore::Get(const CallContext& context,
                                                                       const LockName& lock) {
  trace::Span span("LockStore.Get");
  SALDO_ASSIGN_OR_RETURN(Result holders, pool_.Read(context, kGet, lock.type->name, lock.key));
  SALDO_ASSIGN_OR_RETURN(Result count,
                         pool_.Read(context, kCountWaiters, lock.type->name, lock.key));
  SALDO_ASSIGN_OR_RETURN(const auto row, std::move(count).One<int64_t>());
  SALDO_ASSIGN_OR_RETURN(std::vector<Holder> list, ReadHolders(std::move(holders)));
  return std::pair(std::move(list), std::get<0>(row));
}

absl::StatusOr<std::vector<KeyedHolder>> LockStore::List(const CallContext& context,
                                                         std::string_view type,
                                                         std::string_view after_key,
                                                         int64_t after_token, int64_t limit) {
  trace::Span span("LockStore.List");
  SALDO_ASSIGN_OR_RETURN(Result result,
                         pool_.Read(context, kList, type, after_key, after_token, limit));
  SALDO_ASSIGN_OR_RETURN(
      const auto rows,
      (std::move(result).As<std::string, int64_t, std::string, bool, absl::Time, absl::Time>()));
  std::vector<KeyedHolder> holders;
  for (const auto& [key, token, owner, exclusive, acquired_at, expires_at] : rows)
    holders.push_back({key, {token, owner, exclusive, acquired_at, expires_at}});
  return holders;
}

absl::Status LockStore::RenewPlaces(const CallContext& context, absl::Span<const int64_t> waiters) {
  return pool_.Transact(context, {.name = "locks.renew_places"}, [&](Transaction& tx) {
    return tx.Defer(kRenewPlaces, waiters, absl::ToInt64Microseconds(kLease));
  });
}

absl::Status LockStore::LeavePlaces(const CallContext& context, absl::Span<const int64_t> waiters) {
  return pool_.Transact(context, {.name = "locks.leave_places"},
                        [&](Transaction& tx) { return tx.Defer(kLeavePlaces, waiters); });
}

absl::StatusOr<int64_t> LockStore::RemoveIdle(const CallContext& context, absl::Duration idle,
                                              int64_t limit) {
  int64_t removed = 0;
  const auto remove = [&](Transaction& tx) -> absl::Status {
    SALDO_ASSIGN_OR_RETURN(Result result,
                           tx.Query(kTakeIdle, absl::ToInt64Microseconds(idle), limit));
    SALDO_ASSIGN_OR_RETURN(const auto rows, (std::move(result).As<std::string, std::string>()));
    removed = 0;
    if (rows.empty()) return absl::OkStatus();
    std::vector<std::string> types, keys;
    for (const auto& [type, key] : rows) {
      types.push_back(type);
      keys.push_back(key);
    }
    SALDO_RETURN_IF_ERROR(tx.Defer(kRemoveHolders, types, keys));
    SALDO_RETURN_IF_ERROR(tx.Defer(kRemoveWaiters, types, keys));
    SALDO_RETURN_IF_ERROR(tx.Defer(kRemoveLocks, types, keys));
    SALDO_ASSIGN_OR_RETURN(const std::vector<Result> results, tx.Send());
    if (results.size() != 3) return absl::InternalError("a cleaning of locks has lost an answer");
    removed = results[2].affected();
    return absl::OkStatus();
  };
  SALDO_RETURN_IF_ERROR(pool_.Transact(context, {.name = "locks.remove_idle"}, remove));
  return removed;
}

}  // namespace saldo::locks
