#include "common/schema/await.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/status_macros.h"
#include "common/observability/log.h"
#include "common/schema/migrator.h"

namespace saldo::schema {
namespace {

constexpr absl::Duration kPauseMin = absl::Milliseconds(50);
constexpr absl::Duration kPauseMax = absl::Seconds(2);
constexpr absl::Duration kAttempt = absl::Seconds(10);
// Between two lines of the log about a database that stays away.
constexpr absl::Duration kRemind = absl::Seconds(5);

absl::Status Attempt(postgres::Pool& pool, absl::Time deadline) {
  const CallContext context = CallContext(deadline).Within(kAttempt);
  SALDO_ASSIGN_OR_RETURN(const postgres::Pool::Lease lease, pool.Acquire(context));
  return CheckCurrent(*lease, context);
}

bool IsAway(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status);
}

}  // namespace

absl::Status AwaitCurrent(postgres::Pool& pool, absl::Duration timeout,
                          absl::FunctionRef<bool(absl::Duration)> pause) {
  const absl::Time deadline = absl::Now() + timeout;
  absl::Time remind = absl::InfinitePast();
  absl::Duration wait = kPauseMin;
  while (true) {
    const absl::Status status = Attempt(pool, deadline);
    if (!IsAway(status)) return status;
    const absl::Duration left = deadline - absl::Now();
    if (left <= wait) {
      return absl::UnavailableError(absl::StrCat("the database did not answer within ",
                                                 absl::FormatDuration(timeout), ": ",
                                                 status.message()));
    }
    if (absl::Now() >= remind) {
      log::Warning("waiting for the database", {{"reason", status}, {"left", left}});
      remind = absl::Now() + kRemind;
    }
    if (!pause(wait)) return absl::CancelledError("stopped while waiting for the database");
    wait = std::min(wait * 2, kPauseMax);
  }
}

}  // namespace saldo::schema
