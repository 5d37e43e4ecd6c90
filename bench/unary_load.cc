#include "bench/unary_load.h"

#include <atomic>
#include <chrono>
#include <deque>
#include <memory>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "common/base/status_macros.h"
#include "grpcpp/generic/generic_stub.h"
#include "grpcpp/grpcpp.h"

namespace saldo::bench {
namespace {

constexpr absl::Duration kCallTimeout = absl::Seconds(30);
constexpr absl::Duration kConnectTimeout = absl::Seconds(10);
// A few connections, as several clients or a balancer would have.
constexpr int kConnections = 4;

class Callers {
 public:
  explicit Callers(const UnaryLoad& load) : load_(load) {
    for (int i = 0; i < kConnections; ++i) {
      grpc::ChannelArguments arguments;
      // Otherwise equal channels share one connection.
      arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
      channels_.push_back(grpc::CreateCustomChannel(absl::StrCat("127.0.0.1:", load.port),
                                                    grpc::InsecureChannelCredentials(), arguments));
      stubs_.push_back(std::make_unique<grpc::GenericStub>(channels_.back()));
    }
    for (int i = 0; i < load.callers; ++i) {
      slots_.emplace_back();
      slots_.back().stub = stubs_[static_cast<size_t>(i) % stubs_.size()].get();
    }
  }
  ~Callers() { Stop(); }

  absl::Status Start() {
    for (const auto& channel : channels_) {
      if (!channel->WaitForConnected(absl::ToChronoTime(absl::Now() + kConnectTimeout)))
        return absl::UnavailableError("cannot connect to the server");
    }
    running_ = load_.callers;
    for (Slot& slot : slots_) Send(&slot);
    return absl::OkStatus();
  }

  void Stop() {
    stop_.store(true, std::memory_order_relaxed);
    absl::MutexLock lock(&mutex_,
                         absl::Condition(
                             +[](std::atomic<int>* running) { return *running == 0; }, &running_));
  }

  void Measure(bool on) { measure_.store(on, std::memory_order_relaxed); }
  int64_t answered() const { return answered_.load(std::memory_order_relaxed); }
  absl::Status Errors() const {
    absl::MutexLock lock(&mutex_);
    return error_;
  }
  std::vector<double> TakeLatencies() {
    std::vector<double> all;
    for (Slot& slot : slots_) all.insert(all.end(), slot.answer_ms.begin(), slot.answer_ms.end());
    return all;
  }

 private:
  struct Slot {
    grpc::GenericStub* stub = nullptr;
    std::unique_ptr<grpc::ClientContext> context;
    grpc::ByteBuffer request;
    grpc::ByteBuffer response;
    absl::Time start;
    std::vector<double> answer_ms;
  };

  void Send(Slot* slot) {
    slot->request = load_.request(next_.fetch_add(1, std::memory_order_relaxed));
    slot->response.Clear();
    slot->context = std::make_unique<grpc::ClientContext>();
    slot->start = absl::Now();
    slot->context->set_deadline(absl::ToChronoTime(slot->start + kCallTimeout));
    slot->stub->UnaryCall(slot->context.get(), load_.method, {}, &slot->request, &slot->response,
                          [this, slot](const grpc::Status& status) { Done(slot, status); });
  }

  void Done(Slot* slot, const grpc::Status& status) {
    if (status.ok()) {
      answered_.fetch_add(1, std::memory_order_relaxed);
      if (measure_.load(std::memory_order_relaxed))
        slot->answer_ms.push_back(absl::ToDoubleMilliseconds(absl::Now() - slot->start));
      if (!stop_.load(std::memory_order_relaxed)) return Send(slot);
    }
    absl::MutexLock lock(&mutex_);
    if (!status.ok() && error_.ok())
      error_ = absl::UnavailableError(absl::StrCat("a call failed: ", status.error_message()));
    --running_;
  }

  const UnaryLoad& load_;
  std::vector<std::shared_ptr<grpc::Channel>> channels_;
  std::vector<std::unique_ptr<grpc::GenericStub>> stubs_;
  std::deque<Slot> slots_;
  std::atomic<int64_t> next_{0};
  std::atomic<int64_t> answered_{0};
  std::atomic<bool> measure_{false};
  std::atomic<bool> stop_{false};
  mutable absl::Mutex mutex_;
  std::atomic<int> running_{0};  // changed under mutex_, so that who waits is woken
  absl::Status error_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace

absl::StatusOr<LoadResult> RunLoad(const Context& context, const UnaryLoad& load) {
  Callers callers(load);
  SALDO_RETURN_IF_ERROR(callers.Start());
  SALDO_RETURN_IF_ERROR(Wait(context, load.warm_up));
  callers.Measure(true);
  const absl::Time begin = absl::Now();
  const int64_t before = callers.answered();
  SALDO_RETURN_IF_ERROR(Wait(context, load.time));
  const int64_t after = callers.answered();
  const absl::Duration measured = absl::Now() - begin;
  callers.Measure(false);
  callers.Stop();
  SALDO_RETURN_IF_ERROR(callers.Errors());
  return LoadResult{
      .per_second = static_cast<double>(after - before) / absl::ToDoubleSeconds(measured),
      .answer_ms = callers.TakeLatencies()};
}

}  // namespace saldo::bench
