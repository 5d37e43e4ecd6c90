// Time and errors of statements, by their names.
#pragma once

#include <string_view>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/observability/metrics.h"

namespace saldo::postgres {

class StatementMetrics {
 public:
  explicit StatementMetrics(metrics::Registry& registry) : registry_(registry) {}

  // `statement` must be a Statement's name: a constant.
  void Observe(std::string_view statement, absl::Duration time, bool ok);

 private:
  struct PerStatement {
    metrics::Histogram* seconds;
    metrics::Counter* errors;
  };

  metrics::Registry& registry_;
  absl::Mutex mutex_;
  absl::flat_hash_map<std::string_view, PerStatement> statements_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace saldo::postgres
