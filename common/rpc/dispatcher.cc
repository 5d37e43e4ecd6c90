#include "common/rpc/dispatcher.h"

#include "common/rpc/errors.h"

namespace saldo::rpc {

Dispatcher::Dispatcher(const DispatcherOptions& options, metrics::Registry& registry,
                       const trace::Tracer& tracer)
    : options_(options),
      registry_(registry),
      tracer_(tracer),
      metrics_(registry),
      full_(WithRetryInfo(
          absl::ResourceExhaustedError("the server has too many calls, try again later"),
          options.retry_delay)),
      full_wire_(ToGrpcStatus(full_, "")),
      streams_(options.streams_max),
      pool_(static_cast<size_t>(options.queue_capacity)) {}

Method::Method(Dispatcher& dispatcher, const std::string& service, const std::string& name)
    : dispatcher_(dispatcher),
      name_(service, name),
      metrics_(dispatcher.registry_, "unary", service, name) {
  dispatcher.services_.insert(service);
}

StreamMethod::StreamMethod(Dispatcher& dispatcher, const std::string& service,
                           const std::string& name)
    : dispatcher_(dispatcher),
      name_(service, name),
      metrics_(dispatcher.registry_, "bidi_stream", service, name),
      item_metrics_(dispatcher.registry_, service, name) {
  dispatcher.services_.insert(service);
}

}  // namespace saldo::rpc
