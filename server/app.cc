#include "server/app.h"

#include <utility>

#include "common/base/call_context.h"
#include "common/base/status_macros.h"
#include "common/observability/log.h"

namespace saldo::server {
namespace {

// Of one answer about readiness.
constexpr absl::Duration kPingTimeout = absl::Seconds(1);

}  // namespace

App::App(ServerConfig config, program::Environment environment)
    : config_(std::move(config)),
      tracing_(environment.tracing, registry_),
      metrics_server_(config_.metrics, registry_),
      status_server_(config_.status, std::move(environment.build)),
      pool_(config_.postgres, registry_),
      database_(pool_, config_.database_start_timeout, std::move(environment.pause)),
      outbox_([this] {
        if (sequencer_.has_value()) sequencer_->Wake();
      }),
      dispatcher_(config_.grpc.calls, registry_, tracing_.tracer()),
      ledger_(config_.ledger, pool_, outbox_, dispatcher_, registry_, tracing_.tracer()),
      package_store_(pool_, outbox_, config_.packages.topic),
      package_service_(config_.packages, package_store_, dispatcher_, registry_),
      task_store_(pool_),
      task_runner_(config_.tasks, task_kinds_, task_store_, registry_, tracing_.tracer()),
      task_service_(task_kinds_, task_store_, task_runner_, dispatcher_),
      grpc_(config_.grpc, dispatcher_, {&ledger_.service(), &package_service_, &task_service_}),
      parts_("saldo-server") {
  registry_.AddProcessMetrics();
  if (environment.on_reload) {
    // It logs what was wrong, and the old types stay.
    environment.on_reload([this] { ledger_.Reload().IgnoreError(); });
  }
  if (config_.jobs.sequencer_enabled) {
    sequencer_.emplace(config_.jobs.sequencer, config_.postgres.connection, registry_);
  }
  if (config_.jobs.partitions_enabled) {
    partition_keeper_.emplace(config_.jobs.partitions, pool_, registry_);
  }
  AddReadinessChecks();
  AddTaskKinds();
  // Operators see a process that waits for its database, so their pages come first.
  parts_.Add(metrics_server_);
  parts_.Add(status_server_);
  parts_.Add(tracing_);
  parts_.Add(database_);
  if (sequencer_.has_value()) parts_.Add(*sequencer_);
  if (partition_keeper_.has_value()) parts_.Add(*partition_keeper_);
  ledger_.AddTo(parts_);
  parts_.Add(task_runner_);
  parts_.Add(grpc_);
}

void App::AddReadinessChecks() {
  status_server_.AddReadinessCheck("grpc", [this] {
    return serving_ ? absl::OkStatus() : absl::UnavailableError("calls are not served");
  });
  status_server_.AddReadinessCheck(
      "database", [this] { return pool_.Ping(CallContext::WithTimeout(kPingTimeout)); });
}

void App::AddTaskKinds() {
  ledger_.AddTo(task_kinds_);
  // The keeper's own job stays, for writers must not run out of partitions when the queue stands
  // still. The task does the same on demand, and shows that it can be done.
  if (partition_keeper_.has_value()) {
    task_kinds_.Add({.name = "partitions",
                     .about = "makes partitions ahead of use and drops those that were read",
                     .schedule = "* * * * *",
                     .handler = [this](tasks::TaskContext&) -> absl::StatusOr<std::string> {
                       SALDO_RETURN_IF_ERROR(partition_keeper_->RunOnce().status());
                       return std::string("up to date");
                     }});
  }
}

absl::Status App::Start() {
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
  database_.Interrupt();
  serving_ = false;
  parts_.Stop();
}

}  // namespace saldo::server
