#include "common/postgres/config.h"

namespace saldo::postgres {

void Bind(config::Binder& b, PoolOptions& c) {
  using absl::Hours;
  using absl::Milliseconds;
  using absl::Minutes;
  using absl::Seconds;
  b.Secret("dsn", &c.connection.dsn, {.min = 1, .max = 4096},
           "Where the database is: libpq's keywords or URI, with host, user, password and TLS");
  b.Int("max_connections", &c.max_connections, {.min = 1, .max = 1000},
        "Connections of the pool; the jobs that hold a lock have one of their own besides");
  b.Duration("acquire_timeout", &c.acquire_timeout, {.min = Milliseconds(1), .max = Minutes(1)},
             "How long a call may wait for a free connection; then it gets RESOURCE_EXHAUSTED");
  b.Duration("connect_timeout", &c.connection.connect_timeout,
             {.min = Milliseconds(10), .max = Minutes(1)}, "How long connecting may take");
  b.Duration("statement_timeout", &c.connection.statement_timeout,
             {.min = Milliseconds(10), .max = Hours(1)},
             "The longest any statement may run, whatever the caller's deadline");
  b.Duration("idle_in_transaction_timeout", &c.connection.idle_in_transaction_timeout,
             {.min = Milliseconds(100), .max = Hours(1)},
             "After this time the server ends a transaction whose client is silent");
  b.Duration("max_lifetime", &c.max_lifetime, {.min = Seconds(1), .max = Hours(240)},
             "Connections older than this are replaced when they come back to the pool");
}

}  // namespace saldo::postgres
