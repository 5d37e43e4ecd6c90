#include "common/postgres/config.h"

namespace saldo::postgres {

void Bind(config::Binder& binder, PoolOptions& options, Dsn dsn) {
  using absl::Hours;
  using absl::Milliseconds;
  using absl::Minutes;
  using absl::Seconds;
  const size_t length_min = dsn == Dsn::kRequired ? 1 : 0;
  binder.Secret(
      "dsn", &options.connection.dsn, {.min = length_min, .max = 4096},
      "Where the database is: libpq's keywords or URI, with host, user, password and TLS");
  binder.Int("max_connections", &options.max_connections, {.min = 1, .max = 1000},
             "Connections of the pool; the jobs that hold a lock have one of their own besides");
  binder.Duration(
      "acquire_timeout", &options.acquire_timeout, {.min = Milliseconds(1), .max = Minutes(1)},
      "How long a call may wait for a free connection; then it gets RESOURCE_EXHAUSTED");
  binder.Duration("connect_timeout", &options.connection.connect_timeout,
                  {.min = Milliseconds(10), .max = Minutes(1)}, "How long connecting may take");
  binder.Duration("statement_timeout", &options.connection.statement_timeout,
                  {.min = Milliseconds(10), .max = Hours(1)},
                  "The longest any statement may run, whatever the caller's deadline");
  binder.Duration("idle_in_transaction_timeout", &options.connection.idle_in_transaction_timeout,
                  {.min = Milliseconds(100), .max = Hours(1)},
                  "After this time the server ends a transaction whose client is silent");
  binder.Duration("max_lifetime", &options.max_lifetime, {.min = Seconds(1), .max = Hours(240)},
                  "Connections older than this are replaced when they come back to the pool");
}

}  // namespace saldo::postgres
