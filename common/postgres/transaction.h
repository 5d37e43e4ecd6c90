// Transactions as closures. A closure may run more than once, so it keeps no state outside the
// transaction.
//
//   absl::Status status = pool.Transact(context, {.name = "packages.create"},
//   [&](postgres::Transaction& tx) -> absl::Status {
//     SALDO_ASSIGN_OR_RETURN(postgres::Result result, tx.Query(kInsertPackage, title, material));
//     ...
//     return tx.Defer(kAppendOutbox, key, payload);
//   });
//
// BEGIN travels with the first statement and COMMIT with the last deferred ones: this transaction
// takes two round trips.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/base/call_context.h"
#include "common/postgres/connection.h"

namespace saldo::postgres {

enum class Isolation { kReadCommitted, kRepeatableRead };

struct TransactionOptions {
  // For metrics: "<slice>.<verb>"; a constant.
  std::string_view name;
  Isolation isolation = Isolation::kReadCommitted;
  bool read_only = false;
  // COMMIT returns before its WAL is on disk: a crash of the server may lose the transaction,
  // whole, together with all later ones.
  bool asynchronous_commit = false;
  // How often the closure may run when the server asks for another try (see IsRetryable).
  int max_attempts = 5;
};

// By what the server knows a transaction after its connection is gone.
struct TransactionIdentity {
  uint64_t xid;
  absl::Time server_incarnation;
};

class Transaction {
 public:
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;

  // Sends what is deferred and this statement, and waits for the answer. After an error the
  // transaction can only end.
  template <typename... Args>
  absl::StatusOr<Result> Query(const Statement& statement, const Args&... args) {
    return QueryParams(statement, Params::Of(args...));
  }
  absl::StatusOr<Result> QueryParams(const Statement& statement, const Params& params);

  // Leaves the statement to the next round trip, at the latest that of COMMIT. Its error then fails
  // the transaction.
  template <typename... Args>
  absl::Status Defer(const Statement& statement, const Args&... args) {
    return DeferParams(statement, Params::Of(args...));
  }
  absl::Status DeferParams(const Statement& statement, const Params& params);

  // Sends what is deferred, in one round trip, and returns the answers in order.
  absl::StatusOr<std::vector<Result>> Send();

  const CallContext& context() const { return context_; }
  // Of the connection that it runs on.
  absl::Time server_incarnation() const { return connection_.server_incarnation(); }

 private:
  friend absl::Status RunTransaction(Connection& connection, const CallContext& context,
                                     const TransactionOptions& options,
                                     absl::FunctionRef<absl::Status(Transaction&)> body,
                                     std::optional<TransactionIdentity>* identity);

  Transaction(Connection& connection, const CallContext& context, const TransactionOptions& options)
      : connection_(connection), context_(context), options_(options) {}

  absl::Status Begin();
  absl::Status Commit();
  void Rollback();
  absl::StatusOr<std::vector<Result>> Flush();

  Connection& connection_;
  const CallContext context_;
  const TransactionOptions& options_;
  int preamble_ = 0;  // statements of ours at the head of the first round trip
  bool sent_ = false;
  std::optional<TransactionIdentity> identity_;
};

// Runs `body` once on `connection`, and commits when it returns OK, rolls back otherwise.
// IsCommitUnknown tells of a COMMIT whose answer was lost; `identity`, where given, is then set if
// the server can be asked for the transaction's fate. Most callers want Pool::Transact, which
// retries and asks.
absl::Status RunTransaction(Connection& connection, const CallContext& context,
                            const TransactionOptions& options,
                            absl::FunctionRef<absl::Status(Transaction&)> body,
                            std::optional<TransactionIdentity>* identity = nullptr);

enum class Fate { kCommitted, kRolledBack, kRunning, kUnknown };

// What became of the transaction, asked on another connection to the same server.
absl::StatusOr<Fate> FateOf(Connection& connection, const CallContext& context,
                            const TransactionIdentity& identity);

}  // namespace saldo::postgres
