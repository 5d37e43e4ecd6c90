// Keeps partitions ready ahead of those who write, and drops those that every reader has passed.
// Several may run at once.
#pragma once

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/observability/metrics.h"
#include "common/postgres/pool.h"
#include "common/runtime/periodic_job.h"

namespace saldo::jobs {

struct PartitionKeeperOptions {
  absl::Duration interval = absl::Seconds(5);
  // Partitions of a million ids to keep empty ahead: at 20,000 transactions a second, one lasts 50
  // s.
  int ahead = 3;
};

class PartitionKeeper : public runtime::Service {
 public:
  PartitionKeeper(const PartitionKeeperOptions& options, postgres::Pool& pool,
                  metrics::Registry& registry);

  std::string_view name() const override { return job_.name(); }
  absl::Status Start() override { return job_.Start(); }
  void Stop() override { job_.Stop(); }

  // Extends, then drops. False: nothing is left to do. For tests; the job calls it by itself.
  absl::StatusOr<bool> RunOnce();

 private:
  const PartitionKeeperOptions options_;
  postgres::Pool& pool_;
  metrics::Counter& made_;
  metrics::Counter& dropped_;
  runtime::PeriodicJob job_;
};

}  // namespace saldo::jobs
