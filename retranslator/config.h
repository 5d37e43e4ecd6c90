// The configuration of saldo-retranslator.
#pragma once

#include "absl/time/time.h"
#include "common/config/binder.h"
#include "common/kafka/producer.h"
#include "common/observability/http_server.h"
#include "common/observability/log.h"
#include "common/postgres/pool.h"
#include "retranslator/pipeline.h"

namespace saldo::retranslator {

struct RetranslatorConfig {
  log::Options log;
  http::HttpOptions metrics;
  http::HttpOptions status;
  postgres::PoolOptions postgres;
  // How long a start waits for a database that is away.
  absl::Duration database_start_timeout = absl::Seconds(60);
  kafka::ProducerOptions kafka;
  PipelineOptions relay;

  RetranslatorConfig();
};

void Bind(config::Binder& binder, RetranslatorConfig& config);

}  // namespace saldo::retranslator
