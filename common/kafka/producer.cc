#include "common/kafka/producer.h"

#include <librdkafka/rdkafka.h>

#include <algorithm>
#include <array>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/base/strings.h"
#include "common/kafka/conf.h"
#include "common/kafka/metadata.h"
#include "common/observability/log.h"

namespace saldo::kafka {
namespace {

// Keeps one call of PollReports short; an event holds the reports of one batch.
constexpr int kEventsPerPoll = 64;

const char* Name(Compression compression) {
  switch (compression) {
    case Compression::kNone:
      return "none";
    case Compression::kGzip:
      return "gzip";
    case Compression::kSnappy:
      return "snappy";
    case Compression::kLz4:
      return "lz4";
    case Compression::kZstd:
      return "zstd";
  }
  return "none";
}

// The library takes a null pointer for "none" and a size of 0 for "empty".
const char* PointerTo(const std::optional<std::string_view>& text) {
  if (!text.has_value()) return nullptr;
  return text->data() != nullptr ? text->data() : "";
}
size_t SizeOf(const std::optional<std::string_view>& text) {
  return text.has_value() ? text->size() : 0;
}

HeadersHandle MakeHeaders(absl::Span<const HeaderView> headers) {
  if (headers.empty()) return nullptr;
  HeadersHandle made(rd_kafka_headers_new(headers.size()));
  for (const HeaderView& header : headers) {
    rd_kafka_header_add(made.get(), header.name.data() != nullptr ? header.name.data() : "",
                        static_cast<ssize_t>(header.name.size()),
                        header.value.data() != nullptr ? header.value.data() : "",
                        static_cast<ssize_t>(header.value.size()));
  }
  return made;
}

SendResult Refused(ErrorCode error) {
  if (error == RD_KAFKA_RESP_ERR__QUEUE_FULL) {
    return {.outcome = SendResult::Outcome::kQueueFull,
            .error = error,
            .error_class = ErrorClass::kRetriable};
  }
  ErrorClass error_class = Classify(error);
  // Here the library judged this message alone.
  if (error_class == ErrorClass::kBatchRefused) error_class = ErrorClass::kPermanent;
  return {.outcome = SendResult::Outcome::kFailed, .error = error, .error_class = error_class};
}

int64_t NumberAfter(std::string_view json, std::string_view key) {
  const size_t at = json.find(key);
  if (at == std::string_view::npos) return 0;
  const std::string_view rest = json.substr(at + key.size());
  int64_t number = 0;
  return absl::SimpleAtoi(AsAbsl(rest.substr(0, rest.find_first_of(",}"))), &number) ? number : 0;
}

}  // namespace

Topic::Topic(std::string name, TopicHandle handle)
    : name_(std::move(name)), handle_(std::move(handle)) {}

absl::StatusOr<std::unique_ptr<Producer>> Producer::Create(const ProducerOptions& options) {
  ConfBuilder conf(options.connection);
  conf.Set("acks", "all");
  conf.Set("enable.idempotence", true);
  // With more, librdkafka can lose messages and call them delivered: a broker takes any sequence
  // from a producer that it does not know in a partition, so when the first batch must be tried
  // again (the partition was just made, or has moved) and the second is taken, the first is refused
  // for ever, and the library takes the second's success for both
  // (https://github.com/confluentinc/confluent-kafka-go/issues/921).
  conf.Set("max.in.flight", int64_t{1});
  conf.Set("partitioner", "murmur2_random");
  conf.SetMillis("linger.ms", options.linger);
  conf.Set("batch.num.messages", int64_t{options.batch_messages_max});
  conf.Set("batch.size", options.batch_bytes_max);
  conf.Set("message.max.bytes", options.message_bytes_max);
  conf.Set("queue.buffering.max.messages", int64_t{options.queue_messages_max});
  conf.Set("queue.buffering.max.kbytes", std::max<int64_t>(1, options.queue_bytes_max / 1024));
  conf.Set("compression.codec", Name(options.compression));
  conf.SetMillis("message.timeout.ms", options.message_timeout);
  conf.SetMillis("topic.metadata.propagation.max.ms", options.topic_wait);
  conf.SetMillis("topic.metadata.refresh.interval.ms", options.metadata_refresh);
  conf.SetMillis("statistics.interval.ms", options.statistics_interval);
  // An event queue instead of callbacks: a whole batch's reports come in one event.
  conf.EnableEvents(RD_KAFKA_EVENT_DR | RD_KAFKA_EVENT_ERROR | RD_KAFKA_EVENT_STATS);
  SALDO_ASSIGN_OR_RETURN(ClientHandle client, std::move(conf).BuildProducer());
  QueueHandle queue(rd_kafka_queue_get_main(client.get()));
  return std::unique_ptr<Producer>(new Producer(options, std::move(client), std::move(queue)));
}

Producer::Producer(const ProducerOptions& options, ClientHandle client, QueueHandle queue)
    : queue_messages_max_(options.queue_messages_max),
      topics_max_(options.topics_max),
      client_(std::move(client)),
      queue_(std::move(queue)) {}

Producer::~Producer() {
  Purge();
  // Reports hold their topics, so they go before them.
  while (in_flight() > 0) {
    if (PollReports(absl::Milliseconds(100), [](const DeliveryReport&) {}) == 0) break;
  }
}

absl::StatusOr<Topic*> Producer::TopicFor(std::string_view name) {
  absl::MutexLock lock(&topics_mutex_);
  if (const auto known = topics_.find(AsAbsl(name)); known != topics_.end())
    return known->second.get();
  SALDO_RETURN_IF_ERROR(CheckTopicName(name));
  if (topics_.size() >= topics_max_) {
    return absl::ResourceExhaustedError(
        absl::StrCat("kafka: more than ", topics_max_, " topics in use"));
  }
  std::string owned(name);
  TopicHandle handle(rd_kafka_topic_new(client_.get(), owned.c_str(), nullptr));
  if (handle == nullptr) return ToStatus(rd_kafka_last_error(), "open a topic");
  std::unique_ptr<Topic> topic(new Topic(owned, std::move(handle)));
  return topics_.emplace(std::move(owned), std::move(topic)).first->second.get();
}

SendResult Producer::TrySend(const Message& message) {
  // Counted first: the report may be handed out before the library's call returns. And refused
  // before headers are made, for a caller that tries again and again.
  if (in_flight_.fetch_add(1, std::memory_order_relaxed) >= queue_messages_max_) {
    in_flight_.fetch_sub(1, std::memory_order_relaxed);
    return Refused(RD_KAFKA_RESP_ERR__QUEUE_FULL);
  }
  HeadersHandle headers = MakeHeaders(message.headers);
  // The tags are written out: the library's macros for them are a GNU extension.
  const rd_kafka_resp_err_t error = rd_kafka_producev(
      client_.get(), RD_KAFKA_VTYPE_RKT, message.topic->handle_.get(), RD_KAFKA_VTYPE_KEY,
      static_cast<const void*>(PointerTo(message.key)), SizeOf(message.key), RD_KAFKA_VTYPE_VALUE,
      static_cast<const void*>(PointerTo(message.value)), SizeOf(message.value),
      RD_KAFKA_VTYPE_MSGFLAGS, message.copy_value ? RD_KAFKA_MSG_F_COPY : 0, RD_KAFKA_VTYPE_OPAQUE,
      reinterpret_cast<void*>(message.tag), RD_KAFKA_VTYPE_HEADERS, headers.get(),
      RD_KAFKA_VTYPE_END);
  if (error != RD_KAFKA_RESP_ERR_NO_ERROR) {
    in_flight_.fetch_sub(1, std::memory_order_relaxed);
    return Refused(error);
  }
  // The message owns its headers from here on.
  [[maybe_unused]] rd_kafka_headers_t* taken = headers.release();
  return {};
}

size_t Producer::PollReports(absl::Duration wait, ReportCallback on_report) {
  size_t reports = 0;
  int wait_ms = WaitMillis(wait);
  for (int events = 0; events < kEventsPerPoll; ++events) {
    const EventHandle event(rd_kafka_queue_poll(queue_.get(), wait_ms));
    if (event == nullptr) break;
    reports += HandleEvent(event.get(), on_report);
    wait_ms = 0;
  }
  return reports;
}

void Producer::WakeReports() {
  woken_.store(true, std::memory_order_release);
  rd_kafka_queue_yield(queue_.get());
}

absl::Status Producer::Flush(absl::Time deadline, ReportCallback on_report) {
  woken_.store(false, std::memory_order_release);
  while (in_flight() > 0) {
    if (woken_.exchange(false, std::memory_order_acq_rel)) {
      return absl::CancelledError("kafka: the flush was interrupted");
    }
    const absl::Duration remaining = deadline - absl::Now();
    if (remaining <= absl::ZeroDuration()) {
      return absl::DeadlineExceededError(
          absl::StrCat("kafka: ", in_flight(), " messages are not delivered yet"));
    }
    PollReports(remaining, on_report);
  }
  return absl::OkStatus();
}

void Producer::Purge() {
  rd_kafka_purge(client_.get(), RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
}

absl::Status Producer::Ping(const CallContext& context) {
  return QueryBrokers(client_.get(), context);
}

absl::Status Producer::fatal_error() const {
  std::array<char, 512> detail{};
  const rd_kafka_resp_err_t error =
      rd_kafka_fatal_error(client_.get(), detail.data(), detail.size());
  return ToStatus(error, "the Kafka producer failed for good", detail.data());
}

ProducerStats Producer::Stats() const {
  absl::MutexLock lock(&stats_mutex_);
  return stats_;
}

size_t Producer::HandleEvent(rd_kafka_op_s* event, ReportCallback on_report) {
  switch (rd_kafka_event_type(event)) {
    case RD_KAFKA_EVENT_DR:
      return HandleReports(event, on_report);
    case RD_KAFKA_EVENT_ERROR:
      HandleError(event);
      return 0;
    case RD_KAFKA_EVENT_STATS:
      HandleStats(rd_kafka_event_stats(event));
      return 0;
    default:
      return 0;
  }
}

size_t Producer::HandleReports(rd_kafka_op_s* event, ReportCallback on_report) {
  size_t count = 0;
  bool delivered = false;
  while (const rd_kafka_message_t* message = rd_kafka_event_message_next(event)) {
    DeliveryReport report;
    report.tag = reinterpret_cast<uint64_t>(message->_private);
    report.partition = message->partition;
    if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) [[likely]] {
      report.offset = message->offset;
      delivered = true;
    } else {
      report.error = message->err;
      report.error_class = Classify(message->err);
      report.possibly_stored =
          rd_kafka_message_status(message) != RD_KAFKA_MSG_STATUS_NOT_PERSISTED;
    }
    ++count;
    on_report(report);
  }
  in_flight_.fetch_sub(static_cast<int64_t>(count), std::memory_order_relaxed);
  if (delivered && all_brokers_down()) {
    all_brokers_down_.store(false, std::memory_order_relaxed);
    log::Info("kafka brokers are reachable again");
  }
  return count;
}

void Producer::HandleError(rd_kafka_op_s* event) {
  const rd_kafka_resp_err_t error = rd_kafka_event_error(event);
  const char* detail = rd_kafka_event_error_string(event);
  if (error == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN) {
    if (!all_brokers_down_.exchange(true, std::memory_order_relaxed)) {
      log::Warning("no kafka broker can be reached; messages wait", {{"detail", detail}});
    }
    return;
  }
  if (rd_kafka_event_error_is_fatal(event) != 0) {
    log::Error("kafka producer failed for good", {{"status", fatal_error()}});
    return;
  }
  // Lost connections and the like: the library has logged them, and mends them.
  log::Debug("kafka producer error", {{"error", ErrorName(error)}, {"detail", detail}});
}

void Producer::HandleStats(std::string_view json) {
  const ProducerStats stats = ParseStats(json);
  absl::MutexLock lock(&stats_mutex_);
  stats_ = stats;
}

absl::Status CheckTopicName(std::string_view name) {
  const bool allowed = std::all_of(name.begin(), name.end(), [](unsigned char c) {
    return absl::ascii_isalnum(c) || c == '.' || c == '_' || c == '-';
  });
  if (name.empty() || name.size() > 249 || name == "." || name == ".." || !allowed) {
    return absl::InvalidArgumentError(
        absl::StrCat("a topic's name must be 1..249 letters, digits, '.', '_' or '-', and not \"",
                     absl::CHexEscape(AsAbsl(name.substr(0, 64))), "\""));
  }
  return absl::OkStatus();
}

ProducerStats ParseStats(std::string_view json) {
  // The library writes these keys first, before those of brokers and topics.
  ProducerStats stats;
  stats.queued_messages = NumberAfter(json, "\"msg_cnt\":");
  stats.queued_bytes = NumberAfter(json, "\"msg_size\":");
  constexpr std::string_view kUp = "\"state\":\"UP\"";
  for (size_t at = json.find(kUp); at != std::string_view::npos; at = json.find(kUp, at + 1)) {
    ++stats.brokers_up;
  }
  return stats;
}

}  // namespace saldo::kafka
