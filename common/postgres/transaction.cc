#include "common/postgres/transaction.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/postgres/error.h"

namespace saldo::postgres {
namespace {

// A rollback must end even when its call has no time left.
constexpr absl::Duration kRollbackTimeout = absl::Seconds(2);

constexpr Statement kBegin{"postgres.begin", "BEGIN"};
constexpr Statement kBeginReadOnly{"postgres.begin_read_only", "BEGIN READ ONLY"};
constexpr Statement kBeginRepeatableRead{"postgres.begin_repeatable_read",
                                         "BEGIN ISOLATION LEVEL REPEATABLE READ"};
constexpr Statement kBeginSnapshot{"postgres.begin_snapshot",
                                   "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"};
constexpr Statement kAsynchronousCommit{"postgres.asynchronous_commit",
                                        "SET LOCAL synchronous_commit = off"};
constexpr Statement kTransactionId{"postgres.transaction_id", "SELECT pg_current_xact_id()"};
constexpr Statement kTransactionStatus{"postgres.transaction_status",
                                       "SELECT pg_xact_status($1::text::xid8)"};
constexpr Statement kCommit{"postgres.commit", "COMMIT"};
constexpr Statement kRollback{"postgres.rollback", "ROLLBACK"};

const Statement& BeginOf(const TransactionOptions& options) {
  if (options.isolation == Isolation::kRepeatableRead)
    return options.read_only ? kBeginSnapshot : kBeginRepeatableRead;
  return options.read_only ? kBeginReadOnly : kBegin;
}

}  // namespace

absl::Status Transaction::Begin() {
  SALDO_RETURN_IF_ERROR(connection_.Queue(BeginOf(options_), {}));
  ++preamble_;
  if (options_.read_only) return absl::OkStatus();
  if (options_.asynchronous_commit) {
    SALDO_RETURN_IF_ERROR(connection_.Queue(kAsynchronousCommit, {}));
    ++preamble_;
  }
  // Asked at once, so that the outcome of a COMMIT whose answer is lost can be looked up.
  SALDO_RETURN_IF_ERROR(connection_.Queue(kTransactionId, {}));
  ++preamble_;
  return absl::OkStatus();
}

absl::StatusOr<std::vector<Result>> Transaction::Flush() {
  sent_ = true;
  const int preamble = std::exchange(preamble_, 0);
  SALDO_ASSIGN_OR_RETURN(std::vector<Result> results, connection_.Flush(context_));
  if (preamble > 0 && !options_.read_only) {
    SALDO_ASSIGN_OR_RETURN(auto row, std::move(results[preamble - 1]).One<uint64_t>());
    identity_ = {std::get<0>(row), connection_.server_incarnation()};
  }
  return results;
}

absl::StatusOr<Result> Transaction::QueryParams(const Statement& statement, const Params& params) {
  SALDO_RETURN_IF_ERROR(connection_.Queue(statement, params));
  SALDO_ASSIGN_OR_RETURN(std::vector<Result> results, Flush());
  return std::move(results.back());
}

absl::StatusOr<std::vector<Result>> Transaction::Send() {
  const int preamble = preamble_;
  SALDO_ASSIGN_OR_RETURN(std::vector<Result> results, Flush());
  results.erase(results.begin(), results.begin() + preamble);
  return results;
}

absl::Status Transaction::DeferParams(const Statement& statement, const Params& params) {
  return connection_.Queue(statement, params);
}

absl::Status Transaction::Commit() {
  if (!sent_ && connection_.queued() == static_cast<size_t>(preamble_)) {
    connection_.DropQueue();  // nothing was asked of the server
    return absl::OkStatus();
  }
  SALDO_RETURN_IF_ERROR(connection_.Queue(kCommit, {}));
  const absl::Status status = Flush().status();
  if (!status.ok() && IsConnectionLost(status) && !options_.read_only)
    return internal::CommitUnknown(status);
  return status;
}

void Transaction::Rollback() {
  connection_.DropQueue();
  if (!sent_ || !connection_.in_transaction()) return;
  // A failure here marks the connection as lost, and losing it rolls back too.
  connection_.Query(CallContext::WithTimeout(kRollbackTimeout), kRollback).IgnoreError();
}

absl::Status RunTransaction(Connection& connection, const CallContext& context,
                            const TransactionOptions& options,
                            absl::FunctionRef<absl::Status(Transaction&)> body,
                            std::optional<TransactionIdentity>* identity) {
  Transaction transaction(connection, context, options);
  absl::Status status = transaction.Begin();
  if (status.ok()) status = body(transaction);
  if (status.ok()) status = transaction.Commit();
  if (!status.ok()) transaction.Rollback();
  if (identity != nullptr) *identity = transaction.identity_;
  return status;
}

absl::StatusOr<Fate> FateOf(Connection& connection, const CallContext& context,
                            const TransactionIdentity& identity) {
  absl::StatusOr<Result> answer =
      connection.Query(context, kTransactionStatus, absl::StrCat(identity.xid));
  // An id that the server has not given out yet: a crash undid the transaction before anything of
  // it was on disk.
  if (SqlState(answer.status()) == "22023") return Fate::kRolledBack;
  SALDO_RETURN_IF_ERROR(answer.status());
  SALDO_ASSIGN_OR_RETURN(const auto row, std::move(*answer).One<std::optional<std::string>>());
  const std::string status = std::get<0>(row).value_or("");
  if (status == "aborted") return Fate::kRolledBack;
  if (status == "in progress") return Fate::kRunning;
  // After a crash, an id that had not reached the disk is given out again, and "committed" may
  // speak of that other transaction.
  const bool same = connection.server_incarnation() == identity.server_incarnation;
  return status == "committed" && same ? Fate::kCommitted : Fate::kUnknown;
}

}  // namespace saldo::postgres
