#include "server/locks/attempt.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
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
    "clock_timestamp())) ON CONFLICT (type, key) DO UPDATE SET used_at = excluded.used_at "
    "RETURNING released_token"};
// Tokens of one lock grow, for they are taken under its row lock.
constexpr Statement kFacts{
    "locks.facts",
    "SELECT clock_timestamp(), nextval('lock_tokens'), "
    "(SELECT redefinition FROM keyed_types WHERE kind = 'lock' AND name = $1)"};
constexpr Statement kHolders{
    "locks.holders",
    "SELECT token, owner, exclusive, acquired_at, expires_at FROM lock_holders "
    "WHERE type = $1 AND key = $2 ORDER BY token"};
constexpr Statement kWaiters{"locks.waiters",
                             "SELECT waiter_id, exclusive, lease_until FROM lock_waiters "
                             "WHERE type = $1 AND key = $2 ORDER BY waiter_id"};

// Of these grants, those that no transaction rests on. From then on none does: they are over.
constexpr Statement kLockHolders{
    "locks.lock_holders",
    "SELECT token FROM lock_holders WHERE type = $1 AND key = $2 AND token = ANY ($3) "
    "FOR UPDATE SKIP LOCKED"};
constexpr Statement kDeleteHolders{
    "locks.delete_holders",
    "DELETE FROM lock_holders WHERE type = $1 AND key = $2 AND token = ANY ($3)"};
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

constexpr std::string_view kDomain = "saldo";
constexpr absl::Duration kFullRetry = absl::Seconds(1);
// For what should be over in a moment: who is ahead takes the free lock, or a write ends.
constexpr absl::Duration kSoon = absl::Milliseconds(100);

absl::StatusOr<std::vector<Waiter>> ReadWaiters(Result result) {
  SALDO_ASSIGN_OR_RETURN(const auto rows, (std::move(result).As<int64_t, bool, absl::Time>()));
  std::vector<Waiter> waiters;
  for (const auto& [id, exclusive, lease_until] : rows)
    waiters.push_back({id, exclusive, lease_until});
  return waiters;
}

// The holder may have lost the lock by `now`, and be in the way by a write only.
absl::Status Held(const Claim& claim, const Holder& holder, absl::Time now) {
  const std::string lock = claim.lock.Describe();
  const std::string mode = holder.exclusive ? "exclusive" : "shared";
  const std::string until =
      absl::FormatTime("%Y-%m-%dT%H:%M:%E*SZ", holder.expires_at, absl::UTCTimeZone());
  const bool over = holder.expires_at <= now;
  return rpc::WithErrorInfo(
      absl::FailedPreconditionError(absl::StrCat(
          lock, over ? " was held by " : " is held by ", holder.owner, ", ", mode, ", until ",
          until, over ? ", and a write that rests on this grant has not ended" : "")),
      "LOCK_HELD", kDomain,
      {{"lock", lock}, {"owner", holder.owner}, {"mode", mode}, {"expires_at", until}});
}

absl::Status Refusal(const Claim& claim, const Decision& decision, absl::Time now) {
  if (decision.holder.has_value()) return Held(claim, *decision.holder, now);
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
    SALDO_ASSIGN_OR_RETURN(const auto lock, std::move(results[1]).One<std::optional<int64_t>>());
    released_token_ = std::get<0>(lock);
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
    SALDO_ASSIGN_OR_RETURN(const std::vector<int64_t> gone, LockOver());
    if (const Holder* const left = LeftInTheWay(gone))
      return Queue({.outcome = Outcome::kHeld, .holder = *left, .lapses_at = now_ + kSoon});
    if (!gone.empty())
      SALDO_RETURN_IF_ERROR(tx_.Defer(kDeleteHolders, type_, claim_.lock.key, gone));
    SALDO_RETURN_IF_ERROR(ClearQueue(/*leave=*/true));
    const absl::Time end = now_ + claim_.ttl;
    SALDO_RETURN_IF_ERROR(tx_.Defer(kGrant, type_, claim_.lock.key, token_, claim_.owner,
                                    claim_.exclusive, now_, end));
    const auto expired = std::count_if(gone.begin(), gone.end(),
                                       [this](int64_t token) { return token != released_token_; });
    return Granted{token_, end, expired};
  }

  // The tokens of the grants that are over and that no write rests on.
  absl::StatusOr<std::vector<int64_t>> LockOver() {
    std::vector<int64_t> over;
    for (const Holder& holder : holders_) {
      if (holder.expires_at <= now_) over.push_back(holder.token);
    }
    if (over.empty()) return over;
    SALDO_ASSIGN_OR_RETURN(Result result, tx_.Query(kLockHolders, type_, claim_.lock.key, over));
    SALDO_ASSIGN_OR_RETURN(const auto rows, std::move(result).As<int64_t>());
    over.clear();
    for (const auto& [token] : rows) over.push_back(token);
    return over;
  }

  // A grant that is over, is not among those `gone`, and could not be had beside the new one.
  const Holder* LeftInTheWay(const std::vector<int64_t>& gone) const {
    for (const Holder& holder : holders_) {
      if (holder.expires_at > now_ || !Conflict(claim_.exclusive, holder.exclusive)) continue;
      if (std::find(gone.begin(), gone.end(), holder.token) == gone.end()) return &holder;
    }
    return nullptr;
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
    const absl::Status refusal = Refusal(claim_, decision, now_);
    if (wait_ <= absl::ZeroDuration() || decision.outcome == Outcome::kFull) return refusal;
    absl::Duration retry_in = decision.lapses_at - now_;
    if (decision.outcome == Outcome::kQueued) retry_in = std::min(retry_in, kSoon);
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
  std::optional<int64_t> released_token_;
  std::vector<Holder> holders_;
  std::vector<Waiter> waiters_;
};

}  // namespace

absl::StatusOr<std::variant<Granted, Queued>> TryAcquire(Transaction& tx, const Claim& claim,
                                                         std::optional<int64_t> waiter,
                                                         absl::Duration wait) {
  return Attempt(tx, claim, waiter, wait).Run();
}

absl::StatusOr<std::vector<Holder>> ReadHolders(Result result) {
  SALDO_ASSIGN_OR_RETURN(
      const auto rows,
      (std::move(result).As<int64_t, std::string, bool, absl::Time, absl::Time>()));
  std::vector<Holder> holders;
  for (const auto& [token, owner, exclusive, acquired_at, expires_at] : rows)
    holders.push_back({token, owner, exclusive, acquired_at, expires_at});
  return holders;
}

}  // namespace saldo::locks
