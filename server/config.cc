#include "server/config.h"

#include "common/observability/config.h"
#include "common/postgres/config.h"
#include "common/rpc/config.h"
#include "server/accounts/aggregation/config.h"
#include "server/accounts/types/config.h"
#include "server/accounts/writing/config.h"

namespace saldo::server {

ServerConfig::ServerConfig() {
  log.service = "saldo-server";
  metrics.port = 9100;
  status.port = 8000;
  grpc.port = 8082;
  grpc.calls.worker_threads = 16;
  postgres.max_connections = 16;
  postgres.connection.application_name = "saldo-server";
}

void Bind(config::Binder& binder, ServerConfig& config) {
  binder.Section("log", [&](config::Binder& b) { log::Bind(b, config.log); });
  binder.Section("grpc", [&](config::Binder& b) { rpc::Bind(b, config.grpc); });
  binder.Section("metrics", [&](config::Binder& b) { http::Bind(b, config.metrics); });
  binder.Section("status", [&](config::Binder& b) { http::Bind(b, config.status); });
  binder.Section("postgres", [&](config::Binder& b) {
    postgres::Bind(b, config.postgres, postgres::Dsn::kOptional);
    b.Duration("start_timeout", &config.database_start_timeout,
               {.min = absl::ZeroDuration(), .max = absl::Hours(1)},
               "How long a start waits for a database that is away, or for any of several");
  });
  shards::Bind(binder, config.shards, config.postgres.connection.dsn);
  binder.Section("packages", [&](config::Binder& b) { packages::Bind(b, config.packages); });
  binder.Section("ledger", [&](config::Binder& b) {
    accounts::Bind(b, config.ledger.ledger);
    b.Section("writer", [&](config::Binder& w) { accounts::Bind(w, config.ledger.writer); });
  });
  binder.Section("locks", [&](config::Binder& b) { locks::Bind(b, config.locks); });
  binder.Section("wallets", [&](config::Binder& b) { wallets::Bind(b, config.wallets.wallets); });
  binder.Section("jobs", [&](config::Binder& b) {
    jobs::Bind(b, config.jobs);
    b.Section("aggregation",
              [&](config::Binder& a) { accounts::Bind(a, config.ledger.aggregation); });
    b.Section("event_retention",
              [&](config::Binder& r) { accounts::Bind(r, config.ledger.event_retention); });
    b.Section("wallet_holds", [&](config::Binder& h) { wallets::Bind(h, config.wallets.holds); });
    b.Section("wallet_transfers",
              [&](config::Binder& w) { wallets::Bind(w, config.wallets.transfers); });
    b.Section("tasks", [&](config::Binder& t) { tasks::Bind(t, config.tasks); });
  });
  binder.Check([&config] {
    if (config.grpc.calls.worker_threads <= 2 * config.postgres.max_connections)
      return absl::OkStatus();
    return absl::InvalidArgumentError(
        "grpc.worker_threads must not exceed twice postgres.max_connections: the rest would only "
        "wait for a connection");
  });
}

}  // namespace saldo::server
