// What is measured of every call, under the names of go-grpc-prometheus, so that common dashboards
// fit.
#pragma once

#include <array>
#include <string>

#include "absl/status/status.h"
#include "common/observability/metrics.h"

namespace saldo::rpc {

// Of one method. All series exist from the start, so that rate() sees the first error.
struct MethodMetrics {
  // `type`: "unary" or "bidi_stream".
  MethodMetrics(metrics::Registry& registry, const std::string& type, const std::string& service,
                const std::string& method);

  metrics::Counter& handled(absl::StatusCode code) {
    const auto index = static_cast<size_t>(code);
    return *handled_by_code[index < handled_by_code.size() ? index : 2];  // 2: UNKNOWN
  }

  metrics::Counter* started;
  std::array<metrics::Counter*, 17> handled_by_code;
  metrics::Histogram* handling_seconds;  // from arrival to the answer
  metrics::Counter* messages_received;
  metrics::Counter* messages_sent;
  metrics::Counter* rejected;
};

// Of the messages of one streaming method.
struct StreamItemMetrics {
  StreamItemMetrics(metrics::Registry& registry, const std::string& service,
                    const std::string& method);

  metrics::Gauge* under_way;
  metrics::Histogram* handling_seconds;  // from a message's arrival until its answer is known
};

// Of all methods of a server.
struct DispatcherMetrics {
  explicit DispatcherMetrics(metrics::Registry& registry);

  metrics::Gauge* in_flight;
  metrics::Gauge* queue_depth;
  metrics::Histogram* queue_wait_seconds;
};

}  // namespace saldo::rpc
