#include "common/rpc/method_metrics.h"

namespace saldo::rpc {
namespace {

// The spelling of go-grpc-prometheus, by number.
constexpr std::array<const char*, 17> kCodeNames = {
    "OK",       "Canceled",        "Unknown",          "InvalidArgument",   "DeadlineExceeded",
    "NotFound", "AlreadyExists",   "PermissionDenied", "ResourceExhausted", "FailedPrecondition",
    "Aborted",  "OutOfRange",      "Unimplemented",    "Internal",          "Unavailable",
    "DataLoss", "Unauthenticated",
};

}  // namespace

MethodMetrics::MethodMetrics(metrics::Registry& registry, const std::string& type,
                             const std::string& service, const std::string& method) {
  const metrics::Labels labels = {
      {"grpc_type", type}, {"grpc_service", service}, {"grpc_method", method}};
  started = &registry.AddCounter("grpc_server_started_total", "RPCs that arrived.", labels);
  for (size_t i = 0; i < handled_by_code.size(); ++i) {
    metrics::Labels with_code = labels;
    with_code["grpc_code"] = kCodeNames[i];
    handled_by_code[i] = &registry.AddCounter("grpc_server_handled_total",
                                              "RPCs that were answered, by code.", with_code);
  }
  handling_seconds = &registry.AddHistogram("grpc_server_handling_seconds",
                                            "Time from the arrival of an RPC to its answer.",
                                            labels, metrics::LatencyBuckets());
  messages_received = &registry.AddCounter("grpc_server_msg_received_total",
                                           "Messages received from clients.", labels);
  messages_sent =
      &registry.AddCounter("grpc_server_msg_sent_total", "Messages sent to clients.", labels);
  rejected = &registry.AddCounter("grpc_server_rejected_total",
                                  "RPCs refused at once because the server was full.", labels);
}

StreamItemMetrics::StreamItemMetrics(metrics::Registry& registry, const std::string& service,
                                     const std::string& method) {
  const metrics::Labels labels = {
      {"grpc_type", "bidi_stream"}, {"grpc_service", service}, {"grpc_method", method}};
  under_way = &registry.AddGauge("grpc_server_stream_messages_in_flight",
                                 "Messages of streams whose answer is not sent yet.", labels);
  handling_seconds =
      &registry.AddHistogram("grpc_server_stream_message_handling_seconds",
                             "Time from the arrival of a stream's message until it is answered.",
                             labels, metrics::LatencyBuckets());
}

DispatcherMetrics::DispatcherMetrics(metrics::Registry& registry)
    : in_flight(&registry.AddGauge("grpc_server_in_flight",
                                   "RPCs that arrived and are not answered yet.")),
      queue_depth(
          &registry.AddGauge("grpc_server_queue_depth", "RPCs that wait for a worker thread.")),
      queue_wait_seconds(&registry.AddHistogram("grpc_server_queue_wait_seconds",
                                                "Time that RPCs waited for a worker thread.", {},
                                                metrics::LatencyBuckets())) {}

}  // namespace saldo::rpc
