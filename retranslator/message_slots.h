// The messages on their way, encoded, one slot for each position that the window can hold. A slot
// belongs to whoever has the position: first its producer, then the sender; hand-over is by the
// queues between them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "common/kafka/producer.h"
#include "common/observability/trace.h"
#include "retranslator/outbox_reader.h"

namespace saldo::retranslator {

struct MessageSlot {
  const OutboxRow* row = nullptr;  // lives in the window's memory
  kafka::Topic* topic = nullptr;   // null: the name is not one that Kafka allows
  std::string id;                  // stable: shard-batch-ordinal
  std::string time;                // RFC 3339
  std::string traceparent;
  trace::SpanContext span;  // of the send; valid only when it is recorded
  absl::Time sent_at;
  int attempts = 0;    // how often it was sent
  bool alone = false;  // a batch was refused with it inside: send it by itself
};

class MessageSlots {
 public:
  explicit MessageSlots(size_t count) : slots_(count) {}
  MessageSlot& at(uint64_t position) { return slots_[position % slots_.size()]; }

 private:
  std::vector<MessageSlot> slots_;
};

}  // namespace saldo::retranslator
