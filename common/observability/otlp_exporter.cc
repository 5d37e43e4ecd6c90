#include "common/observability/otlp_exporter.h"

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <chrono>
#include <random>

#include "absl/time/clock.h"
#include "common/observability/log.h"
#include "common/observability/otlp_encode.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "opentelemetry/proto/collector/trace/v1/trace_service.grpc.pb.h"

namespace saldo::trace {
namespace {

namespace collector = opentelemetry::proto::collector::trace::v1;

constexpr char kDropped[] = "trace_spans_dropped_total";
constexpr char kDroppedHelp[] = "Spans that never reached the collector, by reason.";

metrics::Counter& AddDropped(metrics::Registry& registry, const char* reason) {
  return registry.AddCounter(kDropped, kDroppedHelp, {{"reason", reason}});
}

bool HasRetryInfo(const grpc::Status& status) {
  google::rpc::Status details;
  if (!details.ParseFromString(status.error_details())) return false;
  return std::any_of(details.details().begin(), details.details().end(),
                     [](const auto& any) { return any.template Is<google::rpc::RetryInfo>(); });
}

// As the OTLP specification lists them.
bool Retryable(const grpc::Status& status) {
  switch (status.error_code()) {
    case grpc::StatusCode::CANCELLED:
    case grpc::StatusCode::DEADLINE_EXCEEDED:
    case grpc::StatusCode::ABORTED:
    case grpc::StatusCode::OUT_OF_RANGE:
    case grpc::StatusCode::UNAVAILABLE:
    case grpc::StatusCode::DATA_LOSS:
      return true;
    case grpc::StatusCode::RESOURCE_EXHAUSTED:
      return HasRetryInfo(status);
    default:
      return false;
  }
}

std::shared_ptr<grpc::Channel> MakeChannel(const OtlpOptions& options) {
  grpc::ChannelArguments arguments;
  // gRPC's own default waits up to two minutes before it tries a collector that is back.
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 200);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS,
                   static_cast<int>(absl::ToInt64Milliseconds(options.backoff_max)));
  return grpc::CreateCustomChannel(
      options.target, options.tls ? grpc::SslCredentials({}) : grpc::InsecureChannelCredentials(),
      arguments);
}

}  // namespace

// The gRPC side: one call at a time, which another thread can cancel.
class OtlpExporter::Transport {
 public:
  explicit Transport(const OtlpOptions& options)
      : headers_(options.headers), stub_(collector::TraceService::NewStub(MakeChannel(options))) {}

  grpc::Status Call(const collector::ExportTraceServiceRequest& request, absl::Duration timeout,
                    collector::ExportTraceServiceResponse* response) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + absl::ToChronoMicroseconds(timeout));
    for (const auto& [key, value] : headers_) context.AddMetadata(key, value);
    {
      absl::MutexLock lock(&mutex_);
      if (cancelled_) return {grpc::StatusCode::CANCELLED, "the exporter stops"};
      running_ = &context;
    }
    const grpc::Status status = stub_->Export(&context, request, response);
    absl::MutexLock lock(&mutex_);
    running_ = nullptr;
    return status;
  }

  // Ends the call under way, and every later one.
  void Cancel() {
    absl::MutexLock lock(&mutex_);
    cancelled_ = true;
    if (running_ != nullptr) running_->TryCancel();
  }

 private:
  const std::vector<std::pair<std::string, std::string>> headers_;
  const std::unique_ptr<collector::TraceService::Stub> stub_;
  absl::Mutex mutex_;
  grpc::ClientContext* running_ ABSL_GUARDED_BY(mutex_) = nullptr;
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
};

OtlpExporter::OtlpExporter(OtlpOptions options, metrics::Registry& registry)
    : options_(std::move(options)),
      registry_(registry),
      exported_(registry.AddCounter("trace_spans_exported_total",
                                    "Spans that the collector has accepted.")),
      dropped_full_(AddDropped(registry, "queue_full")),
      dropped_failed_(AddDropped(registry, "export_failed")),
      dropped_rejected_(AddDropped(registry, "rejected")),
      dropped_stopped_(AddDropped(registry, "stopped")),
      transport_(std::make_unique<Transport>(options_)) {}

OtlpExporter::~OtlpExporter() { Stop(); }

void OtlpExporter::Take(SpanData span) {
  metrics::Counter* dropped = nullptr;
  {
    absl::MutexLock lock(&mutex_);
    if (stopping_) {
      dropped = &dropped_stopped_;
    } else if (queue_.size() >= options_.queue_spans_max) {
      dropped = &dropped_full_;
    } else {
      queue_.push_back(std::move(span));
    }
  }
  if (dropped != nullptr) dropped->Increment();
}

absl::Status OtlpExporter::Start() {
  {
    absl::MutexLock lock(&mutex_);
    if (stopping_) return absl::FailedPreconditionError("the trace exporter was stopped");
    ended_ = false;
  }
  thread_ = runtime::Thread("trace-export", [this] { Run(); });
  return absl::OkStatus();
}

void OtlpExporter::Stop() {
  {
    absl::MutexLock lock(&mutex_);
    if (!stopping_) flush_deadline_ = absl::Now() + options_.flush_timeout;
    stopping_ = true;
    mutex_.AwaitWithDeadline(absl::Condition(this, &OtlpExporter::Ended), flush_deadline_);
  }
  transport_->Cancel();
  thread_.Join();
  absl::MutexLock lock(&mutex_);
  dropped_stopped_.Increment(static_cast<double>(queue_.size()));
  queue_.clear();
}

void OtlpExporter::Run() {
  while (true) {
    std::vector<SpanData> batch = NextBatch();
    if (batch.empty()) break;
    Export(std::move(batch));
  }
  absl::MutexLock lock(&mutex_);
  ended_ = true;
}

bool OtlpExporter::BatchReady() const {
  return stopping_ || queue_.size() >= options_.batch_spans_max;
}

std::vector<SpanData> OtlpExporter::NextBatch() {
  absl::MutexLock lock(&mutex_);
  while (true) {
    mutex_.AwaitWithTimeout(absl::Condition(this, &OtlpExporter::BatchReady), options_.batch_delay);
    if (stopping_ && absl::Now() >= flush_deadline_) return {};
    if (!queue_.empty()) return PopLocked();
    if (stopping_) return {};
  }
}

std::vector<SpanData> OtlpExporter::PopLocked() {
  std::vector<SpanData> batch;
  size_t bytes = 0;
  while (!queue_.empty() && batch.size() < options_.batch_spans_max) {
    bytes += EstimateBytes(queue_.front());
    if (!batch.empty() && bytes > options_.batch_bytes_max) break;
    batch.push_back(std::move(queue_.front()));
    queue_.pop_front();
  }
  return batch;
}

void OtlpExporter::Export(std::vector<SpanData> batch) {
  const auto spans = static_cast<double>(batch.size());
  const collector::ExportTraceServiceRequest request = EncodeSpans(options_.resource, batch);
  batch.clear();
  absl::Duration backoff = options_.backoff_min;
  for (int attempt = 1;; ++attempt) {
    collector::ExportTraceServiceResponse response;
    const grpc::Status status = transport_->Call(request, options_.export_timeout, &response);
    ReportAttempt(
        absl::Status(static_cast<absl::StatusCode>(status.error_code()), status.error_message()));
    if (status.ok()) {
      const auto rejected =
          std::clamp(static_cast<double>(response.partial_success().rejected_spans()), 0.0, spans);
      exported_.Increment(spans - rejected);
      dropped_rejected_.Increment(rejected);
      if (rejected > 0) {
        log::Warning("the trace collector rejected spans",
                     {{"spans", rejected}, {"error", response.partial_success().error_message()}});
      }
      return;
    }
    if (!Retryable(status) || attempt >= options_.attempts_max || !WaitBeforeRetry(backoff)) break;
    backoff = std::min(2 * backoff, options_.backoff_max);
  }
  dropped_failed_.Increment(spans);
}

bool OtlpExporter::WaitBeforeRetry(absl::Duration backoff) {
  thread_local std::minstd_rand random{std::random_device{}()};
  const double jitter = std::uniform_real_distribution<double>(0.5, 1.0)(random);
  absl::MutexLock lock(&mutex_);
  return !mutex_.AwaitWithTimeout(absl::Condition(this, &OtlpExporter::Stopping), backoff * jitter);
}

void OtlpExporter::ReportAttempt(const absl::Status& status) {
  if (!status.ok()) {
    registry_
        .AddCounter("trace_export_errors_total", "Failed calls of the trace collector, by code.",
                    {{"code", absl::StatusCodeToString(status.code())}})
        .Increment();
  }
  // One line when it begins and one when it ends: an outage must not flood the log.
  if (status.ok() == !failing_) return;
  failing_ = !status.ok();
  if (failing_) {
    log::Warning("cannot send traces to the collector, spans may be dropped",
                 {{"target", options_.target}, {"error", status}});
  } else {
    log::Info("sending traces to the collector again", {{"target", options_.target}});
  }
}

}  // namespace saldo::trace
