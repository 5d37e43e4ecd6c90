// Hands encoded messages to Kafka in order, and takes its reports: completes what is delivered,
// tries again what failed, gives up what will never succeed. One thread does both, which costs the
// client library least.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/base/bounded_queue.h"
#include "common/kafka/producer.h"
#include "common/observability/trace.h"
#include "retranslator/dead_letters.h"
#include "retranslator/delivery_window.h"
#include "retranslator/encoder.h"
#include "retranslator/message_slots.h"
#include "retranslator/relay_metrics.h"
#include "retranslator/retry_lanes.h"

namespace saldo::retranslator {

class Sender {
 public:
  // What a sender works with; all of it outlives the sender.
  struct Parts {
    kafka::Producer& kafka;
    MessageSlots& slots;
    DeliveryWindow& window;
    DeadLetterBox& dead_letters;
    const Encoder& encoder;
    const trace::Tracer& tracer;
    RelayMetrics& metrics;
  };

  // `groups_max` bounds what waits in front of the sender; the window bounds it in messages.
  Sender(const Parts& parts, const RetryOptions& retry, size_t groups_max);

  // Takes positions whose slots are filled; those of a key in their order. False after Finish.
  bool Submit(std::vector<uint64_t> positions);

  // Works until Finish has been called and what was submitted is settled, or the producer is
  // broken. The body of the sender's thread.
  void Run();

  // No more is submitted. Run ends when everything in flight is reported, at the latest at
  // `deadline`; what waits for another try stays undelivered, and the cursor before it.
  void Finish(absl::Time deadline);

  // Ends Run at once: what Kafka has not taken yet is taken back, and nothing more is sent. For a
  // relay that has lost its lock. Then call Finish.
  void Abandon();

  // Why the producer must be made anew, or OK.
  absl::Status failure() const;

 private:
  void TakeSubmitted();
  void SendAll(absl::Time now);
  void TakeDueRetries(absl::Time now);
  void SendAlone(absl::Time now);
  // False when Kafka's queue is full: nothing happened.
  bool Send(uint64_t position, absl::Time now);
  void OnReport(const kafka::DeliveryReport& report);
  void OnFailure(uint64_t position, kafka::ErrorCode code, kafka::ErrorClass error_class,
                 absl::Time now);
  void GiveUp(uint64_t position, kafka::ErrorCode code, absl::Time now);
  void RecordSpan(const MessageSlot& slot, const kafka::DeliveryReport& report, absl::Time now);
  bool Abandoned() const;
  bool Settled() const;
  absl::Duration WaitForReports(absl::Time now) const;
  static std::string LaneOf(const MessageSlot& slot);

  const Parts parts_;
  const RetryOptions retry_;
  BoundedQueue<std::vector<uint64_t>> submitted_;

  // Of the sender's thread.
  std::deque<std::vector<uint64_t>> ready_;
  size_t ready_at_ = 0;  // in the first group of `ready_`
  RetryLanes lanes_;
  std::deque<uint64_t> retries_;  // due, and not yet taken by Kafka's queue
  std::deque<uint64_t> alone_;    // to be sent with nothing else in flight
  std::optional<uint64_t> alone_out_;
  // Topics that do not exist, found out the slow way: until then their messages are not tried
  // again.
  absl::flat_hash_map<const kafka::Topic*, absl::Time> missing_topics_;
  std::vector<uint64_t> completed_;
  absl::Status broken_;  // why the producer must be made anew, where it does not know itself

  mutable absl::Mutex mutex_;
  bool abandoned_ ABSL_GUARDED_BY(mutex_) = false;
  bool finishing_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Time finish_deadline_ ABSL_GUARDED_BY(mutex_) = absl::InfiniteFuture();
  absl::Status failure_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace saldo::retranslator
