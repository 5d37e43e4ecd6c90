// From a row of the outbox to what Kafka gets: the value as it is, and the headers of CloudEvents'
// binary content mode (https://github.com/cloudevents/spec, Kafka protocol binding 1.0.2), with W3C
// traceparent.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "absl/types/span.h"
#include "retranslator/message_slots.h"

namespace saldo::retranslator {

struct EncoderOptions {
  // The CloudEvents source.
  std::string source = "/saldo";
};

class Encoder {
 public:
  // `shard` names the database in message ids, "<shard>-<batch>-<ordinal>": constant for the life
  // of the data.
  Encoder(EncoderOptions options, std::string shard)
      : options_(std::move(options)), shard_(std::move(shard)) {}

  // Fills the slot from `row`, except for its topic. Reuses the slot's memory.
  void Encode(const OutboxRow& row, MessageSlot* slot) const;

  static constexpr size_t kHeadersMax = 7;
  using Headers = std::array<kafka::HeaderView, kHeadersMax>;
  // Views into the slot, its row and this.
  absl::Span<const kafka::HeaderView> HeadersOf(const MessageSlot& slot, Headers* storage) const;

 private:
  const EncoderOptions options_;
  const std::string shard_;
};

}  // namespace saldo::retranslator
