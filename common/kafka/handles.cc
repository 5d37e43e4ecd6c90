#include "common/kafka/handles.h"

#include <librdkafka/rdkafka.h>
// The mock header needs the one above first.
#include <librdkafka/rdkafka_mock.h>

namespace saldo::kafka {

void HandleDeleter::operator()(rd_kafka_AdminOptions_s* options) const {
  rd_kafka_AdminOptions_destroy(options);
}
void HandleDeleter::operator()(rd_kafka_DeleteTopic_s* topic) const {
  rd_kafka_DeleteTopic_destroy(topic);
}
void HandleDeleter::operator()(rd_kafka_NewTopic_s* topic) const {
  rd_kafka_NewTopic_destroy(topic);
}
void HandleDeleter::operator()(rd_kafka_conf_s* conf) const { rd_kafka_conf_destroy(conf); }
void HandleDeleter::operator()(rd_kafka_error_s* error) const { rd_kafka_error_destroy(error); }
void HandleDeleter::operator()(rd_kafka_headers_s* headers) const {
  rd_kafka_headers_destroy(headers);
}
void HandleDeleter::operator()(rd_kafka_message_s* message) const {
  rd_kafka_message_destroy(message);
}
void HandleDeleter::operator()(const struct rd_kafka_metadata* metadata) const {
  rd_kafka_metadata_destroy(metadata);
}
void HandleDeleter::operator()(rd_kafka_mock_cluster_s* cluster) const {
  rd_kafka_mock_cluster_destroy(cluster);
}
void HandleDeleter::operator()(rd_kafka_op_s* event) const { rd_kafka_event_destroy(event); }
void HandleDeleter::operator()(rd_kafka_queue_s* queue) const { rd_kafka_queue_destroy(queue); }
void HandleDeleter::operator()(rd_kafka_s* client) const {
  rd_kafka_destroy_flags(client, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
}
void HandleDeleter::operator()(rd_kafka_topic_partition_list_s* partitions) const {
  rd_kafka_topic_partition_list_destroy(partitions);
}
void HandleDeleter::operator()(rd_kafka_topic_s* topic) const { rd_kafka_topic_destroy(topic); }

}  // namespace saldo::kafka
