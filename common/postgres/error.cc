#include "common/postgres/error.h"

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "common/base/strings.h"

namespace saldo::postgres {
namespace {

constexpr absl::string_view kSqlStateUrl = "saldo/sqlstate";
constexpr absl::string_view kConstraintUrl = "saldo/constraint";
constexpr absl::string_view kConnectionLostUrl = "saldo/connection_lost";
constexpr absl::string_view kCommitUnknownUrl = "saldo/commit_unknown";

struct Rule {
  std::string_view prefix;  // of the SQLSTATE; the first match counts
  absl::StatusCode code;
};

constexpr Rule kRules[] = {
    {"23505", absl::StatusCode::kAlreadyExists},    // unique_violation
    {"23P01", absl::StatusCode::kAlreadyExists},    // exclusion_violation
    {"23", absl::StatusCode::kFailedPrecondition},  // other integrity violations
    {"40001", absl::StatusCode::kAborted},          // serialization_failure
    {"40P01", absl::StatusCode::kAborted},          // deadlock_detected
    {"40", absl::StatusCode::kAborted},             // other rollbacks
    {"55P03", absl::StatusCode::kAborted},          // lock_not_available
    {"57014",
     absl::StatusCode::kDeadlineExceeded},    // query_canceled: statement_timeout or our cancel
    {"57P", absl::StatusCode::kUnavailable},  // shutdown, crash recovery, cannot connect now
    {"25006",
     absl::StatusCode::kUnavailable},  // read_only_sql_transaction: a server being failed over
    {"25P03", absl::StatusCode::kUnavailable},       // idle_in_transaction_session_timeout
    {"08", absl::StatusCode::kUnavailable},          // connection exceptions
    {"53300", absl::StatusCode::kUnavailable},       // too_many_connections
    {"53", absl::StatusCode::kResourceExhausted},    // disk full, out of memory
    {"54", absl::StatusCode::kInvalidArgument},      // program limit exceeded
    {"22", absl::StatusCode::kInvalidArgument},      // data exceptions: out of range, invalid text
    {"28", absl::StatusCode::kUnauthenticated},      // invalid authorization
    {"42501", absl::StatusCode::kPermissionDenied},  // insufficient_privilege
    {"3D000", absl::StatusCode::kFailedPrecondition},  // the database does not exist
    {"P0001", absl::StatusCode::kFailedPrecondition},  // raise_exception of our own migrations
};

std::string Payload(const absl::Status& status, absl::string_view url) {
  const absl::optional<absl::Cord> payload = status.GetPayload(url);
  return payload.has_value() ? std::string(*payload) : std::string();
}

}  // namespace

absl::StatusCode CodeOfSqlState(std::string_view sqlstate) {
  for (const Rule& rule : kRules) {
    if (sqlstate.starts_with(rule.prefix)) return rule.code;
  }
  return absl::StatusCode::kInternal;
}

std::string SqlState(const absl::Status& status) { return Payload(status, kSqlStateUrl); }

std::string ConstraintName(const absl::Status& status) { return Payload(status, kConstraintUrl); }

bool IsConnectionLost(const absl::Status& status) {
  return status.GetPayload(kConnectionLostUrl).has_value();
}

bool IsCommitUnknown(const absl::Status& status) {
  return status.GetPayload(kCommitUnknownUrl).has_value();
}

bool IsRetryable(const absl::Status& status) {
  if (IsCommitUnknown(status)) return false;
  if (IsConnectionLost(status)) return true;
  const std::string state = SqlState(status);
  return state == "40001" || state == "40P01" || state == "55P03" || state == "25006" ||
         state == "0A000" || state.starts_with("57P") || state == "53300";
}

namespace internal {

absl::Status MakeStatus(const ErrorFields& fields) {
  absl::Status status(
      CodeOfSqlState(fields.sqlstate),
      absl::StrCat(fields.message,
                   fields.detail.empty() ? "" : absl::StrCat(" (", fields.detail, ")"),
                   fields.statement.empty() ? "" : absl::StrCat(" [", fields.statement, "]"),
                   " SQLSTATE ", fields.sqlstate));
  status.SetPayload(kSqlStateUrl, absl::Cord(fields.sqlstate));
  if (!fields.constraint.empty()) status.SetPayload(kConstraintUrl, absl::Cord(fields.constraint));
  return status;
}

absl::Status ConnectionLost(std::string_view reason) {
  absl::Status status =
      absl::UnavailableError(absl::StrCat("no connection to PostgreSQL: ", AsAbsl(reason)));
  status.SetPayload(kConnectionLostUrl, absl::Cord("1"));
  return status;
}

absl::Status CommitUnknown(const absl::Status& cause) {
  absl::Status status = absl::UnavailableError(
      absl::StrCat("whether the transaction was committed is not known: ", cause.message()));
  status.SetPayload(kConnectionLostUrl, absl::Cord("1"));
  status.SetPayload(kCommitUnknownUrl, absl::Cord("1"));
  return status;
}

}  // namespace internal

}  // namespace saldo::postgres
