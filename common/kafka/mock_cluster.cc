#include "common/kafka/mock_cluster.h"

#include <librdkafka/rdkafka.h>
// The mock header needs the one above first.
#include <librdkafka/rdkafka_mock.h>

#include <utility>

#include "common/base/status_macros.h"
#include "common/kafka/conf.h"

namespace saldo::kafka {
namespace {
constexpr int32_t kAllBrokers = -1;
}  // namespace

absl::StatusOr<std::unique_ptr<MockCluster>> MockCluster::Start(int brokers) {
  // The library wants a client for its bookkeeping; this one connects nowhere.
  ConnectionOptions options;
  options.brokers = "127.0.0.1:1";
  options.client_id = "mock-cluster";
  ConfBuilder conf(options);
  conf.Set("log_level", int64_t{2});
  SALDO_ASSIGN_OR_RETURN(ClientHandle client, std::move(conf).BuildProducer());
  MockClusterHandle cluster(rd_kafka_mock_cluster_new(client.get(), brokers));
  if (cluster == nullptr) return absl::InternalError("kafka: the mock cluster does not start");
  return std::unique_ptr<MockCluster>(new MockCluster(std::move(client), std::move(cluster)));
}

MockCluster::MockCluster(ClientHandle client, MockClusterHandle cluster)
    : client_(std::move(client)), cluster_(std::move(cluster)) {}

std::string MockCluster::bootstrap_servers() const {
  return rd_kafka_mock_cluster_bootstraps(cluster_.get());
}

absl::Status MockCluster::CreateTopic(const std::string& name, int partitions,
                                      int replication_factor) {
  return ToStatus(
      rd_kafka_mock_topic_create(cluster_.get(), name.c_str(), partitions, replication_factor),
      "create a topic of the mock cluster");
}

void MockCluster::SetTopicError(const std::string& name, ErrorCode error) {
  rd_kafka_mock_topic_set_error(cluster_.get(), name.c_str(),
                                static_cast<rd_kafka_resp_err_t>(error));
}

void MockCluster::PushErrors(RequestKind kind, absl::Span<const ErrorCode> errors) {
  std::vector<rd_kafka_resp_err_t> codes;
  codes.reserve(errors.size());
  for (const ErrorCode error : errors) codes.push_back(static_cast<rd_kafka_resp_err_t>(error));
  rd_kafka_mock_push_request_errors_array(cluster_.get(), static_cast<int16_t>(kind), codes.size(),
                                          codes.data());
}

absl::Status MockCluster::SetReachable(bool reachable) {
  return ToStatus(reachable ? rd_kafka_mock_broker_set_up(cluster_.get(), kAllBrokers)
                            : rd_kafka_mock_broker_set_down(cluster_.get(), kAllBrokers),
                  "switch the mock cluster");
}

absl::Status MockCluster::SetRoundTripTime(absl::Duration time) {
  return ToStatus(rd_kafka_mock_broker_set_rtt(cluster_.get(), kAllBrokers, WaitMillis(time)),
                  "delay the mock cluster");
}

}  // namespace saldo::kafka
