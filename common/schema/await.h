// What a program does about the database before it works on it.
#pragma once

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/postgres/pool.h"

namespace saldo::schema {

// Returns OK once the database answers and its schema fits this program (see CheckCurrent). While
// the database is away, tries again for `timeout`; then UNAVAILABLE with the last reason. A schema
// that does not fit is an error at once. `pause` waits that long; false ends this with CANCELLED.
absl::Status AwaitCurrent(postgres::Pool& pool, absl::Duration timeout,
                          absl::FunctionRef<bool(absl::Duration)> pause);

}  // namespace saldo::schema
