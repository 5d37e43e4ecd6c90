// Creates, deletes and describes topics.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/base/call_context.h"
#include "common/kafka/handles.h"
#include "common/kafka/options.h"

namespace saldo::kafka {

struct NewTopic {
  std::string name;
  int partitions = 1;
  int replication_factor = 1;
  // The broker's names: {"max.message.bytes", "1048588"}.
  std::vector<std::pair<std::string, std::string>> configs = {};
};

struct TopicDescription {
  std::string name;
  int partitions = 0;
  // How many partitions have a leader, that is, can be written to.
  int partitions_led = 0;
};

// Every call ends with its context, and may be made from any thread.
class Admin {
 public:
  // Does not wait for a broker. INVALID_ARGUMENT names a setting that is not accepted.
  static absl::StatusOr<std::unique_ptr<Admin>> Create(const ConnectionOptions& options);

  // Returns once every partition can be written to. ALREADY_EXISTS; INVALID_ARGUMENT for settings
  // that the broker refuses.
  absl::Status CreateTopic(const NewTopic& topic, const CallContext& context);
  // Returns once the broker has forgotten the topic. NOT_FOUND.
  absl::Status DeleteTopic(std::string_view name, const CallContext& context);
  // NOT_FOUND.
  absl::StatusOr<TopicDescription> DescribeTopic(std::string_view name, const CallContext& context);
  // By name; without the broker's own ("__consumer_offsets").
  absl::StatusOr<std::vector<TopicDescription>> ListTopics(const CallContext& context);

  // Whether a broker answers in time.
  absl::Status Ping(const CallContext& context);

 private:
  explicit Admin(ClientHandle client);

  const ClientHandle client_;
};

}  // namespace saldo::kafka
