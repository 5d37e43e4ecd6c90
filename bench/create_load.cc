#include "bench/create_load.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/status_macros.h"

namespace saldo::bench {
namespace {

constexpr absl::Duration kCallTimeout = absl::Seconds(30);
constexpr absl::Duration kConnectTimeout = absl::Seconds(10);
constexpr absl::Duration kTick = absl::Milliseconds(1);
// A few connections, as several clients or a balancer would have.
constexpr int kConnections = 4;
// Below the server's own bound, which would refuse calls after a stall.
constexpr int kOpenLoopCallsMax = 900;

}  // namespace

CreateCalls::CreateCalls(int port, int connections, int calls_max) {
  for (int i = 0; i < connections; ++i) {
    grpc::ChannelArguments arguments;
    // Otherwise equal channels share one connection.
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    channels_.push_back(grpc::CreateCustomChannel(absl::StrCat("127.0.0.1:", port),
                                                  grpc::InsecureChannelCredentials(), arguments));
    stubs_.push_back(Api::NewStub(channels_.back()));
  }
  for (int i = 0; i < calls_max; ++i) {
    Slot& slot = slots_.emplace_back();
    slot.stub = stubs_[static_cast<size_t>(i) % stubs_.size()].get();
    slot.request.set_title("box");
    slot.request.set_material("cardboard");
    slot.request.set_maximum_volume(1000);
    slot.request.set_reusable(true);
    free_.push_back(&slot);
  }
}

CreateCalls::~CreateCalls() {
  SetClosedLoop(false);
  WaitForAnswers();
}

absl::Status CreateCalls::Connect(absl::Time deadline) {
  for (const auto& channel : channels_) {
    if (!channel->WaitForConnected(absl::ToChronoTime(deadline))) {
      return absl::UnavailableError("cannot connect to saldo-server");
    }
  }
  return absl::OkStatus();
}

bool CreateCalls::TryStart() {
  Slot* slot = nullptr;
  {
    absl::MutexLock lock(&mutex_);
    if (free_.empty()) return false;
    slot = free_.back();
    free_.pop_back();
  }
  Start(slot);
  return true;
}

void CreateCalls::Start(Slot* slot) {
  slot->context = std::make_unique<grpc::ClientContext>();
  slot->start = absl::Now();
  slot->context->set_deadline(absl::ToChronoTime(slot->start + kCallTimeout));
  slot->stub->async()->CreatePackageV1(
      slot->context.get(), &slot->request, &slot->response,
      [this, slot](const grpc::Status& status) { Done(slot, status); });
}

void CreateCalls::Done(Slot* slot, const grpc::Status& status) {
  const double latency_ms = absl::ToDoubleMilliseconds(absl::Now() - slot->start);
  const bool again = closed_loop_.load(std::memory_order_relaxed) && status.ok();
  if (status.ok()) answered_.fetch_add(1, std::memory_order_relaxed);
  {
    absl::MutexLock lock(&mutex_);
    latencies_ms_.push_back(latency_ms);
    if (!status.ok() && failed_++ == 0) first_error_ = status.error_message();
    if (!again) free_.push_back(slot);
  }
  // Nothing of this object may be touched when the slot is free: its owner may be waiting for that.
  if (again) Start(slot);
}

void CreateCalls::WaitForAnswers() {
  absl::MutexLock lock(&mutex_, absl::Condition(this, &CreateCalls::AllFree));
}

absl::Status CreateCalls::Errors() const {
  absl::MutexLock lock(&mutex_);
  if (failed_ == 0) return absl::OkStatus();
  return absl::UnavailableError(
      absl::StrCat(failed_, " calls of CreatePackageV1 failed, first with: ", first_error_));
}

std::vector<double> CreateCalls::TakeLatenciesMs() {
  absl::MutexLock lock(&mutex_);
  return std::exchange(latencies_ms_, {});
}

absl::StatusOr<double> ClosedLoop(const Context& context, int port, int callers,
                                  absl::Duration warm_up, absl::Duration time) {
  CreateCalls calls(port, kConnections, callers);
  SALDO_RETURN_IF_ERROR(calls.Connect(absl::Now() + kConnectTimeout));
  calls.SetClosedLoop(true);
  while (calls.TryStart()) {
  }
  SALDO_RETURN_IF_ERROR(Wait(context, warm_up));
  const absl::Time begin = absl::Now();
  const int64_t before = calls.answered();
  SALDO_RETURN_IF_ERROR(Wait(context, time));
  const int64_t after = calls.answered();
  const absl::Duration measured = absl::Now() - begin;
  calls.SetClosedLoop(false);
  calls.WaitForAnswers();
  SALDO_RETURN_IF_ERROR(calls.Errors());
  return static_cast<double>(after - before) / absl::ToDoubleSeconds(measured);
}

absl::StatusOr<OpenLoopResult> OpenLoop(const Context& context, int port, double per_second,
                                        absl::Duration time) {
  CreateCalls calls(port, kConnections, kOpenLoopCallsMax);
  SALDO_RETURN_IF_ERROR(calls.Connect(absl::Now() + kConnectTimeout));
  const absl::Time begin = absl::Now();
  const int64_t total = static_cast<int64_t>(per_second * absl::ToDoubleSeconds(time));
  int64_t started = 0;
  while (started < total) {
    const int64_t due =
        static_cast<int64_t>(per_second * absl::ToDoubleSeconds(absl::Now() - begin));
    while (started < std::min(total, due) && calls.TryStart()) ++started;
    SALDO_RETURN_IF_ERROR(calls.Errors());
    SALDO_RETURN_IF_ERROR(Wait(context, kTick));
  }
  calls.WaitForAnswers();
  const absl::Duration took = absl::Now() - begin;
  SALDO_RETURN_IF_ERROR(calls.Errors());
  return OpenLoopResult{
      .created = calls.answered(),
      .per_second = static_cast<double>(calls.answered()) / absl::ToDoubleSeconds(took),
      .answer_ms = calls.TakeLatenciesMs()};
}

}  // namespace saldo::bench
