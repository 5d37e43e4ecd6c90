// Callers of CreatePackageV1 in this process, through gRPC's callback API: hundreds of calls under
// way cost no threads.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "bench/harness.h"
#include "grpcpp/grpcpp.h"
#include "hablof/logistic_package_api/v1/logistic_package_api.grpc.pb.h"

namespace saldo::bench {

// Calls under way on some connections to one server. `on_done` runs on gRPC's threads.
class CreateCalls {
 public:
  using Api = hablof::logistic_package_api::v1::LogisticPackageApiService;

  CreateCalls(int port, int connections, int calls_max);
  // Waits for the calls under way.
  ~CreateCalls();
  CreateCalls(const CreateCalls&) = delete;
  CreateCalls& operator=(const CreateCalls&) = delete;

  // Waits until every connection is made.
  absl::Status Connect(absl::Time deadline);

  // Starts a call; false when `calls_max` are under way.
  bool TryStart();
  // Each answer starts the next call from now on, or no longer.
  void SetClosedLoop(bool on) { closed_loop_.store(on, std::memory_order_relaxed); }
  void WaitForAnswers();

  int64_t answered() const { return answered_.load(std::memory_order_relaxed); }
  // UNAVAILABLE with the first error when a call failed.
  absl::Status Errors() const;
  // From the start of a call to its answer, of all so far.
  std::vector<double> TakeLatenciesMs();

 private:
  struct Slot {
    std::unique_ptr<grpc::ClientContext> context;
    hablof::logistic_package_api::v1::CreatePackageV1Request request;
    hablof::logistic_package_api::v1::CreatePackageV1Response response;
    Api::Stub* stub = nullptr;
    absl::Time start;
  };

  void Start(Slot* slot);
  void Done(Slot* slot, const grpc::Status& status);
  bool AllFree() const ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return free_.size() == slots_.size(); }

  std::vector<std::shared_ptr<grpc::Channel>> channels_;
  std::vector<std::unique_ptr<Api::Stub>> stubs_;
  std::deque<Slot> slots_;

  std::atomic<bool> closed_loop_{false};
  std::atomic<int64_t> answered_{0};

  mutable absl::Mutex mutex_;
  std::vector<Slot*> free_ ABSL_GUARDED_BY(mutex_);
  std::vector<double> latencies_ms_ ABSL_GUARDED_BY(mutex_);
  int64_t failed_ ABSL_GUARDED_BY(mutex_) = 0;
  std::string first_error_ ABSL_GUARDED_BY(mutex_);
};

// `callers` that each send the next call when the last is answered. Answers per second, after a
// warm-up.
absl::StatusOr<double> ClosedLoop(const Context& context, int port, int callers,
                                  absl::Duration warm_up, absl::Duration time);

struct OpenLoopResult {
  int64_t created = 0;
  double per_second = 0;
  std::vector<double> answer_ms;
};
// Starts calls at a fixed rate, however late the answers are. Only when 900 wait for their answer,
// which takes a stall of most of a second, the next ones start late; `per_second` then tells
// whether the server kept up. An error when a call fails.
absl::StatusOr<OpenLoopResult> OpenLoop(const Context& context, int port, double per_second,
                                        absl::Duration time);

}  // namespace saldo::bench
