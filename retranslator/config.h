// The configuration of saldo-retranslator.
#pragma once

#include "absl/time/time.h"
#include "common/config/binder.h"
#include "common/kafka/producer.h"
#include "common/observability/http_server.h"
#include "common/observability/log.h"
#include "common/postgres/pool.h"
#include "common/shards/config.h"
#include "retranslator/pipeline.h"

namespace saldo::retranslator {

struct RetranslatorConfig {
  log::Options log;
  http::HttpOptions metrics;
  http::HttpOptions status;
  postgres::PoolOptions postgres;  // of each shard, but for the dsn
  shards::ShardsConfig shards;
  // How long a start waits until the database of a shard answers.
  absl::Duration database_start_timeout = absl::Seconds(60);
  kafka::ProducerOptions kafka;
  PipelineOptions relay;

  RetranslatorConfig();
};

void Bind(config::Binder& binder, RetranslatorConfig& config);

}  // namespace saldo::retranslator
