#include "common/rpc/call_core.h"

#include <algorithm>
#include <chrono>
#include <exception>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
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

// The codes by which a server says that the fault is its own.
bool IsServerFault(absl::StatusCode code) {
  return code == absl::StatusCode::kInternal || code == absl::StatusCode::kUnknown ||
         code == absl::StatusCode::kDataLoss;
}

// The codes that OpenTelemetry counts as an error of a server span.
bool IsSpanError(absl::StatusCode code) {
  return IsServerFault(code) || code == absl::StatusCode::kDeadlineExceeded ||
         code == absl::StatusCode::kUnimplemented || code == absl::StatusCode::kUnavailable;
}

// Makes spans that are never recorded: their ids in the log are all that is wanted.
const trace::Tracer& SilentTracer() {
  static const trace::Tracer tracer(nullptr, 0);
  return tracer;
}

}  // namespace

CallCore::CallCore(Method& method, grpc::CallbackServerContext* context)
    : CallCore(method, context, absl::Now()) {}

CallCore::CallCore(Method& method, grpc::CallbackServerContext* context, absl::Time now)
    : AsyncCall(Deadline(*context, method.dispatcher_.options_, now)),
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
  return answered_ ? std::nullopt : Header(key);
}

std::optional<std::string_view> CallCore::Header(std::string_view key) const {
  const auto& metadata = context_->client_metadata();
  const auto found = metadata.find(grpc::string_ref(key.data(), key.size()));
  if (found == metadata.end()) return std::nullopt;
  return std::string_view(found->second.data(), found->second.size());
}

std::string_view CallCore::method() const { return method_.full_name_; }

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
    trace::Span span(dispatcher_.tracer_, method(), trace::Kind::kServer, ParentContext());
    trace_context_ = span.context();
    std::optional<log::ScopedLevel> level;
    if (const auto asked = AskedLogLevel()) level.emplace(*asked);
    if (status.ok()) status = HandleGuarded(nullptr);
    if (span.recording()) {
      SetAttributes(status, [&span](std::string_view key, trace::AttributeValue value) {
        span.SetAttribute(key, std::move(value));
      });
      if (IsSpanError(status.code())) span.SetStatus(status);
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
  asynchronous_ = true;
  if (dispatcher_.async_in_flight_.fetch_add(1) >= dispatcher_.options_.async_calls_max) {
    dispatcher_.async_in_flight_.fetch_sub(1);
    Refuse();
    return;
  }
  BeginAsyncSpan();
  log_level_ = AskedLogLevel();
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
  RecordAsyncSpan(status);
  {
    trace::Span ids(SilentTracer(), "", trace::Kind::kServer, trace_context_);
    std::optional<log::ScopedLevel> level;
    if (log_level_) level.emplace(*log_level_);
    Report(status);
  }
  Answer(status);
}

void CallCore::BeginAsyncSpan() {
  const trace::Tracer& tracer = dispatcher_.tracer_;
  parent_ = ParentContext();
  if (parent_) {
    trace_context_ = trace::NewChildContext(*parent_);
    if (tracer.sink() != nullptr) trace_context_.sampled = tracer.SampleChild(*parent_);
  } else {
    trace_context_ = trace::Span(SilentTracer(), "", trace::Kind::kServer, std::nullopt).context();
    trace_context_.sampled = tracer.SampleRoot(trace_context_);
  }
}

void CallCore::RecordAsyncSpan(const absl::Status& status) {
  if (!trace_context_.sampled || dispatcher_.tracer_.sink() == nullptr) return;
  trace::SpanData span;
  span.name = method();
  span.kind = trace::Kind::kServer;
  span.context = trace_context_;
  if (parent_) span.parent_span_id = parent_->span_id;
  span.start = arrived_;
  span.end = absl::Now();
  SetAttributes(status, [&span](std::string_view key, trace::AttributeValue value) {
    span.attributes.emplace_back(key, std::move(value));
  });
  span.error = IsSpanError(status.code());
  if (span.error) span.error_message = status.ToString();
  trace::Record(dispatcher_.tracer_, std::move(span));
}

// ---- Both

std::optional<trace::SpanContext> CallCore::ParentContext() const {
  const auto header = Header("traceparent");
  return header ? trace::SpanContext::FromTraceparent(*header) : std::nullopt;
}

std::optional<log::Level> CallCore::AskedLogLevel() const {
  if (!dispatcher_.options_.allow_log_level_metadata) return std::nullopt;
  const auto header = Header("log_level");
  if (!header) return std::nullopt;
  log::Level level;
  if (const absl::Status status = log::ParseLevel(*header, &level); !status.ok()) {
    log::Debug("header log_level ignored", {{"error", status}});
    return std::nullopt;
  }
  // It may only show more: what the server logs anyway is not the caller's to hide.
  if (log::Enabled(level)) return std::nullopt;
  return level;
}

void CallCore::SetAttributes(
    const absl::Status& status,
    absl::FunctionRef<void(std::string_view, trace::AttributeValue)> set) const {
  set("rpc.system", "grpc");
  set("rpc.service", method_.service_);
  set("rpc.method", method_.name_);
  set("rpc.grpc.status_code", static_cast<int64_t>(status.code()));
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
              {"status", status}});
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
