// The SQL of `saldo outbox`.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "common/base/call_context.h"
#include "common/postgres/connection.h"

namespace saldo::cli::outbox {

// What waits, and how long the oldest of it has; no age when nothing does.
struct Backlog {
  int64_t batches = 0;
  int64_t messages = 0;
  std::optional<absl::Duration> oldest;
};

struct Cursor {
  std::string consumer;
  int64_t seq;
  absl::Time updated_at;
  Backlog lag;  // of what has its seq
};

// A session that holds the lock of a part of which one works at a time.
struct LockHolder {
  std::string lock;  // "sequencer" or "relay"
  int32_t pid;       // of PostgreSQL's backend
  std::string application;
  std::string client;
  absl::Time connected_at;
};

struct Partition {
  std::string parent;
  int64_t lower_bound;
  int64_t upper_bound;  // exclusive
  int64_t bytes;        // with indexes
};

struct Status {
  int64_t last_seq = 0;
  int64_t last_message = 0;
  int64_t scanned_to = 0;
  std::vector<int64_t> gaps;
  Backlog unsequenced;
  std::vector<Cursor> cursors;
  int64_t dead_waiting = 0;
  std::optional<absl::Duration> dead_oldest;
  std::vector<LockHolder> holders;
  std::vector<Partition> partitions;
};

// By one snapshot.
absl::StatusOr<Status> ReadStatus(postgres::Connection& connection, const CallContext& context);

struct DeadLetter {
  int64_t id;
  std::string message_id;
  std::string topic;
  std::string key;  // any bytes
  std::string type;
  int32_t attempts;
  absl::Time failed_at;
  std::string error;
  int64_t payload_bytes;
};

// The first `limit` of those that wait, by id.
absl::StatusOr<std::vector<DeadLetter>> ReadDead(postgres::Connection& connection,
                                                 const CallContext& context, int64_t limit);

// How many wait.
absl::StatusOr<int64_t> CountDead(postgres::Connection& connection, const CallContext& context);

struct DeadSize {
  int64_t id;
  int64_t bytes;  // of key and payload
};

// Of `ids`, those that exist and wait, by id.
absl::StatusOr<std::vector<DeadSize>> FindWaiting(postgres::Connection& connection,
                                                  const CallContext& context,
                                                  absl::Span<const int64_t> ids);
// The first `limit` that wait above the id `after` and up to `last`.
absl::StatusOr<std::vector<DeadSize>> ListWaiting(postgres::Connection& connection,
                                                  const CallContext& context, int64_t after,
                                                  int64_t last, int64_t limit);
// The highest id of all; 0 when there is none.
absl::StatusOr<int64_t> LastDead(postgres::Connection& connection, const CallContext& context);

// Sends the messages anew, as one batch and in one transaction, under the ids that they had, and
// marks them. Answers how many: someone else may have been quicker. With `all_or_none`, that is
// FAILED_PRECONDITION, naming them.
absl::StatusOr<int64_t> Redrive(postgres::Connection& connection, const CallContext& context,
                                absl::Span<const int64_t> ids, bool all_or_none);

// FAILED_PRECONDITION that names those of `wanted` that are not in `found`; both in order.
absl::Status NotWaiting(absl::Span<const int64_t> wanted, absl::Span<const int64_t> found);

}  // namespace saldo::cli::outbox
