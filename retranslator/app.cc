#include "retranslator/app.h"

#include <utility>

#include "common/base/call_context.h"
#include "common/observability/log.h"

namespace saldo::retranslator {
namespace {

// Of one answer about readiness.
constexpr absl::Duration kPingTimeout = absl::Seconds(1);

}  // namespace

App::App(RetranslatorConfig config, program::Environment environment)
    : config_(std::move(config)),
      tracing_(environment.tracing, registry_),
      metrics_server_(config_.metrics, registry_),
      status_server_(config_.status, std::move(environment.build)),
      pool_(config_.postgres, registry_),
      database_(pool_, config_.database_start_timeout, std::move(environment.pause)),
      relay_metrics_(registry_),
      pipeline_(config_.relay, config_.kafka, pool_, tracing_.tracer(), relay_metrics_),
      parts_("saldo-retranslator") {
  registry_.AddProcessMetrics();
  // Standing by is ready; so is waiting for Kafka, which this process survives. Without its
  // database it can do nothing.
  status_server_.AddReadinessCheck(
      "database", [this] { return pool_.Ping(CallContext::WithTimeout(kPingTimeout)); });
  parts_.Add(metrics_server_);
  parts_.Add(status_server_);
  parts_.Add(tracing_);
  parts_.Add(database_);
  parts_.Add(pipeline_);
}

absl::Status App::Start() {
  const absl::Status status = parts_.Start();
  if (status.ok()) {
    log::Info("saldo-retranslator runs",
              {{"metrics_port", metrics_port()}, {"status_port", status_port()}});
  }
  return status;
}

void App::Stop() {
  database_.Interrupt();
  parts_.Stop();
}

}  // namespace saldo::retranslator
