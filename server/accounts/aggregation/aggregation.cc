#include "server/accounts/aggregation/aggregation.h"

#include <algorithm>

#include "absl/time/clock.h"
#include "common/base/status_macros.h"
#include "common/observability/log.h"
#include "server/accounts/aggregation/store.h"

namespace saldo::accounts {
namespace {

constexpr absl::Duration kCallTimeout = absl::Seconds(60);
// How often CatchUp looks whether another server has moved on.
constexpr absl::Duration kBusyWait = absl::Milliseconds(20);

}  // namespace

Aggregation::Aggregation(const AggregationOptions& options, postgres::Pool& pool,
                         metrics::Registry& registry)
    : options_(options),
      pool_(pool),
      lag_batches_(registry.AddGauge("saldo_aggregation_lag_batches",
                                     "Sequenced batches that are not in the turnovers yet.")),
      lag_seconds_(registry.AddGauge("saldo_aggregation_lag_seconds",
                                     "Age of the oldest batch that is not in the turnovers yet.")),
      imbalanced_assets_(registry.AddGauge(
          "saldo_ledger_imbalanced_assets",
          "Assets whose balanced writes do not sum up to zero: anything but 0 is a fault.")),
      batches_total_(registry.AddCounter("saldo_aggregation_batches_total",
                                         "Batches that were added to the turnovers.")),
      events_total_(registry.AddCounter("saldo_aggregation_events_total",
                                        "Events that were added to the turnovers.")),
      failures_total_(registry.AddCounter("saldo_aggregation_failures_total", "Runs that failed.")),
      chunk_seconds_(registry.AddHistogram("saldo_aggregation_chunk_duration_seconds",
                                           "Duration of a run that added batches.", {},
                                           metrics::LatencyBuckets())),
      job_("aggregation", {.interval = options.interval},
           [this](runtime::StopSignal& stop) { return RunAndRest(stop); }) {}

absl::StatusOr<bool> Aggregation::RunAndRest(runtime::StopSignal& stop) {
  const absl::Time start = absl::Now();
  SALDO_ASSIGN_OR_RETURN(const bool more, RunOnce());
  // What comes meanwhile ages, too.
  const absl::Duration until_late = options_.lag_max - absl::Seconds(lag_seconds_.Value());
  stop.WaitFor(std::clamp((absl::Now() - start) * (1 / options_.share - 1), absl::ZeroDuration(),
                          std::max(until_late, absl::ZeroDuration())));
  return more;
}

absl::StatusOr<bool> Aggregation::RunOnce() {
  SALDO_ASSIGN_OR_RETURN(const Chunk chunk, RunChunk());
  SALDO_RETURN_IF_ERROR(ShowLag());
  return chunk.more;
}

absl::Status Aggregation::CatchUp(runtime::StopSignal& stop) {
  SALDO_ASSIGN_OR_RETURN(AggregationLag lag,
                         ReadAggregationLag(pool_, CallContext::WithTimeout(kCallTimeout)));
  const int64_t target = lag.last_seq;
  while (lag.cursor < target) {
    if (stop.stopped()) return absl::CancelledError("stopped before the aggregation caught up");
    SALDO_ASSIGN_OR_RETURN(const Chunk chunk, RunChunk());
    if (chunk.busy) stop.WaitFor(kBusyWait);
    SALDO_ASSIGN_OR_RETURN(lag, ReadAggregationLag(pool_, CallContext::WithTimeout(kCallTimeout)));
  }
  return absl::OkStatus();
}

absl::StatusOr<Aggregation::Chunk> Aggregation::RunChunk() {
  const absl::Time start = absl::Now();
  Chunk chunk;
  const absl::Status status =
      pool_.Transact(CallContext::WithTimeout(kCallTimeout),
                     {.name = "aggregation.chunk", .asynchronous_commit = true},
                     [&](postgres::Transaction& tx) { return TakeChunk(tx, &chunk); });
  if (!status.ok()) failures_total_.Increment();
  SALDO_RETURN_IF_ERROR(status);
  if (chunk.batches > 0) {
    chunk_seconds_.Observe(absl::ToDoubleSeconds(absl::Now() - start));
    batches_total_.Increment(static_cast<double>(chunk.batches));
    events_total_.Increment(static_cast<double>(chunk.events));
  }
  return chunk;
}

absl::Status Aggregation::TakeChunk(postgres::Transaction& tx, Chunk* chunk) {
  *chunk = {};
  SALDO_ASSIGN_OR_RETURN(const std::optional<AggregationCursor> cursor, LockAggregationCursor(tx));
  if (!cursor.has_value()) {
    chunk->busy = true;
    return absl::OkStatus();
  }
  SALDO_ASSIGN_OR_RETURN(
      const AggregationChunk next,
      NextAggregationChunk(tx, cursor->seq,
                           {.batches = options_.batch_limit, .events = options_.event_limit}));
  if (next.batches == 0) return RefreshPending(tx);
  SALDO_ASSIGN_OR_RETURN(chunk->events, AddToTurnovers(tx, next, cursor->time_zone));
  chunk->batches = next.batches;
  chunk->more = next.more;
  return PassChunk(tx, next);
}

absl::Status Aggregation::ShowLag() {
  SALDO_ASSIGN_OR_RETURN(const AggregationLag lag,
                         ReadAggregationLag(pool_, CallContext::WithTimeout(kCallTimeout)));
  lag_batches_.Set(static_cast<double>(lag.last_seq - lag.cursor));
  lag_seconds_.Set(lag.seconds);
  if (lag.imbalanced_assets > 0 && imbalanced_assets_.Value() == 0)
    log::Error("balanced writes do not sum up to zero", {{"assets", lag.imbalanced_assets}});
  imbalanced_assets_.Set(static_cast<double>(lag.imbalanced_assets));
  return absl::OkStatus();
}

}  // namespace saldo::accounts
