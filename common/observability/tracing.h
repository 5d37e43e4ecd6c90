// Tracing as the standard OpenTelemetry variables ask for it. Read here, names without their
// OTEL_ prefix; an empty variable counts as unset, a malformed one is an error:
//
//   SDK_DISABLED                        true: no traces
//   TRACES_EXPORTER                     otlp, or none; unset: otlp if an endpoint is set, else none
//   EXPORTER_OTLP_[TRACES_]ENDPOINT     http://host[:4317], or https:// for TLS;
//                                       default http://localhost:4317
//   EXPORTER_OTLP_[TRACES_]PROTOCOL     grpc, the only one
//   EXPORTER_OTLP_[TRACES_]TIMEOUT      of one call, in ms, default 10000
//   EXPORTER_OTLP_[TRACES_]HEADERS      key=value,... with percent-encoded values
//   SERVICE_NAME                        default: the program's name
//   RESOURCE_ATTRIBUTES                 key=value,... with percent-encoded values
//   TRACES_SAMPLER, TRACES_SAMPLER_ARG  always_on, always_off, traceidratio, or parentbased_ and
//   one
//                                       of these; default parentbased_always_on; ratio 0..1
//   BSP_MAX_QUEUE_SIZE                  spans, default 4096
//   BSP_MAX_EXPORT_BATCH_SIZE           spans, default 512, at most the queue
//   BSP_SCHEDULE_DELAY                  in ms, default 1000
//
// Of the two EXPORTER_OTLP_ forms the one with TRACES_ wins.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/observability/metrics.h"
#include "common/observability/otlp_exporter.h"
#include "common/observability/trace.h"
#include "common/runtime/service.h"

namespace saldo::trace {

struct TracingOptions {
  bool export_spans = false;
  double ratio = 1.0;         // of root traces, 0..1
  bool follow_parent = true;  // whether a caller's decision wins over the ratio
  OtlpOptions otlp;
};

// `variable` gives a variable's value by its full name, or nothing.
absl::StatusOr<TracingOptions> ParseTracingOptions(
    std::string_view service_name,
    const std::function<std::optional<std::string>(const std::string& name)>& variable);

// Holds the tracer and, where spans are exported, the exporter. Outlives all spans.
class Tracing : public runtime::Service {
 public:
  // INVALID_ARGUMENT names the variable at fault. `registry` outlives the result.
  static absl::StatusOr<std::unique_ptr<Tracing>> FromEnvironment(std::string_view service_name,
                                                                  metrics::Registry& registry);

  Tracing(const TracingOptions& options, metrics::Registry& registry);

  const Tracer& tracer() const { return tracer_; }
  bool exporting() const { return exporter_ != nullptr; }

  std::string_view name() const override { return "tracing"; }
  absl::Status Start() override;
  // Sends what waits, within OtlpOptions::flush_timeout. Later spans are dropped.
  void Stop() override;

 private:
  const std::unique_ptr<OtlpExporter> exporter_;  // null: spans are not recorded
  const Tracer tracer_;
};

}  // namespace saldo::trace
