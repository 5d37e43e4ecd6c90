// The transactional outbox: messages for Kafka, written in the transaction that causes them and
// shipped by the retranslator.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/types/span.h"
#include "common/postgres/transaction.h"

namespace saldo::outbox {

struct Message {
  std::string_view topic;  // a constant or configuration
  std::string key;         // messages of one key keep their order
  std::string payload;     // at most kMaxMessageBytes with the key
  std::string_view type;   // what it is, for consumers: a constant, used as the CloudEvents type
  // The change that caused it, where that is not the thread's current span.
  std::string traceparent = {};
};

// What Kafka takes by default, less room for headers.
inline constexpr size_t kMaxMessageBytes = 900 * 1024;

class Outbox {
 public:
  // `committed` is called, if set, after each commit that Committed reports: to wake the sequencer
  // of this process.
  explicit Outbox(absl::AnyInvocable<void() const> committed = nullptr)
      : committed_(std::move(committed)) {}

  // Leaves the batch and its messages to the transaction's last round trip. Call it once, after
  // every row lock is taken: only then does the order of batches follow the order of changes.
  // Carries the current trace. INVALID_ARGUMENT for a message that is too large.
  absl::Status Append(postgres::Transaction& tx, absl::Span<const Message> messages) const;
  // The same under a batch id that the transaction has taken from batch_id_seq itself, in a round
  // trip that began with the transaction's xid and after every row lock.
  absl::Status AppendAs(postgres::Transaction& tx, int64_t batch_id,
                        absl::Span<const Message> messages) const;

  // To be called after the transaction has committed.
  void Committed() const {
    if (committed_) committed_();
  }

 private:
  absl::AnyInvocable<void() const> committed_;
};

}  // namespace saldo::outbox
