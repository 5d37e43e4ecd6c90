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

namespace saldo::locks {
namespace {

using postgres::Result;
using postgres::Statement;
using postgres::Transaction;
using Outcome = Decision::Outcome;

// Takes the lock's row lock, or makes the row. The index on used_at is touched once a minute only.
constexpr Statement kUse{
    "locks.use",
    "INSERT INTO locks (type, key, used_at) VALUES ($1, $2, date_trunc('minute', "
    "clock_timestamp())) ON CONFLICT (type, key) DO UPDATE SET used_at = excluded.used_at"};
// Tokens of one lock grow, for they are taken under its row lock.
constexpr Statement kFacts{
    "locks.facts",
    "SELECT clock_timestamp(), nextval('lock_tokens'), "
    "(SELECT redefinition FROM keyed_types WHERE kind = 'lock' AND name = $1)"};
constexpr Statement kNow{"locks.now", "SELECT clock_timestamp()"};
constexpr Statement kHolders{
    "locks.holders",
    "SELECT token, owner, exclusive, acquired_at, expires_at FROM lock_holders "
    "WHERE type = $1 AND key = $2 ORDER BY token"};
constexpr Statement kWaiters{"locks.waiters",
                             "SELECT waiter_id, exclusive, lease_until FROM lock_waiters "
                             "WHERE type = $1 AND key = $2 ORDER BY waiter_id"};

// Waits for whoever relies on one of these grants. In the order of tokens, as they lock them.
constexpr Statement kDeleteHolders{
    "locks.delete_holders",
    "DELETE FROM lock_holders WHERE type = $1 AND key = $2 AND token IN (SELECT token FROM "
    "lock_holders WHERE type = $1 AND key = $2 AND token = ANY ($3) ORDER BY token FOR UPDATE)"};
constexpr Statement kDeleteWaiters{"locks.delete_waiters",
                                   "DELETE FROM lock_waiters WHERE waiter_id = ANY ($1)"};
constexpr Statement kGrant{
    "locks.grant",
    "INSERT INTO lock_holders (type, key, token, owner, exclusive, acquired_at, expires_at) "
    "VALUES ($1, $2, $3, $4, $5, $6, $7)"};
constexpr Statement kProlong{
    "locks.prolong",
    "UPDATE lock_holders SET expires_at = $4 WHERE type = $1 AND key = $2 AND token = $3"};
constexpr Statement kQueue{
    "locks.queue",
    "INSERT INTO lock_waiters (type, key, waiter_id, owner, exclusive, lease_until, wait_until) "
    "VALUES ($1, $2, nextval('lock_waiter_ids'), $3, $4, least($5::timestamptz, $6), $6) "
    "RETURNING waiter_id"};
constexpr Statement kTell{"locks.tell", "SELECT pg_notify('saldo_locks', $1)"};

constexpr Statement kLockRow{
    "locks.lock_row", "SELECT released_token FROM locks WHERE type = $1 AND key = $2 FOR UPDATE"};
// The old end, the new one, and whether somebody waits who may have to count anew.
constexpr Statement kRenew{
    "locks.renew",
    "UPDATE lock_holders AS h SET expires_at = clock_timestamp() + $4 * interval '1 microsecond' "
    "FROM (SELECT expires_at FROM lock_holders WHERE type = $1 AND key = $2 AND token = $3) AS old "
    "WHERE h.type = $1 AND h.key = $2 AND h.token = $3 AND h.expires_at > clock_timestamp() "
    "RETURNING h.expires_at, h.expires_at < old.expires_at"};
constexpr Statement kRelease{"locks.release",
                             "DELETE FROM lock_holders WHERE type = $1 AND key = $2 AND token = $3 "
                             "RETURNING expires_at > clock_timestamp()"};
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
constexpr Statement kRemoveHolders{"locks.remove_holders",
                                   "DELETE FROM lock_holders AS t" SALDO_LOCKS_THESE
                                   " AND t.expires_at <= clock_timestamp()"};
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
constexpr absl::Duration kFullRetry = absl::Seconds(1);
// The lock is free, and who is ahead should have it in a moment.
constexpr absl::Duration kQueuedRetry = absl::Milliseconds(100);

absl::StatusOr<std::vector<Holder>> ReadHolders(Result result) {
  SALDO_ASSIGN_OR_RETURN(
      const auto rows,
      (std::move(result).As<int64_t, std::string, bool, absl::Time, absl::Time>()));
  std::vector<Holder> holders;
  for (const auto& [token, owner, exclusive, acquired_at, expires_at] : rows)
    holders.push_back({token, owner, exclusive, acquired_at, expires_at});
  return holders;
}

absl::StatusOr<std::vector<Waiter>> ReadWaiters(Result result) {
  SALDO_ASSIGN_OR_RETURN(const auto rows, (std::move(result).As<int64_t, bool, absl::Time>()));
  std::vector<Waiter> waiters;
  for (const auto& [id, exclusive, lease_until] : rows)
    waiters.push_back({id, exclusive, lease_until});
  return waiters;
}

absl::Status Held(const Claim& claim, const Holder& holder) {
  const std::string lock = claim.lock.Describe();
  const std::string mode = holder.exclusive ? "exclusive" : "shared";
  const std::string until =
      absl::FormatTime("%Y-%m-%dT%H:%M:%E*SZ", holder.expires_at, absl::UTCTimeZone());
  return rpc::WithErrorInfo(
      absl::FailedPreconditionError(
          absl::StrCat(lock, " is held by ", holder.owner, ", ", mode, ", until ", until)),
      "LOCK_HELD", kDomain,
      {{"lock", lock}, {"owner", holder.owner}, {"mode", mode}, {"expires_at", until}});
}

absl::Status Refusal(const Claim& claim, const Decision& decision) {
  if (decision.holder.has_value()) return Held(claim, *decision.holder);
  const std::string lock = claim.lock.Describe();
  if (decision.outcome == Outcome::kQueued) {
    return rpc::WithErrorInfo(
        absl::FailedPreconditionError(
            absl::StrCat(lock, " is free, but ", decision.ahead, " came first and wait for it")),
        "LOCK_QUEUED", kDomain, {{"lock", lock}, {"waiting", absl::StrCat(decision.ahead)}});
  }
  return rpc::WithRetryInfo(
      absl::ResourceExhaustedError(absl::StrCat(lock, " has ", kHoldersMax, " shared holders")),
      kFullRetry);
}

// One try to take a lock, within one transaction.
class Attempt {
 public:
  Attempt(Transaction& tx, const Claim& claim, std::optional<int64_t> waiter, absl::Duration wait)
      : tx_(tx), claim_(claim), type_(claim.lock.type->name), wait_(wait), waiter_(waiter) {}

  absl::StatusOr<std::variant<Granted, Queued>> Run() {
    SALDO_RETURN_IF_ERROR(Read());
    const Decision decision =
        Decide(now_, holders_, waiters_,
               {.owner = claim_.owner, .exclusive = claim_.exclusive, .waiter = waiter_});
    if (decision.outcome == Outcome::kHasIt) return HaveAgain(decision.token);
    if (decision.outcome == Outcome::kGrant) return Grant();
    return Queue(decision);
  }

 private:
  absl::Status Read() {
    SALDO_RETURN_IF_ERROR(tx_.Defer(keys::kHoldTypes));
    SALDO_RETURN_IF_ERROR(tx_.Defer(kUse, type_, claim_.lock.key));
    SALDO_RETURN_IF_ERROR(tx_.Defer(kFacts, type_));
    SALDO_RETURN_IF_ERROR(tx_.Defer(kHolders, type_, claim_.lock.key));
    SALDO_RETURN_IF_ERROR(tx_.Defer(kWaiters, type_, claim_.lock.key));
    SALDO_ASSIGN_OR_RETURN(std::vector<Result> results, tx_.Send());
    if (results.size() != 5) return absl::InternalError("a try to take a lock has lost an answer");
    SALDO_ASSIGN_OR_RETURN(
        const auto facts,
        (std::move(results[2]).One<absl::Time, int64_t, std::optional<int32_t>>()));
    now_ = std::get<0>(facts);
    token_ = std::get<1>(facts);
    SALDO_RETURN_IF_ERROR(keys::CheckCurrent(*claim_.lock.type, std::get<2>(facts)));
    SALDO_ASSIGN_OR_RETURN(holders_, ReadHolders(std::move(results[3])));
    SALDO_ASSIGN_OR_RETURN(waiters_, ReadWaiters(std::move(results[4])));
    const bool has_place =
        std::any_of(waiters_.begin(), waiters_.end(),
                    [this](const Waiter& waiter) { return waiter.id == waiter_; });
    if (!has_place) waiter_.reset();
    return absl::OkStatus();
  }

  absl::StatusOr<std::variant<Granted, Queued>> Grant() {
    std::vector<int64_t> expired;
    for (const Holder& holder : holders_) {
      if (holder.expires_at <= now_) expired.push_back(holder.token);
    }
    if (!expired.empty()) {
      // This may take as long as the transactions that still rely on these grants.
      SALDO_RETURN_IF_ERROR(tx_.Defer(kDeleteHolders, type_, claim_.lock.key, expired));
      SALDO_ASSIGN_OR_RETURN(Result result, tx_.Query(kNow));
      SALDO_ASSIGN_OR_RETURN(const auto row, std::move(result).One<absl::Time>());
      now_ = std::max(now_, std::get<0>(row));
    }
    SALDO_RETURN_IF_ERROR(ClearQueue(/*leave=*/true));
    const absl::Time end = now_ + claim_.ttl;
    SALDO_RETURN_IF_ERROR(tx_.Defer(kGrant, type_, claim_.lock.key, token_, claim_.owner,
                                    claim_.exclusive, now_, end));
    return Granted{token_, end, static_cast<int64_t>(expired.size())};
  }

  absl::StatusOr<std::variant<Granted, Queued>> HaveAgain(int64_t token) {
    SALDO_RETURN_IF_ERROR(ClearQueue(/*leave=*/true));
    const absl::Time end = now_ + claim_.ttl;
    SALDO_RETURN_IF_ERROR(tx_.Defer(kProlong, type_, claim_.lock.key, token, end));
    // It may end sooner than those who wait were told.
    if (!waiters_.empty()) SALDO_RETURN_IF_ERROR(tx_.Defer(kTell, claim_.lock.Signal()));
    return Granted{token, end, 0};
  }

  absl::StatusOr<std::variant<Granted, Queued>> Queue(const Decision& decision) {
    const absl::Status refusal = Refusal(claim_, decision);
    if (wait_ <= absl::ZeroDuration() || decision.outcome == Outcome::kFull) return refusal;
    absl::Duration retry_in = decision.lapses_at - now_;
    if (decision.outcome == Outcome::kQueued) retry_in = std::min(retry_in, kQueuedRetry);
    SALDO_RETURN_IF_ERROR(ClearQueue(/*leave=*/false));
    if (waiter_.has_value()) return Queued{*waiter_, retry_in, refusal};
    const auto alive =
        std::count_if(waiters_.begin(), waiters_.end(),
                      [this](const Waiter& waiter) { return waiter.lease_until > now_; });
    if (static_cast<size_t>(alive) >= kWaitersMax) {
      return rpc::WithRetryInfo(absl::ResourceExhaustedError(absl::StrCat(kWaitersMax, " wait for ",
                                                                          claim_.lock.Describe())),
                                kFullRetry);
    }
    SALDO_ASSIGN_OR_RETURN(Result result,
                           tx_.Query(kQueue, type_, claim_.lock.key, claim_.owner, claim_.exclusive,
                                     now_ + LockStore::kLease, now_ + wait_));
    SALDO_ASSIGN_OR_RETURN(const auto row, std::move(result).One<int64_t>());
    return Queued{std::get<0>(row), retry_in, refusal};
  }

  // Takes those away whose lease has passed, and, if it is to `leave`, itself.
  absl::Status ClearQueue(bool leave) {
    std::vector<int64_t> gone;
    for (const Waiter& waiter : waiters_) {
      const bool own = waiter.id == waiter_;
      if (own ? leave : waiter.lease_until <= now_) gone.push_back(waiter.id);
    }
    return gone.empty() ? absl::OkStatus() : tx_.Defer(kDeleteWaiters, gone);
  }

  Transaction& tx_;
  const Claim& claim_;
  const std::string& type_;
  const absl::Duration wait_;
  std::optional<int64_t> waiter_;
  absl::Time now_;
  int64_t token_ = 0;
  std::vector<Holder> holders_;
  std::vector<Waiter> waiters_;
};

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
        outcome = Attempt(tx, claim, waiter, wait).Run();
        return outcome.status();
      });
  span.SetStatus(status);
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
  span.SetStatus(status);
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
        SALDO_RETURN_IF_ERROR(tx.Defer(kAnyWaits, type, lock.key));
        SALDO_ASSIGN_OR_RETURN(std::vector<Result> results, tx.Send());
        if (results.size() != 3) return absl::InternalError("a release has lost an answer");
        SALDO_ASSIGN_OR_RETURN(const auto locks,
                               std::move(results[0]).As<std::optional<int64_t>>());
        SALDO_ASSIGN_OR_RETURN(const auto released, std::move(results[1]).As<bool>());
        SALDO_ASSIGN_OR_RETURN(const auto waits, std::move(results[2]).One<bool>());
        if (released.empty()) {
          const bool repeated = !locks.empty() && std::get<0>(locks[0]) == token;
          if (!repeated) outcome = LockLost(lock, token);
          return absl::OkStatus();
        }
        if (!std::get<0>(released[0])) outcome = LockLost(lock, token);
        if (outcome.ok()) SALDO_RETURN_IF_ERROR(tx.Defer(kNoteRelease, type, lock.key, token));
        return std::get<0>(waits) ? tx.Defer(kTell, lock.Signal()) : absl::OkStatus();
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
    removed = rows.size();
    if (rows.empty()) return absl::OkStatus();
    std::vector<std::string> types, keys;
    for (const auto& [type, key] : rows) {
      types.push_back(type);
      keys.push_back(key);
    }
    SALDO_RETURN_IF_ERROR(tx.Defer(kRemoveHolders, types, keys));
    SALDO_RETURN_IF_ERROR(tx.Defer(kRemoveWaiters, types, keys));
    return tx.Defer(kRemoveLocks, types, keys);
  };
  SALDO_RETURN_IF_ERROR(pool_.Transact(context, {.name = "locks.remove_idle"}, remove));
  return removed;
}

}  // namespace saldo::locks
