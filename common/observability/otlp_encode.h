// Spans as OTLP messages.
#pragma once

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "common/observability/trace.h"
#include "opentelemetry/proto/collector/trace/v1/trace_service.pb.h"

namespace saldo::trace {

// One call's worth of spans of one process. Text is made valid UTF-8, as proto3 demands.
opentelemetry::proto::collector::trace::v1::ExportTraceServiceRequest EncodeSpans(
    const std::vector<std::pair<std::string, AttributeValue>>& resource,
    const std::vector<SpanData>& spans);

// About how many bytes the span takes in a request; never too few for valid text.
size_t EstimateBytes(const SpanData& span);

}  // namespace saldo::trace
