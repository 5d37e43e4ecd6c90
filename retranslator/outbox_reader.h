// Reads the outbox in the order of seq. The SQL of the relay's reading side.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/base/call_context.h"
#include "common/postgres/connection.h"
#include "retranslator/delivery_window.h"

namespace saldo::retranslator {

// A row of the outbox; its views point into the chunk that holds it.
struct OutboxRow {
  int64_t seq;
  int64_t batch_id;
  int32_t ordinal;
  absl::Time created_at;  // of the batch
  std::string_view topic;
  std::string_view key;
  std::string_view payload;
  std::string_view type;
  std::optional<std::string_view> traceparent;
  std::optional<std::string_view> message_id;
};

// Whole batches, in the order of seq, with all their messages.
struct Chunk {
  std::vector<DeliveryWindow::Batch> batches;
  std::vector<OutboxRow> rows;
  size_t bytes = 0;  // of keys and payloads
  uint64_t first_position = 0;
  std::vector<std::shared_ptr<const void>> memory;  // the results that the rows point into
};

struct ReadLimits {
  // A single batch may exceed both.
  int messages = 5'000;
  int64_t bytes = int64_t{4} << 20;
};

// The batches to read next, as the sequencer has listed them.
struct BatchList {
  struct Item {
    int64_t seq;
    int64_t batch_id;
    absl::Time created_at;
    int32_t messages;
    int64_t bytes;
  };
  std::vector<Item> items;
  size_t messages = 0;
  size_t bytes = 0;
};

class OutboxReader {
 public:
  explicit OutboxReader(postgres::Connection& connection) : connection_(connection) {}

  // Takes the relay's lock of this database. False when another process has it. It is held as long
  // as the connection.
  absl::StatusOr<bool> TryLock(const CallContext& context);
  // Sets the connection up for reading: waits on it end with the sequencer's signal.
  absl::Status Prepare(const CallContext& context);
  absl::StatusOr<int64_t> Cursor(const CallContext& context);

  // What follows `after_seq`, within the limits but at least one batch; empty when there is
  // nothing.
  absl::StatusOr<BatchList> List(const CallContext& context, int64_t after_seq,
                                 const ReadLimits& limits);
  // The messages of these batches. DATA_LOSS when one is not complete, which nothing in Saldo
  // causes.
  absl::StatusOr<std::shared_ptr<Chunk>> Fetch(const CallContext& context, const BatchList& list);

 private:
  postgres::Connection& connection_;
};

}  // namespace saldo::retranslator
