// Owners of librdkafka's C objects, without its header: only this folder's .cc files include that.
#pragma once

#include <memory>

struct rd_kafka_AdminOptions_s;
struct rd_kafka_DeleteTopic_s;
struct rd_kafka_NewTopic_s;
struct rd_kafka_conf_s;
struct rd_kafka_error_s;
struct rd_kafka_headers_s;
struct rd_kafka_message_s;
struct rd_kafka_metadata;
struct rd_kafka_mock_cluster_s;
struct rd_kafka_op_s;
struct rd_kafka_queue_s;
struct rd_kafka_s;
struct rd_kafka_topic_partition_list_s;
struct rd_kafka_topic_s;

namespace saldo::kafka {

struct HandleDeleter {
  void operator()(rd_kafka_AdminOptions_s* options) const;
  void operator()(rd_kafka_DeleteTopic_s* topic) const;
  void operator()(rd_kafka_NewTopic_s* topic) const;
  void operator()(rd_kafka_conf_s* conf) const;
  void operator()(rd_kafka_error_s* error) const;
  void operator()(rd_kafka_headers_s* headers) const;
  void operator()(rd_kafka_message_s* message) const;
  void operator()(const struct rd_kafka_metadata* metadata) const;
  void operator()(rd_kafka_mock_cluster_s* cluster) const;
  void operator()(rd_kafka_op_s* event) const;
  void operator()(rd_kafka_queue_s* queue) const;
  // Does not leave a consumer's group: Consumer::Close does.
  void operator()(rd_kafka_s* client) const;
  void operator()(rd_kafka_topic_partition_list_s* partitions) const;
  void operator()(rd_kafka_topic_s* topic) const;
};

template <typename T>
using Handle = std::unique_ptr<T, HandleDeleter>;

using AdminOptionsHandle = Handle<rd_kafka_AdminOptions_s>;
using DeleteTopicHandle = Handle<rd_kafka_DeleteTopic_s>;
using NewTopicHandle = Handle<rd_kafka_NewTopic_s>;
using ConfHandle = Handle<rd_kafka_conf_s>;
using ErrorHandle = Handle<rd_kafka_error_s>;
using HeadersHandle = Handle<rd_kafka_headers_s>;
using MessageHandle = Handle<rd_kafka_message_s>;
using MetadataHandle = Handle<const struct rd_kafka_metadata>;
using MockClusterHandle = Handle<rd_kafka_mock_cluster_s>;
using EventHandle = Handle<rd_kafka_op_s>;
using QueueHandle = Handle<rd_kafka_queue_s>;
using ClientHandle = Handle<rd_kafka_s>;
using PartitionListHandle = Handle<rd_kafka_topic_partition_list_s>;
using TopicHandle = Handle<rd_kafka_topic_s>;

}  // namespace saldo::kafka
