// Upkeep of what is kept for a time: the partitions of events, each type with its own retention,
// and the keys that make writes idempotent. Any number of servers may run it at once.
//
// A partition is dropped when its last event was written longer ago than its type's retention, all
// of it is in the turnovers, and every consumer has passed it. Balances and turnovers at the starts
// of days stay exact; account_types.kept_since tells which other moments can be answered.
#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/observability/metrics.h"
#include "common/postgres/pool.h"
#include "common/runtime/periodic_job.h"

namespace saldo::accounts {

struct EventRetentionOptions {
  absl::Duration interval = absl::Seconds(5);
  // Empty partitions to keep ahead, for each type.
  int ahead = 3;
  // How long a write is surely recognised when it is repeated; it may be twice as long.
  absl::Duration request_retention = absl::Hours(24);
  // A partition is as many batch ids wide as are used in a twelfth of the type's retention, within
  // these bounds. The lower one must last for some intervals.
  int64_t width_min = 100'000;
  int64_t width_max = 1'000'000'000;
};

class EventRetention : public runtime::Service {
 public:
  // `pool` and `registry` outlive this.
  EventRetention(const EventRetentionOptions& options, postgres::Pool& pool,
                 metrics::Registry& registry);
  ~EventRetention() override { Stop(); }

  std::string_view name() const override { return job_.name(); }
  absl::Status Start() override { return job_.Start(); }
  void Stop() override { job_.Stop(); }

  // Extends, drops, and turns the keys over. False: nothing is left to do. The job calls it by
  // itself. What others hold locked for long is left to the next run. A type that fails does not
  // keep the others from being looked after; the first failure is the answer.
  absl::StatusOr<bool> RunOnce();

 private:
  absl::Status Extend(int32_t type_id);
  absl::Status Drop(int32_t type_id);
  absl::Status TurnRequestKeysOver();

  const EventRetentionOptions options_;
  postgres::Pool& pool_;
  metrics::Counter& made_;
  metrics::Counter& dropped_;
  runtime::PeriodicJob job_;
};

}  // namespace saldo::accounts
