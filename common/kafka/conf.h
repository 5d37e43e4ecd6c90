// Builds a client of librdkafka from typed options. Used by this folder only.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/kafka/handles.h"
#include "common/kafka/options.h"

namespace saldo::kafka {

// Collects settings, keeps the first error, and hands it out with the client.
class ConfBuilder {
 public:
  // Sets what every kind of client needs: brokers, security, and the library's log to ours.
  explicit ConfBuilder(const ConnectionOptions& connection);

  void Set(const char* name, const std::string& value);
  void Set(const char* name, const char* value) { Set(name, std::string(value)); }
  void Set(const char* name, bool value) { Set(name, value ? "true" : "false"); }
  void Set(const char* name, int64_t value) { Set(name, std::to_string(value)); }
  // In milliseconds; a part of one counts as one, so that only zero becomes zero.
  void SetMillis(const char* name, absl::Duration value);

  // Events of these kinds (RD_KAFKA_EVENT_...) go to the client's main queue.
  void EnableEvents(int events);

  absl::StatusOr<ClientHandle> BuildProducer() &&;
  absl::StatusOr<ClientHandle> BuildConsumer() &&;

 private:
  absl::StatusOr<ClientHandle> Build(bool consumer);

  ConfHandle conf_;
  absl::Status status_;
};

// Milliseconds for a wait in the library, rounded up, and never its "for ever" (-1).
int WaitMillis(absl::Duration wait);

}  // namespace saldo::kafka
