// One mapping of PostgreSQL's errors to absl::Status, and what callers may ask of such a status.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace saldo::postgres {

// The code that a SQLSTATE (https://www.postgresql.org/docs/15/errcodes-appendix.html) maps to.
absl::StatusCode CodeOfSqlState(std::string_view sqlstate);

// The five characters of the SQLSTATE behind `status`, or "" when it did not come from the server.
std::string SqlState(const absl::Status& status);

// The name of the constraint that was violated, or "".
std::string ConstraintName(const absl::Status& status);

// True when the connection was lost, so nothing is known but what was answered before.
bool IsConnectionLost(const absl::Status& status);

// True when the transaction rolled back for a reason that may be gone at the next try: a
// serialization failure, a deadlock, a lock timeout, or a server that was away before COMMIT was
// sent.
bool IsRetryable(const absl::Status& status);

// True when COMMIT was sent and its answer never came: the transaction may or may not be durable.
bool IsCommitUnknown(const absl::Status& status);

namespace internal {

struct ErrorFields {
  std::string sqlstate;
  std::string message;
  std::string detail;
  std::string constraint;
  std::string statement;  // the name of ours that failed
};
absl::Status MakeStatus(const ErrorFields& fields);
absl::Status ConnectionLost(std::string_view reason);
absl::Status CommitUnknown(const absl::Status& cause);

}  // namespace internal

}  // namespace saldo::postgres
