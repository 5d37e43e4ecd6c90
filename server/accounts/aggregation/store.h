// The aggregation's SQL. Every function works inside its caller's transaction.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/base/call_context.h"
#include "common/postgres/pool.h"
#include "common/postgres/transaction.h"

namespace saldo::accounts {

struct AggregationCursor {
  int64_t seq;
  std::string time_zone;
};

// Locks the cursor. Nothing when another transaction holds it.
absl::StatusOr<std::optional<AggregationCursor>> LockAggregationCursor(postgres::Transaction& tx);

// The batches that follow the cursor.
struct AggregationChunk {
  int64_t last_seq = 0;  // of the chunk
  int64_t batches = 0;
  bool more = false;  // whether others follow
  // Their ids, as ranges [low, high), ascending.
  std::vector<int64_t> lows;
  std::vector<int64_t> highs;
};

struct AggregationLimits {
  int64_t batches;
  int64_t events;  // passed by one batch at the most
};

// Without batches when there are none.
absl::StatusOr<AggregationChunk> NextAggregationChunk(postgres::Transaction& tx, int64_t cursor,
                                                      const AggregationLimits& limits);

// Adds the events of the chunk to the turnovers and to the imbalances. Answers how many they are.
absl::StatusOr<int64_t> AddToTurnovers(postgres::Transaction& tx, const AggregationChunk& chunk,
                                       const std::string& time_zone);

// Sets the cursor to the end of the chunk, which then is no longer pending. Sent with the next
// round trip.
absl::Status PassChunk(postgres::Transaction& tx, const AggregationChunk& chunk);

// When every sequenced batch is aggregated: forgets ids that were pending and belonged to
// transactions that rolled back. Sent with the next round trip.
absl::Status RefreshPending(postgres::Transaction& tx);

struct AggregationLag {
  int64_t last_seq;  // of the sequencer
  int64_t cursor;
  double seconds;  // age of the oldest batch that is not aggregated; 0 when there is none
  int64_t imbalanced_assets;
};
absl::StatusOr<AggregationLag> ReadAggregationLag(postgres::Pool& pool, const CallContext& context);

}  // namespace saldo::accounts
