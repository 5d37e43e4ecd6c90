// saldo-retranslator: builds its parts, starts them in order and stops them in reverse.
#pragma once

#include "absl/status/status.h"
#include "common/observability/http_endpoint.h"
#include "common/observability/metrics.h"
#include "common/observability/tracing.h"
#include "common/program/program.h"
#include "common/runtime/service.h"
#include "common/runtime/service_group.h"
#include "retranslator/config.h"
#include "retranslator/relay_set.h"

namespace saldo::retranslator {

class App final : public runtime::Service {
 public:
  explicit App(RetranslatorConfig config, program::Environment environment = {});
  ~App() override { Stop(); }

  std::string_view name() const override { return "saldo-retranslator"; }
  // Returns once the relay of a shard works or stands by; see RelaySet. FAILED_PRECONDITION when
  // the schema or the identity of a database does not fit, UNAVAILABLE when all stay away or a port
  // is taken. Kafka may come later.
  absl::Status Start() override;
  void Stop() override;

  // After Start.
  int metrics_port() const { return metrics_server_.port(); }
  int status_port() const { return status_server_.port(); }
  // Whether this process ships this shard's outbox.
  bool active(size_t shard = 0) const { return relays_.active(shard); }
  const metrics::Registry& registry() const { return registry_; }

 private:
  const RetranslatorConfig config_;
  metrics::Registry registry_;
  trace::Tracing tracing_;
  http::MetricsServer metrics_server_;
  http::StatusServer status_server_;
  RelaySet relays_;

  runtime::ServiceGroup parts_;  // last: stops before what it holds goes
};

}  // namespace saldo::retranslator
