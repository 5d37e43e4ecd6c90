#include "common/postgres/error.h"

#include <catch2/catch.hpp>

namespace saldo::postgres {

TEST_CASE("every class of SQLSTATE has its status code") {
  struct Row {
    const char* sqlstate;
    absl::StatusCode code;
    bool retryable;
  };
  const Row rows[] = {
      {"23505", absl::StatusCode::kAlreadyExists, false},
      {"23514", absl::StatusCode::kFailedPrecondition, false},
      {"40001", absl::StatusCode::kAborted, true},
      {"40P01", absl::StatusCode::kAborted, true},
      {"55P03", absl::StatusCode::kAborted, true},
      {"57014", absl::StatusCode::kDeadlineExceeded, false},
      {"57P01", absl::StatusCode::kUnavailable, true},
      {"57P03", absl::StatusCode::kUnavailable, true},
      {"25006", absl::StatusCode::kUnavailable, true},
      {"08006", absl::StatusCode::kUnavailable, false},
      {"53300", absl::StatusCode::kUnavailable, true},
      {"53100", absl::StatusCode::kResourceExhausted, false},
      {"22003", absl::StatusCode::kInvalidArgument, false},
      {"28P01", absl::StatusCode::kUnauthenticated, false},
      {"42501", absl::StatusCode::kPermissionDenied, false},
      {"42P01", absl::StatusCode::kInternal, false},
      {"XX000", absl::StatusCode::kInternal, false},
  };
  for (const Row& row : rows) {
    INFO(row.sqlstate);
    const absl::Status status = internal::MakeStatus({.sqlstate = row.sqlstate,
                                                      .message = "m",
                                                      .detail = "d",
                                                      .constraint = "c",
                                                      .statement = "s"});
    CHECK(status.code() == row.code);
    CHECK(IsRetryable(status) == row.retryable);
    CHECK(SqlState(status) == row.sqlstate);
    CHECK(ConstraintName(status) == "c");
  }
}

TEST_CASE("a lost connection is worth a retry, an unknown commit is not") {
  const absl::Status lost = internal::ConnectionLost("gone");
  CHECK(IsConnectionLost(lost));
  CHECK(IsRetryable(lost));
  const absl::Status unknown = internal::CommitUnknown(lost);
  CHECK(IsCommitUnknown(unknown));
  CHECK_FALSE(IsRetryable(unknown));
  CHECK(unknown.code() == absl::StatusCode::kUnavailable);
}

}  // namespace saldo::postgres
