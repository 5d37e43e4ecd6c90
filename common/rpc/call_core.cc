#include "common/rpc/call_core.h"

#include <algorithm>
#include <chrono>
#include <exception>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/rpc/call_report.h"
#include "common/rpc/dispatcher.h"
#include "common/rpc/errors.h"

namespace saldo::rpc::internal {
namespace {

absl::Time Deadline(const grpc::CallbackServerContext& context, const DispatcherOptions& options,
                    absl::Time now) {
  const auto asked = context.deadline();
  if (asked == std::chrono::system_clock::time_point::max()) return now + options.default_deadline;
  return std::min(absl::FromChrono(asked), now + options.max_deadline);
}

}  // namespace

CallCore::CallCore(Method& method, grpc::CallbackServerContext* context)
    : CallCore(method, context, absl::Now()) {}

CallCore::CallCore(Method& method, grpc::CallbackServerContext* context, absl::Time now)
    : AsyncCall(Deadline(*context, method.dispatcher_.options_, now), &cancel_flag_),
      method_(method),
      dispatcher_(method.dispatcher_),
      context_(context),
      arrived_(now) {
  method_.metrics_.started->Increment();
  method_.metrics_.messages_received->Increment();
  dispatcher_.metrics_.in_flight->Increment();
  dispatcher_.in_flight_.fetch_add(1, std::memory_order_relaxed);
}

void CallCore::Unref() {
  if (references_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
}

std::string CallCore::peer() const { return answered_ ? "" : context_->peer(); }

std::optional<std::string_view> CallCore::Metadata(std::string_view key) const {
  return answered_ ? std::nullopt : Header(*context_, key);
}

std::string_view CallCore::method() const { return method_.name_.full; }

// ---- A call with a worker thread

void CallCore::Enqueue() {
  // Counted first, as the worker may be done with the call before TryPost returns.
  dispatcher_.metrics_.queue_depth->Increment();
  if (dispatcher_.pool_.TryPost(this)) return;
  dispatcher_.metrics_.queue_depth->Decrement();
  Refuse();
}

void CallCore::Run() {
  dispatcher_.metrics_.queue_depth->Decrement();
  const absl::Time now = absl::Now();
  waited_ = now - arrived_;
  dispatcher_.metrics_.queue_wait_seconds->Observe(absl::ToDoubleSeconds(waited_));
  absl::Status status = context().Check();
  if (absl::ToUnixNanos(now) >= dispatcher_.run_until_ns_) {
    status = absl::UnavailableError("the server stops");
  }
  {
    trace::Span span(dispatcher_.tracer_, method(), trace::Kind::kServer, ParentContext(*context_));
    trace_context_ = span.context();
    std::optional<log::ScopedLevel> level;
    if (const auto asked = AskedLevel()) level.emplace(*asked);
    if (status.ok()) status = HandleGuarded(nullptr);
    if (span.recording()) {
      const bool error =
          SetSpanAttributes(method_.name_, *context_, status,
                            [&span](std::string_view key, trace::AttributeValue value) {
                              span.SetAttribute(key, std::move(value));
                            });
      if (error) span.SetStatus(status);
    }
    Report(status);
  }
  Answer(status);
}

absl::Status CallCore::HandleGuarded(std::shared_ptr<AsyncCall> handle) {
  // The last line of defence: an exception from a library must cost one call, not the process.
  try {
    return Handle(std::move(handle));
  } catch (const std::exception& error) {
    return absl::InternalError(absl::StrCat("exception: ", error.what()));
  }
}

// ---- A call that is answered later

void CallCore::StartAsync() {
  if (dispatcher_.async_in_flight_.fetch_add(1) >= dispatcher_.options_.async_calls_max) {
    dispatcher_.async_in_flight_.fetch_sub(1);
    Refuse();
    return;
  }
  parent_ = ParentContext(*context_);
  trace_context_ = BeginSpan(dispatcher_.tracer_, parent_);
  log_level_ = AskedLevel();
  const std::shared_ptr<AsyncCall> handle = MakeHandle();
  absl::Status status = context().Check();
  if (status.ok()) {
    // The server span ends with the answer, on another thread; this one holds what happens here.
    trace::Span span(dispatcher_.tracer_, "accept", trace::Kind::kInternal, trace_context_);
    std::optional<log::ScopedLevel> level;
    if (log_level_) level.emplace(*log_level_);
    status = HandleGuarded(handle);
  }
  if (!status.ok()) handle->Finish(std::move(status));
}

std::shared_ptr<AsyncCall> CallCore::MakeHandle() {
  references_.fetch_add(1, std::memory_order_relaxed);
  return std::shared_ptr<AsyncCall>(this, [this](AsyncCall*) {
    if (!answered_) Finish(absl::InternalError("the call was dropped without an answer"));
    Unref();
  });
}

void CallCore::Finish(absl::Status status) {
  if (answered_.exchange(true)) {
    log::Error("call answered twice, the second answer is dropped",
               {{"grpc_method", method()}, {"answer", status}});
    return;
  }
  dispatcher_.async_in_flight_.fetch_sub(1);
  if (status.ok()) status = EncodeResponse();
  RecordSpan(dispatcher_.tracer_, method_.name_, *context_, trace_context_, parent_, arrived_,
             status);
  {
    trace::Span ids(SilentTracer(), "", trace::Kind::kServer, trace_context_);
    std::optional<log::ScopedLevel> level;
    if (log_level_) level.emplace(*log_level_);
    Report(status);
  }
  Answer(status);
}

// ---- Both

std::optional<log::Level> CallCore::AskedLevel() const {
  if (!dispatcher_.options_.allow_log_level_metadata) return std::nullopt;
  return AskedLogLevel(*context_);
}

void CallCore::Refuse() {
  answered_ = true;
  method_.metrics_.rejected->Increment();
  Report(dispatcher_.full_);
  Leave();
  grpc::ServerUnaryReactor::Finish(dispatcher_.full_wire_);
}

void CallCore::Report(const absl::Status& status) {
  const absl::Duration took = absl::Now() - arrived_;
  MethodMetrics& metrics = method_.metrics_;
  metrics.handling_seconds->Observe(absl::ToDoubleSeconds(took));
  metrics.handled(status.code()).Increment();
  if (status.ok()) metrics.messages_sent->Increment();

  log::Level level = log::Level::kDebug;
  if (took >= dispatcher_.options_.slow_call) level = log::Level::kInfo;
  if (IsServerFault(status.code())) level = log::Level::kWarning;
  if (!log::Enabled(level)) return;
  log::Write(level, "call",
             {{"grpc_method", method()},
              {"grpc_code", static_cast<int>(status.code())},
              {"took", took},
              {"waited", waited_},
              {"peer", context_->peer()},
              {"status", StatusForLog(level, status)}});
}

void CallCore::Leave() {
  dispatcher_.metrics_.in_flight->Decrement();
  dispatcher_.in_flight_.fetch_sub(1, std::memory_order_relaxed);
}

void CallCore::Answer(const absl::Status& status) {
  // For an asynchronous call set already; for others only read by their own thread.
  answered_.store(true, std::memory_order_relaxed);
  grpc::Status wire =
      status.ok() ? grpc::Status::OK : ToGrpcStatus(status, trace_context_.trace_id_hex());
  Leave();
  grpc::ServerUnaryReactor::Finish(std::move(wire));
}

}  // namespace saldo::rpc::internal
