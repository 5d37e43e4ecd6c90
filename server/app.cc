#include "server/app.h"

#include <functional>
#include <string>
#include <utility>

#include "absl/time/time.h"
#include "common/base/status_macros.h"
#include "common/observability/log.h"
#include "server/accounts/types/types_file.h"
#include "server/states/store.h"

namespace saldo::server {
namespace {

constexpr size_t kHome = shards::ShardSet::kHome;

shards::ShardSetOptions ShardOptions(const ServerConfig& config,
                                     std::function<bool(absl::Duration)> pause) {
  // What Start refuses anyway becomes one shard that it does not get to.
  const auto databases = shards::Resolve(config.shards, config.postgres.connection.dsn);
  return {.databases =
              databases.ok() ? *databases : shards::Databases{.map = {}, .list = {{.name = "0"}}},
          .postgres = config.postgres,
          .jobs = config.jobs,
          .start_timeout = config.database_start_timeout,
          .pause = std::move(pause)};
}

// Wallets are accounts of types that no file defines.
accounts::LedgerOptions WithWallets(accounts::LedgerOptions ledger,
                                    const wallets::WalletsConfig& config) {
  ledger.built_in = wallets::BuiltInTypes(config);
  return ledger;
}

}  // namespace

App::App(ServerConfig config, program::Environment environment)
    : config_(std::move(config)),
      tracing_(environment.tracing, registry_),
      metrics_server_(config_.metrics, registry_),
      status_server_(config_.status, std::move(environment.build)),
      shards_(ShardOptions(config_, std::move(environment.pause)), registry_, tracing_.tracer()),
      dispatcher_(config_.grpc.calls, registry_, tracing_.tracer()),
      keyed_types_(
          {.path = config_.ledger.ledger.types_file, .built_in = accounts::DefaultTypesYaml()},
          {locks::LockTypeUse(), states::kStateUse}, shards_),
      ledger_(WithWallets(config_.ledger, config_.wallets.wallets), shards_, dispatcher_, registry_,
              tracing_.tracer()),
      locks_(config_.locks, keyed_types_, shards_, dispatcher_, tracing_.tracer()),
      states_(
          shards_, [this](size_t shard) { return keyed_types_.of(shard); },
          [this](size_t shard) -> accounts::Writer& { return ledger_.writer(shard); }, dispatcher_,
          registry_),
      wallets_(config_.wallets, shards_, ledger_, dispatcher_, registry_),
      package_store_(shards_.pool(kHome), shards_.outbox(kHome), config_.packages.topic),
      package_service_(config_.packages, package_store_, dispatcher_, registry_),
      task_store_(shards_.pool(kHome)),
      task_runner_(config_.tasks, task_kinds_, task_store_, registry_, tracing_.tracer()),
      task_service_(task_kinds_, task_store_, task_runner_, dispatcher_),
      grpc_(config_.grpc, dispatcher_,
            {&ledger_.service(), &locks_.service(), &states_.service(), &wallets_.service(),
             &package_service_, &task_service_}),
      parts_("saldo-server") {
  registry_.AddProcessMetrics();
  if (environment.on_reload) environment.on_reload([this] { Reload(); });
  ledger_.Add(locks_.extension());
  ledger_.Add(states_.extension());
  AddReadinessChecks();
  AddTaskKinds();
  // Last of its shard, for tasks use the other parts.
  shards_.Add(kHome, task_runner_);
  // Operators see a process that waits for its database, so their pages come first.
  parts_.Add(metrics_server_);
  parts_.Add(status_server_);
  parts_.Add(tracing_);
  parts_.Add(shards_);
  parts_.Add(locks_);
  parts_.Add(wallets_.part());
  parts_.Add(grpc_);
}

void App::AddReadinessChecks() {
  status_server_.AddReadinessCheck("grpc", [this] {
    return serving_ ? absl::OkStatus() : absl::UnavailableError("calls are not served");
  });
  status_server_.AddReadinessCheck(shards_.size() == 1 ? "database" : "shards",
                                   [this] { return shards_.Ready(); });
  status_server_.AddReadinessNote([this] { return shards_.Missing(); });
}

void App::AddTaskKinds() {
  ledger_.AddTo(task_kinds_);
  locks_.AddTo(task_kinds_);
  // The keeper's own job stays, for writers must not run out of partitions when the queue stands
  // still. The task does the same on demand, and shows that it can be done.
  if (config_.jobs.partitions_enabled) {
    task_kinds_.Add({.name = "partitions",
                     .about = "makes partitions ahead of use and drops those that were read",
                     .schedule = "* * * * *",
                     .handler = [this](tasks::TaskContext&) -> absl::StatusOr<std::string> {
                       SALDO_RETURN_IF_ERROR(shards_.ForAll([this](size_t shard) {
                         return shards_.partition_keeper(shard)->RunOnce().status();
                       }));
                       return std::string("up to date");
                     }});
  }
}

void App::Reload() {
  // The file holds both: neither is taken from one that is wrong in the other.
  if (!keyed_types_.CheckFile().ok()) return;
  ledger_.Reload([this](size_t shard) { keyed_types_.Reload(shard).IgnoreError(); }).IgnoreError();
}

absl::Status App::Start() {
  SALDO_RETURN_IF_ERROR(shards::Resolve(config_.shards, config_.postgres.connection.dsn).status());
  const absl::Status status = parts_.Start();
  serving_ = status.ok();
  if (status.ok()) {
    log::Info("saldo-server serves", {{"grpc_port", grpc_port()},
                                      {"metrics_port", metrics_port()},
                                      {"status_port", status_port()}});
  }
  return status;
}

void App::Stop() {
  shards_.Interrupt();
  serving_ = false;
  locks_.EndWaits();
  parts_.Stop();
}

}  // namespace saldo::server
