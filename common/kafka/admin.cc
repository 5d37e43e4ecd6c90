#include "common/kafka/admin.h"

#include <librdkafka/rdkafka.h>

#include <algorithm>
#include <array>
#include <utility>

#include "absl/functional/function_ref.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/base/strings.h"
#include "common/kafka/conf.h"
#include "common/kafka/errors.h"
#include "common/kafka/metadata.h"
#include "common/runtime/stop_signal.h"

namespace saldo::kafka {
namespace {

// How late a wait notices that its caller has cancelled.
constexpr absl::Duration kWaitSlice = absl::Milliseconds(100);
constexpr absl::Duration kAskAgain = absl::Milliseconds(20);

AdminOptionsHandle MakeOptions(rd_kafka_s* client, rd_kafka_admin_op_t operation,
                               const CallContext& context) {
  AdminOptionsHandle options(rd_kafka_AdminOptions_new(client, operation));
  const int wait_ms = std::max(1, WaitMillis(context.remaining()));
  std::array<char, 256> ignored{};
  // Both only shorten the defaults; a value that is not accepted leaves those.
  rd_kafka_AdminOptions_set_request_timeout(options.get(), wait_ms, ignored.data(), ignored.size());
  rd_kafka_AdminOptions_set_operation_timeout(options.get(), wait_ms, ignored.data(),
                                              ignored.size());
  return options;
}

absl::Status StatusOf(const rd_kafka_topic_result_t* const* results, size_t count,
                      std::string_view context) {
  for (size_t i = 0; i < count; ++i) {
    const rd_kafka_resp_err_t error = rd_kafka_topic_result_error(results[i]);
    const char* detail = rd_kafka_topic_result_error_string(results[i]);
    SALDO_RETURN_IF_ERROR(
        ToStatus(error, context, detail != nullptr ? detail : rd_kafka_err2str(error)));
  }
  return absl::OkStatus();
}

// Waits for the answer to an operation whose result goes to `queue`.
absl::StatusOr<EventHandle> WaitForResult(rd_kafka_queue_t* queue, const CallContext& context) {
  for (;;) {
    EventHandle event(
        rd_kafka_queue_poll(queue, WaitMillis(std::min(kWaitSlice, context.remaining()))));
    if (event != nullptr) return event;
    SALDO_RETURN_IF_ERROR(context.Check());
  }
}

// Asks again and again until `done`.
absl::Status WaitUntil(const CallContext& context, absl::FunctionRef<bool()> done) {
  runtime::StopSignal pause;
  while (!done()) {
    SALDO_RETURN_IF_ERROR(context.Check());
    pause.WaitFor(kAskAgain);
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<Admin>> Admin::Create(const ConnectionOptions& options) {
  ConfBuilder conf(options);
  // Asking about a topic must not make it.
  conf.Set("allow.auto.create.topics", false);
  SALDO_ASSIGN_OR_RETURN(ClientHandle client, std::move(conf).BuildProducer());
  return std::unique_ptr<Admin>(new Admin(std::move(client)));
}

Admin::Admin(ClientHandle client) : client_(std::move(client)) {}

absl::Status Admin::CreateTopic(const NewTopic& topic, const CallContext& context) {
  SALDO_RETURN_IF_ERROR(context.Check());
  const std::string what = absl::StrCat("create topic ", topic.name);
  std::array<char, 256> error{};
  const NewTopicHandle request(rd_kafka_NewTopic_new(
      topic.name.c_str(), topic.partitions, topic.replication_factor, error.data(), error.size()));
  if (request == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat(what, ": ", error.data()));
  }
  for (const auto& [name, value] : topic.configs) {
    SALDO_RETURN_IF_ERROR(
        ToStatus(rd_kafka_NewTopic_set_config(request.get(), name.c_str(), value.c_str()), what));
  }
  const QueueHandle queue(rd_kafka_queue_new(client_.get()));
  const AdminOptionsHandle options =
      MakeOptions(client_.get(), RD_KAFKA_ADMIN_OP_CREATETOPICS, context);
  rd_kafka_NewTopic_t* requests[] = {request.get()};
  rd_kafka_CreateTopics(client_.get(), requests, 1, options.get(), queue.get());
  SALDO_ASSIGN_OR_RETURN(const EventHandle event, WaitForResult(queue.get(), context));
  SALDO_RETURN_IF_ERROR(ToStatus(rd_kafka_event_error(event.get()), what));
  size_t count = 0;
  const rd_kafka_topic_result_t** results =
      rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event.get()), &count);
  SALDO_RETURN_IF_ERROR(StatusOf(results, count, what));
  return WaitUntil(context, [&] {
    const absl::StatusOr<TopicDescription> made = DescribeTopic(topic.name, context);
    return made.ok() && made->partitions_led == topic.partitions;
  });
}

absl::Status Admin::DeleteTopic(std::string_view name, const CallContext& context) {
  SALDO_RETURN_IF_ERROR(context.Check());
  const std::string what = absl::StrCat("delete topic ", AsAbsl(name));
  const DeleteTopicHandle request(rd_kafka_DeleteTopic_new(std::string(name).c_str()));
  const QueueHandle queue(rd_kafka_queue_new(client_.get()));
  const AdminOptionsHandle options =
      MakeOptions(client_.get(), RD_KAFKA_ADMIN_OP_DELETETOPICS, context);
  rd_kafka_DeleteTopic_t* requests[] = {request.get()};
  rd_kafka_DeleteTopics(client_.get(), requests, 1, options.get(), queue.get());
  SALDO_ASSIGN_OR_RETURN(const EventHandle event, WaitForResult(queue.get(), context));
  SALDO_RETURN_IF_ERROR(ToStatus(rd_kafka_event_error(event.get()), what));
  size_t count = 0;
  const rd_kafka_topic_result_t** results =
      rd_kafka_DeleteTopics_result_topics(rd_kafka_event_DeleteTopics_result(event.get()), &count);
  SALDO_RETURN_IF_ERROR(StatusOf(results, count, what));
  return WaitUntil(context,
                   [&] { return absl::IsNotFound(DescribeTopic(name, context).status()); });
}

absl::StatusOr<TopicDescription> Admin::DescribeTopic(std::string_view name,
                                                      const CallContext& context) {
  return QueryTopic(client_.get(), std::string(name), context);
}

absl::StatusOr<std::vector<TopicDescription>> Admin::ListTopics(const CallContext& context) {
  return QueryTopics(client_.get(), context);
}

absl::Status Admin::Ping(const CallContext& context) {
  return QueryBrokers(client_.get(), context);
}

}  // namespace saldo::kafka
