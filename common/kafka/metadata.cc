#include "common/kafka/metadata.h"

#include <librdkafka/rdkafka.h>

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/kafka/conf.h"
#include "common/kafka/errors.h"

namespace saldo::kafka {
namespace {

// `topic` null: of all topics or of those in use.
absl::StatusOr<MetadataHandle> Query(rd_kafka_s* client, bool all, rd_kafka_topic_s* topic,
                                     const CallContext& context) {
  SALDO_RETURN_IF_ERROR(context.Check());
  const struct rd_kafka_metadata* raw = nullptr;
  const rd_kafka_resp_err_t error =
      rd_kafka_metadata(client, all ? 1 : 0, topic, &raw, WaitMillis(context.remaining()));
  MetadataHandle metadata(raw);
  SALDO_RETURN_IF_ERROR(ToStatus(error, "ask Kafka for its metadata"));
  return metadata;
}

TopicDescription Describe(const rd_kafka_metadata_topic_t& topic) {
  TopicDescription description{.name = topic.topic, .partitions = topic.partition_cnt};
  description.partitions_led = static_cast<int>(
      std::count_if(topic.partitions, topic.partitions + topic.partition_cnt,
                    [](const rd_kafka_metadata_partition_t& partition) {
                      return partition.leader >= 0 && partition.err == RD_KAFKA_RESP_ERR_NO_ERROR;
                    }));
  return description;
}

}  // namespace

absl::StatusOr<TopicDescription> QueryTopic(rd_kafka_s* client, const std::string& name,
                                            const CallContext& context) {
  const TopicHandle topic(rd_kafka_topic_new(client, name.c_str(), nullptr));
  if (topic == nullptr) return ToStatus(rd_kafka_last_error(), absl::StrCat("topic ", name));
  SALDO_ASSIGN_OR_RETURN(const MetadataHandle metadata,
                         Query(client, /*all=*/false, topic.get(), context));
  if (metadata->topic_cnt == 0) return ToStatus(kErrorLocalUnknownTopic, name);
  const rd_kafka_metadata_topic_t& found = metadata->topics[0];
  // A topic whose partitions have no leaders yet is there.
  if (found.err != RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE) {
    SALDO_RETURN_IF_ERROR(ToStatus(found.err, absl::StrCat("topic ", name)));
  }
  return Describe(found);
}

absl::StatusOr<std::vector<TopicDescription>> QueryTopics(rd_kafka_s* client,
                                                          const CallContext& context) {
  SALDO_ASSIGN_OR_RETURN(const MetadataHandle metadata,
                         Query(client, /*all=*/true, nullptr, context));
  std::vector<TopicDescription> topics;
  for (int i = 0; i < metadata->topic_cnt; ++i) {
    if (absl::StartsWith(metadata->topics[i].topic, "__")) continue;
    topics.push_back(Describe(metadata->topics[i]));
  }
  std::sort(topics.begin(), topics.end(),
            [](const auto& left, const auto& right) { return left.name < right.name; });
  return topics;
}

absl::Status QueryBrokers(rd_kafka_s* client, const CallContext& context) {
  return Query(client, /*all=*/false, nullptr, context).status();
}

}  // namespace saldo::kafka
