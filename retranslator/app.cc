#include "retranslator/app.h"

#include <utility>

#include "common/base/status_macros.h"
#include "common/observability/log.h"

namespace saldo::retranslator {
namespace {

// What Start refuses anyway becomes one shard that it does not get to.
shards::Databases DatabasesOf(const RetranslatorConfig& config) {
  auto databases = shards::Resolve(config.shards, config.postgres.connection.dsn);
  if (databases.ok()) return *std::move(databases);
  return {.map = {}, .list = {{.name = shards::kOnlyShard}}};
}

}  // namespace

App::App(RetranslatorConfig config, program::Environment environment)
    : config_(std::move(config)),
      tracing_(environment.tracing, registry_),
      metrics_server_(config_.metrics, registry_),
      status_server_(config_.status, std::move(environment.build)),
      relays_(config_, DatabasesOf(config_), registry_, tracing_.tracer(),
              std::move(environment.pause)),
      parts_("saldo-retranslator") {
  registry_.AddProcessMetrics();
  // Standing by is ready; so is waiting for Kafka, which this process survives. Without any
  // database it can do nothing.
  status_server_.AddReadinessCheck(relays_.size() == 1 ? "database" : "shards",
                                   [this] { return relays_.Ready(); });
  status_server_.AddReadinessNote([this] { return relays_.Missing(); });
  parts_.Add(metrics_server_);
  parts_.Add(status_server_);
  parts_.Add(tracing_);
  parts_.Add(relays_);
}

absl::Status App::Start() {
  SALDO_RETURN_IF_ERROR(shards::Resolve(config_.shards, config_.postgres.connection.dsn).status());
  const absl::Status status = parts_.Start();
  if (status.ok()) {
    log::Info("saldo-retranslator runs",
              {{"metrics_port", metrics_port()}, {"status_port", status_port()}});
  }
  return status;
}

void App::Stop() {
  relays_.Interrupt();
  parts_.Stop();
}

}  // namespace saldo::retranslator
