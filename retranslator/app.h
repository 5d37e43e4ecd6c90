// saldo-retranslator: builds its parts, starts them in order and stops them in reverse.
#pragma once

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/observability/http_endpoint.h"
#include "common/observability/metrics.h"
#include "common/observability/tracing.h"
#include "common/postgres/pool.h"
#include "common/program/program.h"
#include "common/runtime/service.h"
#include "common/runtime/service_group.h"
#include "common/schema/database.h"
#include "retranslator/config.h"
#include "retranslator/pipeline.h"
#include "retranslator/relay_metrics.h"

namespace saldo::retranslator {

class App final : public runtime::Service {
 public:
  explicit App(RetranslatorConfig config, program::Environment environment = {});
  ~App() override { Stop(); }

  std::string_view name() const override { return "saldo-retranslator"; }
  // Returns once the relay works or stands by. FAILED_PRECONDITION when the schema does not fit
  // this program, UNAVAILABLE when the database stays away or a port is taken. Kafka may come
  // later.
  absl::Status Start() override;
  void Stop() override;

  // After Start.
  int metrics_port() const { return metrics_server_.port(); }
  int status_port() const { return status_server_.port(); }
  bool active() const { return pipeline_.active(); }
  const metrics::Registry& registry() const { return registry_; }

 private:
  const RetranslatorConfig config_;
  metrics::Registry registry_;
  trace::Tracing tracing_;
  http::MetricsServer metrics_server_;
  http::StatusServer status_server_;
  postgres::Pool pool_;
  schema::Database database_;
  RelayMetrics relay_metrics_;
  Pipeline pipeline_;

  runtime::ServiceGroup parts_;  // last: stops before what it holds goes
};

}  // namespace saldo::retranslator
