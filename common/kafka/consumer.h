// Reads topics: as a member of a group, or all partitions of a topic on its own.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "common/base/call_context.h"
#include "common/kafka/handles.h"
#include "common/kafka/options.h"

namespace saldo::kafka {

enum class StartFrom { kEarliest, kLatest };

struct ConsumerOptions {
  ConnectionOptions connection = {};
  // Needed by Subscribe and Commit. AssignAll alone never joins or changes it.
  std::string group = "saldo-reader";
  // Where a partition begins for which the group has no committed offset.
  StartFrom start_from = StartFrom::kEarliest;
  // Hides messages of aborted and of open transactions.
  bool read_committed = true;
  // Most that is fetched ahead of Poll.
  int64_t queue_bytes_max = int64_t{16} << 20;
};

struct ReceivedMessage {
  std::string topic;
  int32_t partition = -1;
  int64_t offset = -1;
  std::optional<std::string> key;
  std::optional<std::string> value;                          // none: a tombstone
  std::vector<std::pair<std::string, std::string>> headers;  // in the order sent
  absl::Time timestamp = absl::InfinitePast();

  // The last header of this name, or nullptr.
  const std::string* FindHeader(std::string_view name) const;
};

struct PartitionOffset {
  int32_t partition = -1;
  int64_t offset = -1;
};

struct PartitionRange {
  int32_t partition = -1;
  int64_t begin = 0;  // of the oldest message kept
  int64_t end = 0;    // that the next message will get
};

// All calls but Wake come from one thread at a time.
class Consumer {
 public:
  // Does not wait for a broker. INVALID_ARGUMENT names a setting that is not accepted.
  static absl::StatusOr<std::unique_ptr<Consumer>> Create(const ConsumerOptions& options);

  // Calls Close with a short deadline.
  ~Consumer();
  Consumer(const Consumer&) = delete;
  Consumer& operator=(const Consumer&) = delete;

  // Joins the group; partitions come and go with its members during Poll.
  absl::Status Subscribe(const std::vector<std::string>& topics);

  // Reads every partition that the topic has now, outside any group, from `start`.
  // NOT_FOUND when there is no such topic.
  absl::Status AssignAll(std::string_view topic, StartFrom start, const CallContext& context);
  // Reads from the given offsets.
  absl::Status Assign(std::string_view topic, absl::Span<const PartitionOffset> offsets);

  // The next message; none when there is none within `timeout` or Wake was called. A lost
  // connection is mended behind the scenes; other errors are returned, and Poll may be called
  // again.
  absl::StatusOr<std::optional<ReceivedMessage>> Poll(absl::Duration timeout);

  // Ends the wait of Poll or ReadToEnd under way, or of the next. Thread-safe.
  void Wake();

  // Reads the topic's messages from its beginning up to those that are there at the call.
  // Replaces any assignment. DEADLINE_EXCEEDED or CANCELLED when the context ended before.
  absl::Status ReadToEnd(std::string_view topic, const CallContext& context,
                         absl::FunctionRef<void(ReceivedMessage)> on_message);

  // Stores that the group has done this message and those before it in its partition. Waits.
  absl::Status Commit(const ReceivedMessage& message);

  // The offset after the last message that Poll returned; nullopt when it returned none.
  std::optional<int64_t> Position(std::string_view topic, int32_t partition) const;

  absl::StatusOr<std::vector<PartitionRange>> Offsets(std::string_view topic,
                                                      const CallContext& context);

  // Leaves the group, waiting for that until `deadline` at most. Idempotent; Poll fails afterwards.
  absl::Status Close(absl::Time deadline);

 private:
  Consumer(ClientHandle client, QueueHandle queue);

  const ClientHandle client_;
  const QueueHandle queue_;
  bool subscribed_ = false;
  bool closed_ = false;
  // Where the library has met the end of a partition, for ReadToEnd.
  absl::flat_hash_map<int32_t, int64_t> ends_met_;
};

}  // namespace saldo::kafka
