// Adds the events of sequenced batches to the turnovers of days, months and years, by cursor.
//
// A run takes one bounded chunk of batches in one transaction, which also moves the cursor and the
// mark of what is pending, so whoever reads balances sees a batch either in the turnovers or as
// pending, never both or neither. Servers that run it at once take turns.
#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/observability/metrics.h"
#include "common/postgres/pool.h"
#include "common/runtime/periodic_job.h"

namespace saldo::accounts {

struct AggregationOptions {
  // From the end of a run that found no more to the next. What is not aggregated is read event by
  // event for every balance, so a longer interval makes reading slower.
  absl::Duration interval = absl::Milliseconds(250);
  // The most batches of one run.
  int batch_limit = 10'000;
  // The most events of one run, but for the last batch. A larger chunk costs less per event, where
  // accounts repeat, and up to 1 KB of the database's memory for each account and day.
  int event_limit = 200'000;
  // The part of its time that the job may work while writes go on: what it takes from the database,
  // they lack. Larger chunks cost less for each event, so it keeps up with less; above `lag_max` it
  // no longer holds back.
  double share = 0.25;
  absl::Duration lag_max = absl::Seconds(2);
};

class Aggregation : public runtime::Service {
 public:
  // `pool` and `registry` outlive this.
  Aggregation(const AggregationOptions& options, postgres::Pool& pool, metrics::Registry& registry);
  ~Aggregation() override { Stop(); }

  std::string_view name() const override { return job_.name(); }
  absl::Status Start() override { return job_.Start(); }
  void Stop() override { job_.Stop(); }

  // Takes one chunk. True: more batches wait. False: none, or another server is at it. The job
  // calls it by itself; it is public for tests and benchmarks.
  absl::StatusOr<bool> RunOnce();

  // Returns once everything that is sequenced now has been aggregated, by this or by another
  // server, or with CANCELLED at a stop. Works with or without Start.
  absl::Status CatchUp(runtime::StopSignal& stop);

 private:
  // What a try at one chunk came to.
  struct Chunk {
    bool busy = false;  // another server holds the cursor
    bool more = false;
    int64_t batches = 0;
    int64_t events = 0;
  };

  // Runs and then rests, see AggregationOptions::share.
  absl::StatusOr<bool> RunAndRest(runtime::StopSignal& stop);
  absl::StatusOr<Chunk> RunChunk();
  absl::Status TakeChunk(postgres::Transaction& tx, Chunk* chunk);
  absl::Status ShowLag();

  const AggregationOptions options_;
  postgres::Pool& pool_;
  metrics::Gauge& lag_batches_;
  metrics::Gauge& lag_seconds_;
  metrics::Gauge& imbalanced_assets_;
  metrics::Counter& batches_total_;
  metrics::Counter& events_total_;
  metrics::Counter& failures_total_;
  metrics::Histogram& chunk_seconds_;
  runtime::PeriodicJob job_;
};

}  // namespace saldo::accounts
