#include "common/kafka/consumer.h"

#include <librdkafka/rdkafka.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/status_macros.h"
#include "common/kafka/conf.h"
#include "common/kafka/errors.h"
#include "common/kafka/metadata.h"
#include "common/observability/log.h"
#include "common/runtime/stop_signal.h"

namespace saldo::kafka {
namespace {

// A wait in the library that a cancelled caller cannot end lasts no longer than this.
constexpr absl::Duration kWaitSlice = absl::Milliseconds(200);
constexpr absl::Duration kDestructorClose = absl::Seconds(2);

// A partition that was just made, or whose leader has left, has a leader again soon.
bool IsElecting(ErrorCode error) {
  return error == kErrorNotLeaderForPartition || error == kErrorLeaderNotAvailable;
}

std::string_view TextOf(const void* data, size_t size) {
  return {static_cast<const char*>(data), size};
}

ReceivedMessage Convert(const rd_kafka_message_t& raw) {
  ReceivedMessage message;
  message.topic = rd_kafka_topic_name(raw.rkt);
  message.partition = raw.partition;
  message.offset = raw.offset;
  if (raw.key != nullptr) message.key = TextOf(raw.key, raw.key_len);
  if (raw.payload != nullptr) message.value = TextOf(raw.payload, raw.len);
  rd_kafka_timestamp_type_t kind = RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
  const int64_t timestamp_ms = rd_kafka_message_timestamp(&raw, &kind);
  if (kind != RD_KAFKA_TIMESTAMP_NOT_AVAILABLE) {
    message.timestamp = absl::FromUnixMillis(timestamp_ms);
  }
  rd_kafka_headers_t* headers = nullptr;
  if (rd_kafka_message_headers(&raw, &headers) == RD_KAFKA_RESP_ERR_NO_ERROR) {
    message.headers.reserve(rd_kafka_header_cnt(headers));
    const char* name = nullptr;
    const void* value = nullptr;
    size_t size = 0;
    for (size_t i = 0;
         rd_kafka_header_get_all(headers, i, &name, &value, &size) == RD_KAFKA_RESP_ERR_NO_ERROR;
         ++i) {
      message.headers.emplace_back(name, TextOf(value, size));
    }
  }
  return message;
}

bool MendsItself(rd_kafka_resp_err_t error) {
  switch (error) {
    case RD_KAFKA_RESP_ERR__TRANSPORT:
    case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
    case RD_KAFKA_RESP_ERR__RESOLVE:
    case RD_KAFKA_RESP_ERR__TIMED_OUT:
    case RD_KAFKA_RESP_ERR__WAIT_COORD:
    case RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE:
    case RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION:
    case RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS:
    case RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE:
      return true;
    default:
      return false;
  }
}

}  // namespace

const std::string* ReceivedMessage::FindHeader(std::string_view name) const {
  const auto found = std::find_if(headers.rbegin(), headers.rend(),
                                  [&](const auto& header) { return header.first == name; });
  return found == headers.rend() ? nullptr : &found->second;
}

absl::StatusOr<std::unique_ptr<Consumer>> Consumer::Create(const ConsumerOptions& options) {
  ConfBuilder conf(options.connection);
  conf.Set("group.id", options.group);
  conf.Set("enable.auto.commit", false);
  conf.Set("enable.auto.offset.store", false);
  conf.Set("auto.offset.reset", options.start_from == StartFrom::kEarliest ? "earliest" : "latest");
  conf.Set("isolation.level", options.read_committed ? "read_committed" : "read_uncommitted");
  conf.Set("queued.max.messages.kbytes", std::max<int64_t>(1, options.queue_bytes_max / 1024));
  conf.Set("enable.partition.eof", true);
  conf.Set("check.crcs", true);
  SALDO_ASSIGN_OR_RETURN(ClientHandle client, std::move(conf).BuildConsumer());
  // Errors and messages then come from the one queue that Poll waits on.
  rd_kafka_poll_set_consumer(client.get());
  QueueHandle queue(rd_kafka_queue_get_consumer(client.get()));
  if (queue == nullptr) return absl::InvalidArgumentError("kafka: a consumer needs a group");
  return std::unique_ptr<Consumer>(new Consumer(std::move(client), std::move(queue)));
}

Consumer::Consumer(ClientHandle client, QueueHandle queue)
    : client_(std::move(client)), queue_(std::move(queue)) {}

Consumer::~Consumer() {
  const absl::Status status = Close(absl::Now() + kDestructorClose);
  if (!status.ok()) log::Warning("kafka consumer did not leave its group", {{"status", status}});
}

absl::Status Consumer::Subscribe(const std::vector<std::string>& topics) {
  PartitionListHandle list(rd_kafka_topic_partition_list_new(static_cast<int>(topics.size())));
  for (const std::string& topic : topics) {
    rd_kafka_topic_partition_list_add(list.get(), topic.c_str(), RD_KAFKA_PARTITION_UA);
  }
  subscribed_ = true;
  return ToStatus(rd_kafka_subscribe(client_.get(), list.get()), "subscribe to topics");
}

absl::Status Consumer::AssignAll(std::string_view topic, StartFrom start,
                                 const CallContext& context) {
  SALDO_ASSIGN_OR_RETURN(const std::vector<PartitionRange> ranges, Offsets(topic, context));
  std::vector<PartitionOffset> offsets;
  offsets.reserve(ranges.size());
  for (const PartitionRange& range : ranges) {
    offsets.push_back({.partition = range.partition,
                       .offset = start == StartFrom::kEarliest ? range.begin : range.end});
  }
  return Assign(topic, offsets);
}

absl::Status Consumer::Assign(std::string_view topic, absl::Span<const PartitionOffset> offsets) {
  PartitionListHandle list(rd_kafka_topic_partition_list_new(static_cast<int>(offsets.size())));
  const std::string name(topic);
  for (const PartitionOffset& offset : offsets) {
    rd_kafka_topic_partition_list_add(list.get(), name.c_str(), offset.partition)->offset =
        offset.offset;
  }
  ends_met_.clear();
  return ToStatus(rd_kafka_assign(client_.get(), list.get()), "assign partitions");
}

absl::StatusOr<std::optional<ReceivedMessage>> Consumer::Poll(absl::Duration timeout) {
  if (closed_) return absl::FailedPreconditionError("kafka: the consumer is closed");
  const absl::Time deadline = absl::Now() + timeout;
  for (;;) {
    const MessageHandle raw(
        rd_kafka_consumer_poll(client_.get(), WaitMillis(deadline - absl::Now())));
    if (raw == nullptr) return std::nullopt;
    if (raw->err == RD_KAFKA_RESP_ERR_NO_ERROR) return Convert(*raw);
    if (raw->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
      ends_met_[raw->partition] = raw->offset;
    } else if (MendsItself(raw->err)) {
      log::Debug("kafka consumer waits", {{"error", ErrorName(raw->err)}});
    } else {
      return ToStatus(raw->err, "read from Kafka", rd_kafka_message_errstr(raw.get()));
    }
  }
}

void Consumer::Wake() { rd_kafka_queue_yield(queue_.get()); }

absl::Status Consumer::ReadToEnd(std::string_view topic, const CallContext& context,
                                 absl::FunctionRef<void(ReceivedMessage)> on_message) {
  SALDO_ASSIGN_OR_RETURN(const std::vector<PartitionRange> ranges, Offsets(topic, context));
  std::vector<PartitionOffset> offsets;
  absl::flat_hash_map<int32_t, int64_t> open;  // partition -> end
  for (const PartitionRange& range : ranges) {
    if (range.begin >= range.end) continue;
    offsets.push_back({.partition = range.partition, .offset = range.begin});
    open[range.partition] = range.end;
  }
  SALDO_RETURN_IF_ERROR(Assign(topic, offsets));
  while (!open.empty()) {
    SALDO_RETURN_IF_ERROR(context.Check());
    SALDO_ASSIGN_OR_RETURN(std::optional<ReceivedMessage> message,
                           Poll(std::min(kWaitSlice, context.remaining())));
    // The last offsets may hold a transaction's marker instead of a message: only the end of the
    // partition shows that they were passed.
    absl::erase_if(open, [&](const auto& partition) {
      const auto met = ends_met_.find(partition.first);
      return met != ends_met_.end() && met->second >= partition.second;
    });
    if (!message.has_value()) continue;
    const auto waited_for = open.find(message->partition);
    // Later messages are not part of what was asked for.
    if (waited_for == open.end()) continue;
    if (message->offset >= waited_for->second) {
      open.erase(waited_for);
      continue;
    }
    if (message->offset + 1 >= waited_for->second) open.erase(waited_for);
    on_message(*std::move(message));
  }
  return absl::OkStatus();
}

absl::Status Consumer::Commit(const ReceivedMessage& message) {
  PartitionListHandle list(rd_kafka_topic_partition_list_new(1));
  rd_kafka_topic_partition_list_add(list.get(), message.topic.c_str(), message.partition)->offset =
      message.offset + 1;
  return ToStatus(rd_kafka_commit(client_.get(), list.get(), /*async=*/0), "commit an offset");
}

std::optional<int64_t> Consumer::Position(std::string_view topic, int32_t partition) const {
  PartitionListHandle list(rd_kafka_topic_partition_list_new(1));
  const rd_kafka_topic_partition_t* entry =
      rd_kafka_topic_partition_list_add(list.get(), std::string(topic).c_str(), partition);
  if (rd_kafka_position(client_.get(), list.get()) != RD_KAFKA_RESP_ERR_NO_ERROR ||
      entry->offset < 0) {
    return std::nullopt;
  }
  return entry->offset;
}

absl::StatusOr<std::vector<PartitionRange>> Consumer::Offsets(std::string_view topic,
                                                              const CallContext& context) {
  SALDO_RETURN_IF_ERROR(context.Check());
  const std::string name(topic);
  SALDO_ASSIGN_OR_RETURN(const TopicDescription description,
                         QueryTopic(client_.get(), name, context));
  std::vector<PartitionRange> ranges;
  for (int32_t partition = 0; partition < description.partitions; ++partition) {
    PartitionRange range{.partition = partition};
    ErrorCode error;
    do {
      SALDO_RETURN_IF_ERROR(context.Check());
      error = rd_kafka_query_watermark_offsets(client_.get(), name.c_str(), partition, &range.begin,
                                               &range.end, WaitMillis(context.remaining()));
    } while (IsElecting(error) && runtime::StopSignal().WaitFor(kWaitSlice));
    SALDO_RETURN_IF_ERROR(ToStatus(error, absl::StrCat("ask for the offsets of ", name)));
    ranges.push_back(range);
  }
  return ranges;
}

absl::Status Consumer::Close(absl::Time deadline) {
  if (closed_) return absl::OkStatus();
  closed_ = true;
  if (!subscribed_) return absl::OkStatus();
  const ErrorHandle error(rd_kafka_consumer_close_queue(client_.get(), queue_.get()));
  if (error != nullptr) return ToStatus(rd_kafka_error_code(error.get()), "close a consumer");
  while (rd_kafka_consumer_closed(client_.get()) == 0) {
    const absl::Duration remaining = deadline - absl::Now();
    if (remaining <= absl::ZeroDuration()) {
      return absl::DeadlineExceededError("kafka: the consumer could not leave its group in time");
    }
    const EventHandle event(
        rd_kafka_queue_poll(queue_.get(), WaitMillis(std::min(remaining, kWaitSlice))));
  }
  return absl::OkStatus();
}

}  // namespace saldo::kafka
