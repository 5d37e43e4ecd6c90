// The figures of one shard's locks.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "common/observability/metrics.h"

namespace saldo::locks {

class LockMetrics {
 public:
  // `registry` outlives it.
  explicit LockMetrics(metrics::Registry& registry)
      : registry_(registry),
        exclusive_(Granted("exclusive")),
        shared_(Granted("shared")),
        expired_(registry.AddCounter("saldo_locks_expired_total",
                                     "Expired grants that another grant took the place of.")),
        waiting_(
            registry.AddGauge("saldo_locks_waiting", "Calls of Acquire that wait on this server.")),
        wait_seconds_(registry.AddHistogram("saldo_locks_wait_seconds",
                                            "How long calls of Acquire waited that had to.", {},
                                            metrics::LatencyBuckets())) {}

  void CountGrant(bool exclusive, int64_t expired) {
    (exclusive ? exclusive_ : shared_).Increment();
    expired_.Increment(static_cast<double>(expired));
  }
  // A call of Acquire that was not granted, by the reason of its ErrorInfo or by its code.
  void CountRefusal(const absl::Status& status);
  void SetWaiting(size_t calls) { waiting_.Set(static_cast<double>(calls)); }
  void ObserveWait(absl::Duration wait) { wait_seconds_.Observe(absl::ToDoubleSeconds(wait)); }

 private:
  metrics::Counter& Granted(const std::string& mode) {
    return registry_.AddCounter("saldo_locks_granted_total", "Calls of Acquire that were granted.",
                                {{"mode", mode}});
  }

  metrics::Registry& registry_;
  metrics::Counter& exclusive_;
  metrics::Counter& shared_;
  metrics::Counter& expired_;
  metrics::Gauge& waiting_;
  metrics::Histogram& wait_seconds_;
};

}  // namespace saldo::locks
