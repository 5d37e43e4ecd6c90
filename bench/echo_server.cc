#include "bench/echo_server.h"

#include <memory>

#include "common/base/status_macros.h"
#include "common/observability/metrics.h"
#include "common/observability/trace.h"
#include "common/rpc/dispatcher.h"
#include "common/rpc/server.h"
#include "common/runtime/signals.h"
#include "saldo/v1/account_service.grpc.pb.h"

namespace saldo::bench {
namespace {

using Api = v1::AccountService;

class EchoService final : public Api::WithRawCallbackMethod_WriteEvents<Api::Service> {
 public:
  explicit EchoService(rpc::Dispatcher& dispatcher)
      : write_(dispatcher, Api::service_full_name(), "WriteEvents") {}

 private:
  void Echo(std::shared_ptr<rpc::AsyncCall> call, const v1::WriteEventsRequest&,
            v1::WriteEventsResponse&) {
    call->Finish(absl::OkStatus());
  }
  grpc::ServerUnaryReactor* WriteEvents(grpc::CallbackServerContext* c, const grpc::ByteBuffer* q,
                                        grpc::ByteBuffer* p) override {
    return write_.UnaryAsync(c, q, p, &EchoService::Echo, this);
  }

  rpc::Method write_;
};

}  // namespace

absl::Status ServeEcho(int port) {
  runtime::Signals signals;
  metrics::Registry registry;
  const trace::Tracer tracer(nullptr, 0);
  rpc::ServerOptions options;
  options.address = "127.0.0.1";
  options.port = port;
  rpc::Dispatcher dispatcher(options.calls, registry, tracer);
  EchoService service(dispatcher);
  rpc::Server server(options, dispatcher, {&service});
  SALDO_RETURN_IF_ERROR(server.Start());
  signals.Wait();
  server.Stop();
  return absl::OkStatus();
}

}  // namespace saldo::bench
