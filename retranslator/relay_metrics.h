// The metrics of the relay, resolved once.
#pragma once

#include <string_view>

#include "common/observability/metrics.h"

namespace saldo::retranslator {

struct RelayMetrics {
  explicit RelayMetrics(metrics::Registry& r);

  // Attempts to send that failed, by the error's name.
  metrics::Counter& FailedBy(std::string_view reason);

  metrics::Registry& registry;
  metrics::Gauge& active;
  metrics::Gauge& processing;
  metrics::Gauge& lag_messages;
  metrics::Gauge& lag_batches;
  metrics::Gauge& oldest_seconds;
  metrics::Counter& sent;
  metrics::Counter& dead;
  metrics::Gauge& dead_letters;
  metrics::Counter& restarts;
  metrics::Counter& dropped_partitions;
  metrics::Histogram& commit_to_ack_seconds;
};

}  // namespace saldo::retranslator
