// The SQL of the retention.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/base/call_context.h"
#include "common/postgres/pool.h"
#include "common/postgres/transaction.h"

namespace saldo::accounts {

absl::StatusOr<std::vector<int32_t>> ReadTypeIds(postgres::Pool& pool, const CallContext& context);

struct PartitionWidths {
  int64_t min;
  int64_t max;
};

// Notes when partitions were filled and, when any was, sets how wide the next ones will be. Sent
// with the next round trip.
absl::Status MarkFilledPartitions(postgres::Transaction& tx, int32_t type_id,
                                  const PartitionWidths& widths);

// Answers how many were made.
absl::StatusOr<int32_t> ExtendEventPartitions(postgres::Transaction& tx, int32_t type_id,
                                              int32_t ahead);

// Drops what may be dropped, and stores until when. Answers how many partitions.
absl::StatusOr<int32_t> DropEventPartitions(postgres::Transaction& tx, int32_t type_id);

// Answers whether a new epoch began.
absl::StatusOr<bool> AdvanceRequestEpoch(postgres::Transaction& tx, absl::Duration retention);
// Drops the epochs that no request id is looked for in any more. Answers how many.
absl::StatusOr<int32_t> DropRequestEpochs(postgres::Transaction& tx);

}  // namespace saldo::accounts
