// Questions about topics that any client can ask. Used by this folder only.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/base/call_context.h"
#include "common/kafka/admin.h"
#include "common/kafka/handles.h"

namespace saldo::kafka {

// NOT_FOUND when there is no such topic.
absl::StatusOr<TopicDescription> QueryTopic(rd_kafka_s* client, const std::string& name,
                                            const CallContext& context);
absl::StatusOr<std::vector<TopicDescription>> QueryTopics(rd_kafka_s* client,
                                                          const CallContext& context);
// Whether a broker answers in time. Asks only about topics in use: a cluster may have thousands.
absl::Status QueryBrokers(rd_kafka_s* client, const CallContext& context);

}  // namespace saldo::kafka
