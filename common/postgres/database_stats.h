// What a database tells of itself, shown as metrics: its size, connections and oldest transaction.
#pragma once

#include <string_view>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/observability/metrics.h"
#include "common/postgres/pool.h"
#include "common/runtime/periodic_job.h"

namespace saldo::postgres {

// Asks the database every now and then, as asking at each scrape would let scrapes wait for it.
// While the database is away, the figures stay as they were.
//
// Transactions of other roles are seen only with the rights of pg_monitor.
class DatabaseStats final : public runtime::Service {
 public:
  // Both must outlive this.
  DatabaseStats(Pool& pool, metrics::Registry& registry,
                absl::Duration interval = absl::Seconds(10));

  std::string_view name() const override { return job_.name(); }
  absl::Status Start() override { return job_.Start(); }
  void Stop() override { job_.Stop(); }

  // For tests; the job calls it by itself.
  absl::Status RunOnce();

 private:
  Pool& pool_;
  metrics::Gauge& size_;
  metrics::Gauge& oldest_transaction_;
  metrics::Gauge& connections_;
  metrics::Gauge& connections_max_;
  runtime::PeriodicJob job_;
};

}  // namespace saldo::postgres
