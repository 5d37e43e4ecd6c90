#include "common/postgres/pool.h"

#include <algorithm>
#include <optional>

#include "absl/random/random.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/observability/log.h"
#include "common/postgres/error.h"
#include "common/runtime/stop_signal.h"
#include "common/runtime/thread_shard.h"

namespace saldo::postgres {
namespace {

constexpr absl::Duration kCancelCheck = absl::Milliseconds(20);
constexpr absl::Duration kRetryWaitMin = absl::Milliseconds(2);
constexpr absl::Duration kRetryWaitMax = absl::Milliseconds(200);
constexpr absl::Duration kResolveTimeout = absl::Seconds(5);

constexpr Statement kPing{"postgres.ping", "SELECT 1"};
// Waits before try number `attempt` (from 2 on), longer each time and at random, so that those who
// collided part.
void WaitBeforeRetry(int attempt, const CallContext& context) {
  thread_local absl::BitGen random;
  const absl::Duration longest =
      std::min(kRetryWaitMin * (1 << std::min(attempt, 8)), kRetryWaitMax);
  const absl::Duration wait =
      absl::Microseconds(absl::Uniform<int64_t>(random, 500, absl::ToInt64Microseconds(longest)));
  runtime::StopSignal().WaitFor(std::min(wait, context.remaining()));
}

// The label of a retry for want of an SQLSTATE.
constexpr const char* kConnectionLost = "connection_lost";

metrics::Counter& Retries(metrics::Registry& registry, const std::string& sqlstate) {
  return registry.AddCounter("saldo_postgres_transaction_retries_total",
                             "Transactions run again, by the SQLSTATE of the failure.",
                             {{"sqlstate", sqlstate}});
}

}  // namespace

Pool::Lease::~Lease() {
  if (pool_ != nullptr) pool_->Release(std::move(connection_));
}

Pool::Pool(PoolOptions options, metrics::Registry& registry)
    : options_(std::move(options)),
      statement_metrics_(registry),
      registry_(registry),
      wait_seconds_(registry.AddHistogram("saldo_postgres_pool_wait_seconds",
                                          "Wait for a free connection.", {{"pool", options_.name}},
                                          metrics::LatencyBuckets())),
      transaction_seconds_(
          registry.AddHistogram("saldo_postgres_transaction_seconds",
                                "Time of a transaction with all its tries and waits.",
                                {{"pool", options_.name}}, metrics::LatencyBuckets())),
      acquire_timeouts_(
          registry.AddCounter("saldo_postgres_pool_timeouts_total",
                              "Calls that got no connection within the pool's acquire_timeout.",
                              {{"pool", options_.name}})),
      connects_(registry.AddCounter("saldo_postgres_connects_total", "Connections opened.",
                                    {{"pool", options_.name}})),
      busy_gauge_(registry.AddGauge("saldo_postgres_pool_connections", "Connections by state.",
                                    {{"pool", options_.name}, {"state", "busy"}})),
      idle_gauge_(registry.AddGauge("saldo_postgres_pool_connections", "Connections by state.",
                                    {{"pool", options_.name}, {"state", "idle"}})) {
  registry
      .AddGauge("saldo_postgres_pool_connections_max", "The pool's bound.",
                {{"pool", options_.name}})
      .Set(options_.max_connections);
  // Those to expect are there before they happen, so that the first one is seen as a change.
  for (const char* sqlstate : {"40001", "40P01", kConnectionLost}) Retries(registry, sqlstate);
}

Pool::~Pool() { Close(); }

absl::Status Pool::WaitForSlot(const CallContext& context) {
  if (closed_) return absl::UnavailableError("the connection pool is closed");
  if (slots_used_ < options_.max_connections && waiters_.empty()) {
    ++slots_used_;
    return absl::OkStatus();
  }
  const absl::Time until = std::min(context.deadline(), absl::Now() + options_.acquire_timeout);
  Waiter waiter;
  waiters_.push_back(&waiter);
  while (!waiter.woken && absl::Now() < until && !context.cancelled()) {
    mutex_.AwaitWithDeadline(absl::Condition(&waiter.woken),
                             std::min(until, absl::Now() + kCancelCheck));
  }
  if (waiter.woken && closed_) {
    --slots_used_;
    return absl::UnavailableError("the connection pool is closed");
  }
  if (waiter.woken) return absl::OkStatus();
  waiters_.erase(std::find(waiters_.begin(), waiters_.end(), &waiter));
  SALDO_RETURN_IF_ERROR(context.Check());
  acquire_timeouts_.Increment();
  return absl::ResourceExhaustedError(absl::StrCat("no database connection was free within ",
                                                   absl::FormatDuration(options_.acquire_timeout)));
}

absl::StatusOr<Pool::Lease> Pool::Acquire(const CallContext& context) {
  const absl::Time start = absl::Now();
  if (options_.gate) SALDO_RETURN_IF_ERROR(options_.gate());
  std::vector<std::unique_ptr<Connection>> dead;  // closed outside the lock
  std::unique_ptr<Connection> connection;
  {
    absl::MutexLock lock(&mutex_);
    SALDO_RETURN_IF_ERROR(WaitForSlot(context));
    while (connection == nullptr && !idle_.empty()) {
      connection = std::move(idle_.back());
      idle_.pop_back();
      if (!connection->Usable()) dead.push_back(std::move(connection));
    }
    idle_gauge_.Set(static_cast<double>(idle_.size()));
    busy_gauge_.Set(slots_used_);
  }
  wait_seconds_.Observe(absl::ToDoubleSeconds(absl::Now() - start));
  if (connection == nullptr) {
    absl::StatusOr<std::unique_ptr<Connection>> opened =
        Connection::Open(options_.connection, context, &statement_metrics_);
    if (!opened.ok()) {
      absl::MutexLock lock(&mutex_);
      ReleaseSlot();
      return opened.status();
    }
    connects_.Increment();
    connection = *std::move(opened);
  }
  return Lease(this, std::move(connection));
}

void Pool::ReleaseSlot() {
  if (!waiters_.empty()) {  // the slot goes to the one who has waited longest
    waiters_.front()->woken = true;
    waiters_.pop_front();
  } else {
    --slots_used_;
  }
  busy_gauge_.Set(slots_used_);
}

void Pool::Release(std::unique_ptr<Connection> connection) {
  connection->DropQueue();
  const bool keep = connection->Usable() && !connection->in_transaction() &&
                    absl::Now() - connection->opened_at() < options_.max_lifetime;
  absl::MutexLock lock(&mutex_);
  if (keep && !closed_) idle_.push_back(std::move(connection));
  idle_gauge_.Set(static_cast<double>(idle_.size()));
  ReleaseSlot();
}

absl::Status Pool::Transact(const CallContext& context, const TransactionOptions& options,
                            absl::FunctionRef<absl::Status(Transaction&)> body) {
  const runtime::ScopedShard shard(options_.shard);
  const absl::Time start = absl::Now();
  absl::Status status;
  for (int attempt = 1;; ++attempt) {
    std::optional<TransactionIdentity> identity;
    {
      absl::StatusOr<Lease> lease = Acquire(context);
      status =
          lease.ok() ? RunTransaction(**lease, context, options, body, &identity) : lease.status();
    }
    if (IsCommitUnknown(status) && identity.has_value()) status = ResolveCommit(*identity, status);
    if (status.ok() || !IsRetryable(status) || attempt >= options.max_attempts ||
        !context.Check().ok())
      break;
    const std::string sqlstate = SqlState(status);
    Retries(registry_, sqlstate.empty() ? kConnectionLost : sqlstate).Increment();
    log::Debug("a transaction is tried again",
               {{"transaction", options.name}, {"attempt", attempt}, {"reason", status}});
    WaitBeforeRetry(attempt + 1, context);
  }
  transaction_seconds_.Observe(absl::ToDoubleSeconds(absl::Now() - start));
  return status;
}

// The time for this is not the call's: an answer matters more than its deadline.
absl::Status Pool::ResolveCommit(const TransactionIdentity& identity, const absl::Status& unknown) {
  const CallContext context = CallContext::WithTimeout(kResolveTimeout);
  for (int attempt = 2; context.Check().ok(); ++attempt) {
    absl::StatusOr<Lease> lease = Acquire(context);
    const absl::StatusOr<Fate> fate =
        lease.ok() ? FateOf(**lease, context, identity) : lease.status();
    if (fate.ok() && *fate != Fate::kRunning) {
      const bool committed = *fate == Fate::kCommitted, rolled_back = *fate == Fate::kRolledBack;
      log::Warning("the answer to a COMMIT was lost", {{"fate", committed     ? "committed"
                                                                : rolled_back ? "rolled back"
                                                                              : "unknown"}});
      if (committed) return absl::OkStatus();
      // Nothing of it remains, so it may run again.
      return rolled_back ? internal::ConnectionLost("before the transaction was committed")
                         : unknown;
    }
    WaitBeforeRetry(attempt,
                    context);  // the server is away, or has not noticed yet that its client is gone
  }
  return unknown;
}

absl::StatusOr<Result> Pool::ReadParams(const CallContext& context, const Statement& statement,
                                        const Params& params) {
  const runtime::ScopedShard shard(options_.shard);
  for (int attempt = 1;; ++attempt) {
    SALDO_ASSIGN_OR_RETURN(Lease lease, Acquire(context));
    absl::StatusOr<Result> result = lease->QueryParams(context, statement, params);
    if (result.ok() || !IsRetryable(result.status()) || attempt >= 2) return result;
  }
}

absl::Status Pool::Ping(const CallContext& context) { return Read(context, kPing).status(); }

void Pool::Close() {
  std::vector<std::unique_ptr<Connection>> closing;
  absl::MutexLock lock(&mutex_);
  closed_ = true;
  closing.swap(idle_);
  for (Waiter* waiter : waiters_) {
    waiter->woken = true;
    ++slots_used_;  // a woken waiter holds a slot, and gives it back when it sees that the pool is
                    // closed
  }
  waiters_.clear();
}

}  // namespace saldo::postgres
