// Callers that write one event after another, and remember which were acknowledged; and the topic
// where these must be found.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "common/runtime/stop_signal.h"
#include "common/runtime/thread.h"
#include "saldo/v1/account_event.pb.h"
#include "saldo/v1/account_service.grpc.pb.h"
#include "tests/system/stack.h"

namespace saldo::testing {

struct EventWritersOptions {
  std::string address;
  std::string prefix;  // of request ids
  int callers = 6;     // with a call at a time
  int streams = 2;     // with a message at a time
};

// Each repeats a request until it is acknowledged, at once or after 10 ms. Credits to wallets of
// the built-in example, so the ledger has no reason to refuse any.
class EventWriters {
 public:
  // Starts at once.
  explicit EventWriters(EventWritersOptions options);
  ~EventWriters() { Stop(); }

  void Stop();
  int64_t acknowledged() const { return acknowledged_; }
  int64_t unavailable() const { return unavailable_; }  // answers UNAVAILABLE
  // Answers CANCELLED: what gRPC says of calls that come while it closes their connection.
  int64_t cancelled() const { return cancelled_; }
  std::set<std::string> ids();  // of acknowledged requests
  // The first answer of another kind.
  std::vector<std::string> surprises();
  // The first answer that was UNAVAILABLE or CANCELLED, whole; empty when there was none.
  std::string first_refusal();

  static constexpr const char* kTopic = "saldo-client-wallet";

 private:
  using Api = v1::AccountService;

  void RunCaller(int client, const std::string& name, Api::Stub& stub);
  void RunStream(int client, const std::string& name, Api::Stub& stub);
  // True when it was acknowledged.
  bool Note(const std::string& id, const absl::Status& status);

  const EventWritersOptions options_;
  runtime::StopSignal stop_;
  std::atomic<int64_t> acknowledged_{0}, unavailable_{0}, cancelled_{0};
  std::vector<std::unique_ptr<Api::Stub>> stubs_;
  absl::Mutex mutex_;
  std::set<std::string> ids_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> surprises_ ABSL_GUARDED_BY(mutex_);
  std::string first_refusal_ ABSL_GUARDED_BY(mutex_);
  std::vector<runtime::Thread> threads_;
};

struct TopicEvent {
  std::string id;  // the header ce_id
  v1::AccountEvent event;
};

// All messages of kTopic, by a consumer of its own. A message that cannot be read fails the test.
std::vector<TopicEvent> ReadEvents(Stack& stack);

}  // namespace saldo::testing
