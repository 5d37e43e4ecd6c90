// saldo-server: builds its parts, starts them in order and stops them in reverse.
#pragma once

#include <atomic>
#include <string_view>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/observability/http_endpoint.h"
#include "common/observability/metrics.h"
#include "common/observability/tracing.h"
#include "common/program/program.h"
#include "common/rpc/dispatcher.h"
#include "common/rpc/server.h"
#include "common/runtime/service.h"
#include "common/runtime/service_group.h"
#include "server/accounts/ledger.h"
#include "server/config.h"
#include "server/keys/sharded_types.h"
#include "server/locks/locks.h"
#include "server/packages/service.h"
#include "server/packages/store.h"
#include "server/shards/shard_set.h"
#include "server/states/states.h"
#include "server/tasks/kinds.h"
#include "server/tasks/runner.h"
#include "server/tasks/service.h"
#include "server/tasks/store.h"
#include "server/wallets/wallets.h"

namespace saldo::server {

class App final : public runtime::Service {
 public:
  explicit App(ServerConfig config, program::Environment environment = {});
  ~App() override { Stop(); }

  std::string_view name() const override { return "saldo-server"; }
  // Returns once calls are served. FAILED_PRECONDITION when the schema or the identity of a shard's
  // database does not fit, UNAVAILABLE when all shards stay away or a port is taken.
  absl::Status Start() override;
  // Health and readiness go first; then running calls may end; then jobs, database, traces.
  void Stop() override;

  // After Start.
  int grpc_port() const { return grpc_.port(); }
  int metrics_port() const { return metrics_server_.port(); }
  int status_port() const { return status_server_.port(); }
  const metrics::Registry& registry() const { return registry_; }

 private:
  void AddReadinessChecks();
  void AddTaskKinds();
  // Reads the types file again. When anything is wrong, that is logged and the old types stay.
  void Reload();

  const ServerConfig config_;
  metrics::Registry registry_;
  trace::Tracing tracing_;
  http::MetricsServer metrics_server_;
  http::StatusServer status_server_;
  shards::ShardSet shards_;
  rpc::Dispatcher dispatcher_;
  keys::ShardedTypes keyed_types_;
  accounts::Ledger ledger_;
  locks::Locks locks_;
  states::States states_;
  wallets::Wallets wallets_;
  packages::PackageStore package_store_;
  packages::PackageService package_service_;
  tasks::Kinds task_kinds_;
  tasks::TaskStore task_store_;
  tasks::Runner task_runner_;
  tasks::TaskService task_service_;
  rpc::Server grpc_;

  std::atomic<bool> serving_{false};
  runtime::ServiceGroup parts_;  // last: stops before what it holds goes
};

}  // namespace saldo::server
