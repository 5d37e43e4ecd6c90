// One connection to PostgreSQL, always in pipeline mode: statements are queued, sent together, and
// answered in order. Not thread-safe. Every wait ends with the call's deadline or cancellation.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/base/call_context.h"
#include "common/postgres/params.h"
#include "common/postgres/result.h"
#include "common/postgres/statement.h"

struct pg_conn;

namespace saldo::postgres {

class StatementMetrics;

struct ConnectionOptions {
  // libpq keywords or URI. Everything about host, TLS and user is said here.
  std::string dsn;
  // Shown in pg_stat_activity.
  std::string application_name = "saldo";
  absl::Duration connect_timeout = absl::Seconds(5);
  // The longest any statement may run on the server, whatever the caller's deadline.
  absl::Duration statement_timeout = absl::Seconds(30);
  // How long an open transaction may wait for its client before the server ends it: frees the row
  // locks of a hung process.
  absl::Duration idle_in_transaction_timeout = absl::Seconds(60);
  // For sessions whose statements are few, short and walk along indexes: they are planned once, for
  // any parameters, and only so. The planner, which knows nothing of a table that was just filled,
  // would now and then read all of it.
  bool index_plans_only = false;
  // Whether the server is asked to end a statement whose caller does not wait any more. Without it
  // the connection is given up at once: for those whose statements are short anyway.
  bool cancels = true;
};

class Connection {
 public:
  // The most statements that may be queued for one round trip; bounds the memory of both sides.
  static constexpr size_t kPipelineDepth = 512;

  // `metrics` may be null and otherwise must outlive the connection. UNAVAILABLE when the server
  // cannot be reached.
  static absl::StatusOr<std::unique_ptr<Connection>> Open(const ConnectionOptions& options,
                                                          const CallContext& context,
                                                          StatementMetrics* metrics = nullptr);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // Queues a statement for the next Flush. RESOURCE_EXHAUSTED beyond kPipelineDepth,
  // INVALID_ARGUMENT for what libpq cannot send.
  absl::Status Queue(const Statement& statement, const Params& params);

  // Sends what is queued in one round trip and returns its answers in order, or the first error.
  // Statements outside an explicit transaction form one of their own, so after an error none of
  // them has had an effect. When the deadline passes or the call is cancelled, the server is asked
  // to cancel, which takes up to two seconds where it hangs, and what it then answers counts: a
  // COMMIT that still succeeded is a success.
  absl::StatusOr<std::vector<Result>> Flush(const CallContext& context);

  // Queue and Flush of one statement.
  template <typename... Args>
  absl::StatusOr<Result> Query(const CallContext& context, const Statement& statement,
                               const Args&... args) {
    return QueryParams(context, statement, Params::Of(args...));
  }
  absl::StatusOr<Result> QueryParams(const CallContext& context, const Statement& statement,
                                     const Params& params);

  // Runs a script of several statements as one transaction, unless it says otherwise itself. For
  // migrations.
  absl::Status ExecuteScript(const CallContext& context, const std::string& sql);

  // Waits up to `timeout` for a NOTIFY on a channel that this connection listens to. False when
  // none came. Adds what those that came say to `payloads`, unless that is null.
  absl::StatusOr<bool> WaitForNotification(absl::Duration timeout,
                                           std::vector<std::string>* payloads = nullptr);

  // False once the connection is lost; it then only answers UNAVAILABLE. Sees a server that has
  // gone away while idle.
  bool Usable();

  // Whether a transaction block is open on the server.
  bool in_transaction() const;
  size_t queued() const { return outgoing_.size(); }
  absl::Time opened_at() const { return opened_at_; }
  // Differs after the server has crashed or lost its statistics, and is the same otherwise. A
  // connection sees one only.
  absl::Time server_incarnation() const { return server_incarnation_; }
  // The process of the session at the server.
  int32_t backend_pid() const { return backend_pid_; }

  // Drops what is queued and not yet sent.
  void DropQueue() { outgoing_.clear(); }

 private:
  struct Outgoing {
    Statement statement;
    Params params;
  };
  // What the server still owes an answer to, in order.
  struct Pending {
    enum class Kind { kPrepare, kExecute, kInternal, kSync };
    Kind kind;
    Statement statement;
  };
  struct Flight;  // what one Flush collects

  Connection(pg_conn* connection, const ConnectionOptions& options, StatementMetrics* metrics);

  // A connection of its own to the very server that `beside`, unless null, is connected to.
  static absl::StatusOr<std::unique_ptr<Connection>> OpenAt(const ConnectionOptions& options,
                                                            const Connection* beside,
                                                            const CallContext& context,
                                                            StatementMetrics* metrics);
  absl::Status FinishConnect(const CallContext& context);
  absl::Status ReadIdentity(const CallContext& context);
  absl::Status SendTimeoutFor(const CallContext& context);
  absl::Status Send(const Outgoing& outgoing, Pending::Kind kind);
  absl::Status SendSync();
  absl::Status Collect(const CallContext& context, Flight* flight);
  absl::Status TakeResult(pg_result* raw, Flight* flight);
  void Observe(const Statement& statement, Flight* flight, const absl::Status& status);
  // One poll of the socket, bounded by the context and by a slice that lets a cancellation be seen.
  absl::Status WaitForSocket(bool for_write, absl::Time until);
  // Whether the server has answered, so that no cancel is on its way any more.
  bool RequestCancel();
  absl::Status Lost(std::string_view reason = "");

  pg_conn* const connection_;
  const ConnectionOptions options_;
  StatementMetrics* const metrics_;
  const absl::Time opened_at_;
  absl::Time server_incarnation_;
  int32_t backend_pid_ = 0;
  absl::Time backend_start_;

  std::vector<Outgoing> outgoing_;
  std::deque<Pending> pending_;
  absl::flat_hash_set<std::string_view>
      prepared_;  // names that the server knows, or will when it has read what is sent
  absl::Duration session_timeout_;  // statement_timeout as the session has it
  bool lost_ = false;
};

}  // namespace saldo::postgres
