// An idempotent producer: every message is acknowledged by all in-sync replicas, and those of a key
// keep their order, also across retries by the client library.
//
// Sending never waits. The cheapest use is one thread that calls both TrySend and PollReports: the
// library frees a message where its report is taken, and memory freed by the thread that allocated
// it costs a third less CPU for each message than two threads that share it.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "common/base/call_context.h"
#include "common/kafka/errors.h"
#include "common/kafka/handles.h"
#include "common/kafka/options.h"

namespace saldo::kafka {

enum class Compression { kNone, kGzip, kSnappy, kLz4, kZstd };

struct ProducerOptions {
  ConnectionOptions connection = {};

  // How long a message waits for others to share its batch. Under load batches fill sooner.
  absl::Duration linger = absl::Milliseconds(2);
  // A batch goes when it has so many messages or bytes. A broker refuses a whole batch that is
  // larger than the topic's max.message.bytes, so keep this at or below the smallest of those.
  int batch_messages_max = 10'000;
  int64_t batch_bytes_max = 1'000'000;
  // TrySend refuses a larger message.
  int64_t message_bytes_max = 1'000'000;

  // Bounds of what waits for its report. The bytes are those of values; keys, headers and the
  // library's own records come on top: about 1 KiB for a message with seven headers.
  int queue_messages_max = 100'000;
  int64_t queue_bytes_max = int64_t{64} << 20;

  Compression compression = Compression::kNone;

  // A message that is not delivered for so long fails; its successors may then overtake it.
  // Zero: never, the library retries in order for as long as Kafka is away.
  absl::Duration message_timeout = absl::ZeroDuration();
  // How long messages wait for a topic that does not exist before they fail. 0..1 h.
  absl::Duration topic_wait = absl::Seconds(30);
  // How often leaders and unknown topics are asked for again. 1 s..1 h.
  absl::Duration metadata_refresh = absl::Minutes(1);
  // How often Stats() is renewed; zero: never.
  absl::Duration statistics_interval = absl::Seconds(5);
  // Names that TopicFor keeps.
  size_t topics_max = 10'000;
};

// A topic's handle. Lives as long as its producer.
class Topic {
 public:
  const std::string& name() const { return name_; }

 private:
  friend class Producer;
  Topic(std::string name, TopicHandle handle);

  const std::string name_;
  const TopicHandle handle_;
};

struct HeaderView {
  std::string_view name;
  std::string_view value;
};

struct Message {
  Topic* topic = nullptr;
  // Messages with the same key go to the same partition, chosen as Java clients do (murmur2).
  // Without a key any partition may be chosen.
  std::optional<std::string_view> key = {};
  // None: a tombstone.
  std::optional<std::string_view> value = {};
  absl::Span<const HeaderView> headers = {};
  // Given back in the report.
  uint64_t tag = 0;
  // False: `value` is not copied, and must stay as it is until the report. The rest always is.
  bool copy_value = true;
};

struct SendResult {
  enum class Outcome {
    kQueued,     // a report follows
    kQueueFull,  // nothing happened; try again after PollReports has given reports
    kFailed,     // nothing happened; see `error` and `error_class`
  };
  Outcome outcome = Outcome::kQueued;
  ErrorCode error = kNoError;
  // kPermanent, kRetriable (an unknown topic) or kFatal when the outcome is kFailed.
  ErrorClass error_class = ErrorClass::kNone;

  bool queued() const { return outcome == Outcome::kQueued; }
  absl::Status status() const { return ToStatus(error, "send to Kafka"); }
};

struct DeliveryReport {
  uint64_t tag = 0;
  ErrorCode error = kNoError;
  ErrorClass error_class = ErrorClass::kNone;
  // Only for a failed message: a broker may have stored it all the same.
  bool possibly_stored = false;
  int32_t partition = -1;
  int64_t offset = -1;  // of a delivered message

  bool ok() const { return error == kNoError; }
  absl::Status status() const { return ToStatus(error, "deliver to Kafka"); }
};

// As of the last statistics interval.
struct ProducerStats {
  int64_t queued_messages = 0;
  int64_t queued_bytes = 0;
  int brokers_up = 0;
};

class Producer {
 public:
  using ReportCallback = absl::FunctionRef<void(const DeliveryReport&)>;

  // Does not wait for a broker. INVALID_ARGUMENT names a setting that is not accepted.
  static absl::StatusOr<std::unique_ptr<Producer>> Create(const ProducerOptions& options);

  // Drops what is not delivered yet, without reports; does not wait for the brokers.
  ~Producer();
  Producer(const Producer&) = delete;
  Producer& operator=(const Producer&) = delete;

  // INVALID_ARGUMENT for a name that Kafka does not allow. Does not ask whether the topic exists.
  // Thread-safe; keep the result instead of asking for each message.
  absl::StatusOr<Topic*> TopicFor(std::string_view name);

  // Never waits. Thread-safe.
  SendResult TrySend(const Message& message);

  // Hands out the reports that are there, or waits at most `wait` for the first. Returns how many.
  // All calls of this and of Flush come from one thread at a time.
  size_t PollReports(absl::Duration wait, ReportCallback on_report);

  // Ends the wait of PollReports or Flush under way, or of the next. Thread-safe.
  void WakeReports();

  // Hands out reports until none is due. DEADLINE_EXCEEDED when some are still due at `deadline`,
  // CANCELLED after WakeReports.
  absl::Status Flush(absl::Time deadline, ReportCallback on_report);

  // Gives up what is queued and in flight: PollReports then reports each as failed (retriable, and
  // `possibly_stored` when it was in flight).
  void Purge();

  // Messages whose report has not been handed out. Thread-safe, cheap.
  int64_t in_flight() const { return in_flight_.load(std::memory_order_relaxed); }

  // Whether a broker answers in time: for readiness. Thread-safe; waits.
  absl::Status Ping(const CallContext& context);

  // OK, or why this producer can send nothing more and must be made anew. Thread-safe, cheap.
  absl::Status fatal_error() const;

  // True from the library's notice that no broker can be reached until the next delivery. Noticed
  // by PollReports. Thread-safe.
  bool all_brokers_down() const { return all_brokers_down_.load(std::memory_order_relaxed); }
  ProducerStats Stats() const ABSL_LOCKS_EXCLUDED(stats_mutex_);

 private:
  Producer(const ProducerOptions& options, ClientHandle client, QueueHandle queue);

  size_t HandleEvent(rd_kafka_op_s* event, ReportCallback on_report);
  size_t HandleReports(rd_kafka_op_s* event, ReportCallback on_report);
  void HandleError(rd_kafka_op_s* event);
  void HandleStats(std::string_view json) ABSL_LOCKS_EXCLUDED(stats_mutex_);

  const int64_t queue_messages_max_;
  const size_t topics_max_;
  const ClientHandle client_;
  const QueueHandle queue_;

  std::atomic<int64_t> in_flight_{0};
  std::atomic<bool> all_brokers_down_{false};
  std::atomic<bool> woken_{false};

  absl::Mutex topics_mutex_;
  absl::flat_hash_map<std::string, std::unique_ptr<Topic>> topics_ ABSL_GUARDED_BY(topics_mutex_);

  mutable absl::Mutex stats_mutex_;
  ProducerStats stats_ ABSL_GUARDED_BY(stats_mutex_);
};

// OK, or INVALID_ARGUMENT: 1..249 of letters, digits, '.', '_' and '-', and neither "." nor "..".
absl::Status CheckTopicName(std::string_view name);

// Reads the few figures of ProducerStats from the library's statistics (JSON).
ProducerStats ParseStats(std::string_view json);

}  // namespace saldo::kafka
