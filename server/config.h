// The configuration of saldo-server.
#pragma once

#include "absl/time/time.h"
#include "common/config/binder.h"
#include "common/observability/http_server.h"
#include "common/observability/log.h"
#include "common/postgres/pool.h"
#include "common/rpc/server.h"
#include "common/shards/config.h"
#include "server/accounts/shard_ledger.h"
#include "server/jobs/config.h"
#include "server/locks/config.h"
#include "server/packages/service.h"
#include "server/tasks/config.h"
#include "server/wallets/config.h"

namespace saldo::server {

struct ServerConfig {
  log::Options log;
  http::HttpOptions metrics;
  http::HttpOptions status;
  // As many workers as connections: a worker holds at most one, and a call that waits is better off
  // in the queue of calls, whose length is bounded and seen, than in a second one at the pool.
  rpc::ServerOptions grpc;
  postgres::PoolOptions postgres;  // of each shard, but for the dsn
  shards::ShardsConfig shards;
  // How long a start waits until the database of a shard answers.
  absl::Duration database_start_timeout = absl::Seconds(60);
  packages::PackagesConfig packages;
  accounts::LedgerOptions ledger;
  locks::LocksConfig locks;
  wallets::WalletsOptions wallets;  // sections wallets, jobs.wallet_holds, jobs.wallet_transfers
  jobs::JobsConfig jobs;
  tasks::TasksConfig tasks;  // jobs.tasks

  ServerConfig();
};

void Bind(config::Binder& binder, ServerConfig& config);

}  // namespace saldo::server
