#include "common/postgres/statement_metrics.h"

#include <string>

namespace saldo::postgres {

void StatementMetrics::Observe(std::string_view statement, absl::Duration time, bool ok) {
  PerStatement metrics;
  {
    absl::MutexLock lock(&mutex_);
    auto [it, added] = statements_.try_emplace(statement);
    if (added) {
      const metrics::Labels labels{{"statement", std::string(statement)}};
      it->second.seconds = &registry_.AddHistogram(
          "saldo_postgres_statement_seconds",
          "Time from sending a statement, or from the end of the one before it "
          "in its round trip, to its answer.",
          labels, metrics::LatencyBuckets());
      it->second.errors =
          &registry_.AddCounter("saldo_postgres_statement_errors_total",
                                "Statements that the server answered with an error.", labels);
    }
    metrics = it->second;
  }
  metrics.seconds->Observe(absl::ToDoubleSeconds(time));
  if (!ok) metrics.errors->Increment();
}

}  // namespace saldo::postgres
