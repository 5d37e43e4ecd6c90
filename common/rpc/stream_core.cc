#include "common/rpc/stream_core.h"

#include <algorithm>
#include <chrono>
#include <exception>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/rpc/call_report.h"
#include "common/rpc/dispatcher.h"
#include "common/rpc/errors.h"

namespace saldo::rpc::internal {
namespace {

absl::Time ClientDeadline(const grpc::CallbackServerContext& context) {
  const auto asked = context.deadline();
  if (asked == std::chrono::system_clock::time_point::max()) return absl::InfiniteFuture();
  return absl::FromChrono(asked);
}

}  // namespace

// ---- The streams of a server

bool OpenStreams::Add(StreamCore* stream) {
  absl::MutexLock lock(&mutex_);
  if (streams_.size() >= max_) return false;
  streams_.insert(stream);
  if (ending_) stream->End();
  return true;
}

void OpenStreams::Remove(StreamCore* stream) {
  absl::MutexLock lock(&mutex_);
  streams_.erase(stream);
}

void OpenStreams::EndAll() {
  absl::MutexLock lock(&mutex_);
  ending_ = true;
  for (StreamCore* stream : streams_) stream->End();
}

// ---- One message

ItemCore::ItemCore(StreamCore& stream, uint64_t number, absl::Time now)
    : StreamItem(std::min(stream.deadline_, now + stream.dispatcher_.options_.default_deadline),
                 &stream.cancel_flag_),
      stream_(stream),
      number_(number),
      arrived_(now) {
  stream_.Ref();
  trace_context_ = BeginSpan(stream.dispatcher_.tracer_, stream.parent_);
}

ItemCore::~ItemCore() {
  if (!answered_) ItemCore::Finish(absl::InternalError("the item was dropped without an answer"));
  stream_.Unref();
}

std::string ItemCore::peer() const { return answered_ ? "" : stream_.context_->peer(); }

std::optional<std::string_view> ItemCore::Metadata(std::string_view key) const {
  return answered_ ? std::nullopt : Header(*stream_.context_, key);
}

std::string_view ItemCore::method() const { return stream_.method_.name_.full; }

void ItemCore::Finish(absl::Status status) {
  if (answered_.exchange(true)) {
    log::Error("message answered twice, the second answer is dropped",
               {{"grpc_method", method()}, {"answer", status}});
    return;
  }
  grpc::ByteBuffer response;
  if (status.ok()) status = EncodeResponse(&response);
  Report(status);
  stream_.TakeAnswer(number_, std::move(status), &response);
}

void ItemCore::Report(const absl::Status& status) {
  StreamMethod& method = stream_.method_;
  const Dispatcher& dispatcher = stream_.dispatcher_;
  RecordSpan(dispatcher.tracer_, method.name_, *stream_.context_, trace_context_, stream_.parent_,
             arrived_, status);
  const absl::Duration took = absl::Now() - arrived_;
  method.item_metrics_.handling_seconds->Observe(absl::ToDoubleSeconds(took));

  std::optional<log::ScopedLevel> asked;
  if (stream_.log_level_) asked.emplace(*stream_.log_level_);
  log::Level level = log::Level::kDebug;
  if (took >= dispatcher.options_.slow_call) level = log::Level::kInfo;
  if (IsServerFault(status.code())) level = log::Level::kWarning;
  if (!log::Enabled(level)) return;
  trace::Span ids(SilentTracer(), "", trace::Kind::kServer, trace_context_);
  log::Write(level, "stream message",
             {{"grpc_method", method.name_.full},
              {"grpc_code", static_cast<int>(status.code())},
              {"number", number_},
              {"took", took},
              {"peer", stream_.context_->peer()},
              {"status", StatusForLog(level, status)}});
}

// ---- A stream's beginning and end

StreamCore::StreamCore(StreamMethod& method, grpc::CallbackServerContext* context)
    : method_(method),
      dispatcher_(method.dispatcher_),
      context_(context),
      arrived_(absl::Now()),
      deadline_(ClientDeadline(*context)),
      parent_(ParentContext(*context)) {
  if (dispatcher_.options_.allow_log_level_metadata) log_level_ = AskedLogLevel(*context);
  method_.metrics_.started->Increment();
  dispatcher_.metrics_.in_flight->Increment();
  dispatcher_.in_flight_.fetch_add(1, std::memory_order_relaxed);
}

void StreamCore::Unref() {
  if (references_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
}

void StreamCore::Start() {
  refused_ = !dispatcher_.streams_.Add(this);
  if (refused_) method_.metrics_.rejected->Increment();
  absl::MutexLock lock(&mutex_);
  if (refused_) error_ = dispatcher_.full_;
  Step();
}

void StreamCore::End() {
  absl::MutexLock lock(&mutex_);
  stopping_ = true;
  Step();
}

void StreamCore::OnCancel() {
  cancel_flag_.Cancel();
  absl::MutexLock lock(&mutex_);
  gone_ = true;
  Step();
}

void StreamCore::OnDone() {
  if (!refused_) dispatcher_.streams_.Remove(this);
  Unref();
}

absl::Status StreamCore::EndStatus() const {
  if (!error_.ok()) return error_;
  if (gone_) {
    return absl::Now() >= deadline_
               ? absl::DeadlineExceededError("the deadline of the stream has passed")
               : absl::CancelledError("the caller cancelled the stream");
  }
  if (half_closed_) return absl::OkStatus();
  return WithRetryInfo(absl::UnavailableError("the server stops"),
                       dispatcher_.options_.retry_delay);
}

void StreamCore::FinishStream() {
  finished_ = true;
  const absl::Status status = EndStatus();
  const trace::SpanContext context = BeginSpan(SilentTracer(), parent_);
  {
    trace::Span ids(SilentTracer(), "", trace::Kind::kServer, context);
    std::optional<log::ScopedLevel> asked;
    if (log_level_) asked.emplace(*log_level_);
    Report(status);
  }
  Finish(ToGrpcStatus(status, context.trace_id_hex()));
}

void StreamCore::Report(const absl::Status& status) {
  const absl::Duration took = absl::Now() - arrived_;
  method_.metrics_.handling_seconds->Observe(absl::ToDoubleSeconds(took));
  method_.metrics_.handled(status.code()).Increment();
  dispatcher_.metrics_.in_flight->Decrement();
  dispatcher_.in_flight_.fetch_sub(1, std::memory_order_relaxed);
  // A stream is not slow because it is long.
  const log::Level level = IsServerFault(status.code()) ? log::Level::kWarning : log::Level::kDebug;
  if (!log::Enabled(level)) return;
  log::Write(level, "stream",
             {{"grpc_method", method_.name_.full},
              {"grpc_code", static_cast<int>(status.code())},
              {"took", took},
              {"peer", context_->peer()},
              {"status", StatusForLog(level, status)}});
}

// ---- Messages in

bool StreamCore::TakesMore() const {
  return !half_closed_ && !gone_ && !stopping_ && !error_ahead_ && error_.ok();
}

void StreamCore::OnReadDone(bool ok) {
  uint64_t number = 0;
  if (ok && OpenSlot(&number)) RunItem(number);
  incoming_.Clear();
  absl::MutexLock lock(&mutex_);
  reading_ = false;
  if (!ok) {
    half_closed_ = true;
    // gRPC tells of a cancellation in two ways, in no order.
    if (context_->IsCancelled()) gone_ = true;
  }
  Step();
}

bool StreamCore::OpenSlot(uint64_t* number) {
  method_.metrics_.messages_received->Increment();
  absl::MutexLock lock(&mutex_);
  if (!TakesMore()) return false;
  *number = first_number_ + slots_.size();
  Slot& slot = slots_.emplace_back();
  slot.request_bytes = incoming_.Length();
  bytes_ += slot.request_bytes;
  method_.item_metrics_.under_way->Increment();
  return true;
}

void StreamCore::RunItem(uint64_t number) {
  std::shared_ptr<ItemCore> item = MakeItem(number, absl::Now());
  trace::Span span(dispatcher_.tracer_, "accept", trace::Kind::kInternal, item->trace_context());
  std::optional<log::ScopedLevel> asked;
  if (log_level_) asked.emplace(*log_level_);
  if (absl::Status status = item->DecodeRequest(incoming_); !status.ok()) {
    item->Finish(std::move(status));
    return;
  }
  // The last line of defence: an exception from a library must cost one stream, not the process.
  try {
    item->Handle(item);
  } catch (const std::exception& error) {
    item->Finish(absl::InternalError(absl::StrCat("exception: ", error.what())));
  }
}

// ---- Answers out

void StreamCore::TakeAnswer(uint64_t number, absl::Status status, grpc::ByteBuffer* response) {
  absl::MutexLock lock(&mutex_);
  Slot& slot = slots_[number - first_number_];
  slot.answered = true;
  if (!status.ok()) error_ahead_ = true;
  slot.status = std::move(status);
  slot.response.Swap(response);
  Step();
}

void StreamCore::OnWriteDone(bool ok) {
  absl::MutexLock lock(&mutex_);
  writing_ = false;
  if (ok) {
    method_.metrics_.messages_sent->Increment();
  } else {
    gone_ = true;
  }
  CloseFirstSlot();
  Step();
}

void StreamCore::CloseFirstSlot() {
  bytes_ -= slots_.front().request_bytes;
  slots_.pop_front();
  ++first_number_;
  method_.item_metrics_.under_way->Decrement();
}

void StreamCore::SendAnswers() {
  while (!slots_.empty() && slots_.front().answered) {
    const Slot& slot = slots_.front();
    if (!gone_ && error_.ok() && slot.status.ok()) {
      writing_ = true;
      grpc::WriteOptions options;
      // With another answer behind it there is no need to wake the network for this one alone; but
      // gRPC would hold the first one, which goes with the headers, for ever.
      const bool more = slots_.size() > 1 && slots_[1].answered && slots_[1].status.ok();
      if (more && first_number_ > 0) options.set_buffer_hint();
      StartWrite(&slot.response, options);
      return;
    }
    if (!gone_ && error_.ok() && !slot.status.ok()) {
      error_ = slot.status;
      // What is under way behind it is for nothing.
      cancel_flag_.Cancel();
    }
    CloseFirstSlot();
  }
}

void StreamCore::Step() {
  if (finished_) return;
  if (!writing_) SendAnswers();
  if (TakesMore()) {
    const DispatcherOptions& options = dispatcher_.options_;
    if (!reading_ && slots_.size() < static_cast<size_t>(options.stream_window) &&
        bytes_ < static_cast<size_t>(options.stream_window_bytes)) {
      reading_ = true;
      StartRead(&incoming_);
    }
  } else if (slots_.empty()) {
    FinishStream();
  }
}

}  // namespace saldo::rpc::internal
