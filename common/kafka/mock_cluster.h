// The client library's imitation of Kafka, inside this process: for trying things out and for
// injecting errors. It keeps messages in memory only, about 5 MiB a partition, and drops the
// oldest: nothing that it accepts is safe.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "common/kafka/errors.h"
#include "common/kafka/handles.h"

namespace saldo::kafka {

// Requests of the protocol, by their numbers in it.
enum class RequestKind : int16_t { kProduce = 0, kFetch = 1, kMetadata = 3, kInitProducerId = 22 };

// Thread-safe. Clients must be gone, or only retry, when it is destroyed.
class MockCluster {
 public:
  static absl::StatusOr<std::unique_ptr<MockCluster>> Start(int brokers);

  std::string bootstrap_servers() const;

  // Topics that nobody created come up by themselves, with four partitions.
  absl::Status CreateTopic(const std::string& name, int partitions, int replication_factor = 1);
  // What the brokers say of this topic when a client asks for metadata.
  void SetTopicError(const std::string& name, ErrorCode error);

  // The next requests of this kind fail, one with each error. kErrorLocalTransport disconnects.
  void PushErrors(RequestKind kind, absl::Span<const ErrorCode> errors);
  // Every broker disconnects and refuses connections, or accepts them again.
  absl::Status SetReachable(bool reachable);
  // How long every answer takes.
  absl::Status SetRoundTripTime(absl::Duration time);

 private:
  MockCluster(ClientHandle client, MockClusterHandle cluster);

  const ClientHandle client_;
  const MockClusterHandle cluster_;
};

}  // namespace saldo::kafka
