// Callers that write events through several servers and remember what they were told.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "common/runtime/stop_signal.h"
#include "common/runtime/thread.h"
#include "saldo/v1/account_service.grpc.pb.h"
#include "tests/system/ledger_history.h"
#include "tests/system/ledger_requests.h"

namespace saldo::testing {

struct LedgerLoadOptions {
  std::vector<std::string> addresses;  // of servers
  int callers = 10;                    // with one call at a time
  int streams = 3;                     // with a burst of requests at a time
  uint64_t seed = 0;
};

class LedgerLoad {
 public:
  // Starts at once.
  explicit LedgerLoad(LedgerLoadOptions options);
  ~LedgerLoad() { Stop(); }

  // Ends the callers.
  void Stop();
  // After Stop, while all servers run: repeats what has no answer yet, and returns all that is
  // known. What still has none is told as a surprise.
  LedgerHistory Resolve();

  int64_t acknowledged() const { return acknowledged_; }
  int64_t rejected() const { return rejected_; }      // by a limit
  int64_t unanswered() const { return unanswered_; }  // tries whose outcome was not known
  int64_t repeated() const { return repeated_; }      // ids that were known, and answered so

 private:
  using Api = v1::AccountService;
  // One thread's way to the servers.
  struct Caller {
    std::vector<std::unique_ptr<Api::Stub>> stubs;
    LedgerRequests requests;
    std::mt19937_64 random;
  };
  // A request without an answer that settles it.
  struct Open {
    PlannedRequest plan;
    // A try ended at its deadline, so the server may still be at it: a rejection of a later try
    // would not be the last word.
    bool may_come_late = false;
  };

  Caller MakeCaller(const std::string& name, uint64_t seed) const;
  void RunUnary(Caller caller);
  void RunStream(Caller caller);
  // Tries until it is settled, or leaves it to Resolve.
  void Write(Caller& caller, Open open);
  absl::Status Call(Caller& caller, const Open& open, v1::WriteEventsResponse* answer);
  // True when the outcome is settled, and then noted.
  bool Settle(Caller& caller, Open& open, const absl::Status& status,
              const v1::WriteEventsResponse& answer);
  // False when the stream has ended; what it leaves is written by calls.
  bool Burst(
      Caller& caller,
      grpc::ClientReaderWriter<v1::WriteEventsRequest, v1::WriteEventsStreamResponse>& stream,
      std::vector<Open> opens);
  void Note(const PlannedRequest& plan, Fate fate, const v1::WriteEventsResponse& answer);
  void Surprise(const std::string& what);

  const LedgerLoadOptions options_;
  runtime::StopSignal stop_;
  std::atomic<int64_t> acknowledged_{0}, rejected_{0}, unanswered_{0}, repeated_{0};
  absl::Mutex mutex_;
  LedgerHistory history_ ABSL_GUARDED_BY(mutex_);
  std::vector<Open> open_ ABSL_GUARDED_BY(mutex_);
  std::vector<runtime::Thread> threads_;
};

}  // namespace saldo::testing
