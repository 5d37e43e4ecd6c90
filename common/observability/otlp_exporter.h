// Sends finished spans to a collector by OTLP over gRPC.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/observability/metrics.h"
#include "common/observability/trace.h"
#include "common/runtime/service.h"
#include "common/runtime/thread.h"

namespace saldo::trace {

struct OtlpOptions {
  std::string target = "localhost:4317";                     // host:port of the collector
  bool tls = false;                                          // with the system's root certificates
  std::vector<std::pair<std::string, std::string>> headers;  // gRPC metadata; keys in lower case
  std::vector<std::pair<std::string, AttributeValue>> resource;  // service.name and the like

  size_t queue_spans_max = 4096;                  // spans that wait; more are dropped and counted
  size_t batch_spans_max = 512;                   // spans in one call, at most queue_spans_max
  size_t batch_bytes_max = 2 * 1024 * 1024;       // of one call; collectors refuse more than 4 MiB
  absl::Duration batch_delay = absl::Seconds(1);  // how long a span waits for a full batch
  absl::Duration export_timeout = absl::Seconds(10);     // of one attempt
  int attempts_max = 5;                                  // of one batch; then it is dropped
  absl::Duration backoff_min = absl::Milliseconds(500);  // doubled after each attempt, with jitter
  absl::Duration backoff_max = absl::Seconds(5);
  absl::Duration flush_timeout = absl::Seconds(3);  // how long Stop sends what waits
};

// Take never blocks: a span that finds the queue full is dropped. One thread sends. Metrics:
//   trace_spans_exported_total
//   trace_spans_dropped_total{reason="queue_full|export_failed|rejected|stopped"}
//   trace_export_errors_total{code}   failed attempts by gRPC status code
class OtlpExporter : public Sink, public runtime::Service {
 public:
  // `registry` outlives the exporter.
  OtlpExporter(OtlpOptions options, metrics::Registry& registry);
  ~OtlpExporter() override;

  void Take(SpanData span) override;

  std::string_view name() const override { return "trace exporter"; }
  // Does not wait for the collector: it may come and go.
  absl::Status Start() override;
  // Sends what waits for at most flush_timeout, each batch once, and drops the rest. Spans taken
  // later are dropped.
  void Stop() override;

 private:
  class Transport;
  enum class Outcome { kSent, kRetry, kFailed };

  void Run();
  // Waits for a full batch, the delay or a stop. Empty at the end.
  std::vector<SpanData> NextBatch();
  std::vector<SpanData> PopLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Export(std::vector<SpanData> batch);
  // False when a stop ended the wait.
  bool WaitBeforeRetry(absl::Duration backoff);
  void ReportAttempt(const absl::Status& status);
  bool BatchReady() const ABSL_SHARED_LOCKS_REQUIRED(mutex_);
  bool Stopping() const ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return stopping_; }
  bool Ended() const ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return ended_; }

  const OtlpOptions options_;
  metrics::Registry& registry_;
  metrics::Counter& exported_;
  metrics::Counter& dropped_full_;
  metrics::Counter& dropped_failed_;
  metrics::Counter& dropped_rejected_;
  metrics::Counter& dropped_stopped_;
  const std::unique_ptr<Transport> transport_;

  absl::Mutex mutex_;
  std::deque<SpanData> queue_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  bool ended_ ABSL_GUARDED_BY(mutex_) = true;  // whether the thread has left, or never began
  absl::Time flush_deadline_ ABSL_GUARDED_BY(mutex_) = absl::InfiniteFuture();

  bool failing_ = false;  // only the sending thread: the last attempt failed
  runtime::Thread thread_;
};

}  // namespace saldo::trace
