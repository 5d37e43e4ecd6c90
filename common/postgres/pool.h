// A bounded pool of connections, and the way in which most code talks to PostgreSQL. Thread-safe.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/base/call_context.h"
#include "common/observability/metrics.h"
#include "common/postgres/connection.h"
#include "common/postgres/statement_metrics.h"
#include "common/postgres/transaction.h"

namespace saldo::postgres {

struct PoolOptions {
  // The label `pool` of its metrics.
  std::string name = "calls";
  // What lines of the log about its work name as their shard, when it is one of several.
  std::string shard = {};
  ConnectionOptions connection;
  // 1..1000. More than twice the server's cores seldom helps.
  int max_connections = 16;
  // How long a call may wait for a free connection.
  absl::Duration acquire_timeout = absl::Seconds(2);
  // A connection older than this is replaced when it comes back, so that load balancers and memory
  // of old plans get a change.
  absl::Duration max_lifetime = absl::Minutes(30);
  // Asked before each loan, when set: what is not OK is answered instead of a connection, so that
  // nobody waits for a server that is known to be away. Quick and thread-safe.
  std::function<absl::Status()> gate = nullptr;
};

class Pool {
 public:
  // Connects lazily. `registry` must outlive the pool.
  Pool(PoolOptions options, metrics::Registry& registry);
  ~Pool();

  // A connection on loan; goes back when destroyed.
  class Lease {
   public:
    Lease(Lease&& other) noexcept
        : pool_(std::exchange(other.pool_, nullptr)), connection_(std::move(other.connection_)) {}
    Lease& operator=(Lease&&) = delete;
    ~Lease();
    Connection& operator*() const { return *connection_; }
    Connection* operator->() const { return connection_.get(); }

   private:
    friend class Pool;
    Lease(Pool* pool, std::unique_ptr<Connection> connection)
        : pool_(pool), connection_(std::move(connection)) {}
    Pool* pool_;
    std::unique_ptr<Connection> connection_;
  };

  // First come, first served. RESOURCE_EXHAUSTED after acquire_timeout, UNAVAILABLE when the server
  // is away or the pool is closed.
  absl::StatusOr<Lease> Acquire(const CallContext& context);

  // Runs `body` in a transaction. Runs it again, after a short random wait, when the server asks
  // for that (IsRetryable). When the answer to COMMIT is lost, asks the server for the
  // transaction's fate; the status is IsCommitUnknown only when that fails too.
  absl::Status Transact(const CallContext& context, const TransactionOptions& options,
                        absl::FunctionRef<absl::Status(Transaction&)> body);

  // One reading statement outside a transaction; run again once when it met a connection that had
  // died while idle.
  template <typename... Args>
  absl::StatusOr<Result> Read(const CallContext& context, const Statement& statement,
                              const Args&... args) {
    return ReadParams(context, statement, Params::Of(args...));
  }
  absl::StatusOr<Result> ReadParams(const CallContext& context, const Statement& statement,
                                    const Params& params);

  // OK when a connection can be had and answers. For readiness.
  absl::Status Ping(const CallContext& context);

  // Refuses new work, ends waits for a connection, and closes what is idle. Idempotent.
  void Close();

  const PoolOptions& options() const { return options_; }

 private:
  struct Waiter {
    bool woken = false;  // holds a slot now, or the pool is closed
  };

  absl::Status WaitForSlot(const CallContext& context) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Release(std::unique_ptr<Connection> connection);
  void ReleaseSlot() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status ResolveCommit(const TransactionIdentity& identity, const absl::Status& unknown);

  const PoolOptions options_;
  StatementMetrics statement_metrics_;
  metrics::Registry& registry_;
  metrics::Histogram& wait_seconds_;
  metrics::Histogram& transaction_seconds_;
  metrics::Counter& acquire_timeouts_;
  metrics::Counter& connects_;
  metrics::Gauge& busy_gauge_;
  metrics::Gauge& idle_gauge_;

  absl::Mutex mutex_;
  std::vector<std::unique_ptr<Connection>> idle_
      ABSL_GUARDED_BY(mutex_);  // the last used at the back
  std::deque<Waiter*> waiters_ ABSL_GUARDED_BY(mutex_);
  int slots_used_ ABSL_GUARDED_BY(mutex_) = 0;  // leases, and waiters that were woken
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace saldo::postgres
