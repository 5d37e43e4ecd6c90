// The configuration of the aggregation and of the retention.
#pragma once

#include "common/config/binder.h"
#include "server/accounts/aggregation/aggregation.h"
#include "server/accounts/aggregation/retention.h"

namespace saldo::accounts {

// The section jobs.aggregation.
struct AggregationConfig {
  bool enabled = true;
  AggregationOptions options;
};
void Bind(config::Binder& binder, AggregationConfig& config);

// The section jobs.event_retention.
struct EventRetentionConfig {
  bool enabled = true;
  EventRetentionOptions options;
};
void Bind(config::Binder& binder, EventRetentionConfig& config);

}  // namespace saldo::accounts
