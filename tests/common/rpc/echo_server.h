// A real server on a loopback port, with a client.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "common/observability/metrics.h"
#include "common/observability/trace.h"
#include "common/rpc/dispatcher.h"
#include "common/rpc/server.h"
#include "common/runtime/stop_signal.h"
#include "echo.grpc.pb.h"
#include "grpcpp/create_channel.h"

namespace saldo::rpc::testing {

// Longer than anything a test waits for when all is well.
constexpr absl::Duration kPatience = absl::Seconds(30);

using EchoMethods = Echo::WithCallbackMethod_Say<Echo::WithCallbackMethod_Later<
    Echo::WithRawCallbackMethod_Write<Echo::WithRawCallbackMethod_Flow<Echo::Service>>>>;

class EchoService final : public EchoMethods {
 public:
  using SayHandler = std::function<absl::Status(Call&, const EchoRequest&, EchoResponse&)>;
  using LaterHandler =
      std::function<void(std::shared_ptr<AsyncCall>, const EchoRequest&, EchoResponse&)>;

  using FlowHandler =
      std::function<void(std::shared_ptr<StreamItem>, const EchoRequest&, EchoResponse&)>;

  explicit EchoService(Dispatcher& dispatcher)
      : say_(dispatcher, Echo::service_full_name(), "Say"),
        later_(dispatcher, Echo::service_full_name(), "Later"),
        write_(dispatcher, Echo::service_full_name(), "Write"),
        flow_(dispatcher, Echo::service_full_name(), "Flow") {}

  SayHandler on_say = [](Call&, const EchoRequest& q, EchoResponse& p) {
    p.set_text(q.text());
    return absl::OkStatus();
  };
  LaterHandler on_later;  // of Write too
  FlowHandler on_flow;
  // Sees each call of Say after it was queued or refused; the call lives until it is answered.
  std::function<void(const Call&)> on_accepted;

  grpc::ServerUnaryReactor* Say(grpc::CallbackServerContext* c, const EchoRequest* q,
                                EchoResponse* p) override {
    grpc::ServerUnaryReactor* call = say_.Unary(c, q, p, &EchoService::HandleSay, this);
    if (on_accepted) on_accepted(dynamic_cast<const Call&>(*call));
    return call;
  }
  grpc::ServerUnaryReactor* Later(grpc::CallbackServerContext* c, const EchoRequest* q,
                                  EchoResponse* p) override {
    return later_.UnaryAsync(
        c, q, p,
        [this](std::shared_ptr<AsyncCall> call, const EchoRequest& request,
               EchoResponse& response) { on_later(std::move(call), request, response); });
  }
  grpc::ServerUnaryReactor* Write(grpc::CallbackServerContext* c, const grpc::ByteBuffer* q,
                                  grpc::ByteBuffer* p) override {
    return write_.UnaryAsync(c, q, p, &EchoService::HandleLater, this);
  }
  grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* Flow(
      grpc::CallbackServerContext* c) override {
    return flow_.Stream(c, &EchoService::HandleFlow, this);
  }

 private:
  void HandleFlow(std::shared_ptr<StreamItem> item, const EchoRequest& q, EchoResponse& p) {
    on_flow(std::move(item), q, p);
  }
  void HandleLater(std::shared_ptr<AsyncCall> call, const EchoRequest& q, EchoResponse& p) {
    on_later(std::move(call), q, p);
  }
  absl::Status HandleSay(Call& call, const EchoRequest& q, EchoResponse& p) {
    return on_say(call, q, p);
  }

  Method say_;
  Method later_;
  Method write_;
  StreamMethod flow_;
};

class SpanSink final : public trace::Sink {
 public:
  void Take(trace::SpanData span) override {
    absl::MutexLock lock(&mutex_);
    spans_.push_back(std::move(span));
  }
  std::vector<trace::SpanData> spans() {
    absl::MutexLock lock(&mutex_);
    return spans_;
  }

 private:
  absl::Mutex mutex_;
  std::vector<trace::SpanData> spans_ ABSL_GUARDED_BY(mutex_);
};

inline ServerOptions LoopbackOptions() {
  ServerOptions options;
  options.address = "127.0.0.1";
  options.port = 0;
  options.drain_timeout = kPatience;
  options.calls.worker_threads = 4;
  return options;
}

// Set the service's handlers before Start.
class EchoServer {
 public:
  explicit EchoServer(const ServerOptions& options = LoopbackOptions())
      : tracer_(&sink, 1),
        dispatcher(options.calls, registry, tracer_),
        service(dispatcher),
        server(options, dispatcher, {&service}) {}

  absl::Status Start() {
    const absl::Status status = server.Start();
    if (!status.ok()) return status;
    grpc::ChannelArguments arguments;
    // A connection of its own for each server, whatever other channels there are.
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    channel = grpc::CreateCustomChannel("127.0.0.1:" + std::to_string(server.port()),
                                        grpc::InsecureChannelCredentials(), arguments);
    stub = Echo::NewStub(channel);
    return status;
  }

  metrics::Registry registry;
  SpanSink sink;

 private:
  trace::Tracer tracer_;

 public:
  Dispatcher dispatcher;
  EchoService service;
  Server server;
  std::shared_ptr<grpc::Channel> channel;
  std::unique_ptr<Echo::Stub> stub;
};

// One call from the client's side.
struct ClientCall {
  explicit ClientCall(std::string text = "", absl::Duration timeout = kPatience) {
    request.set_text(std::move(text));
    context.set_deadline(absl::ToChronoTime(absl::Now() + timeout));
  }
  grpc::Status Say(EchoServer& server) { return server.stub->Say(&context, request, &response); }
  grpc::Status Later(EchoServer& server) {
    return server.stub->Later(&context, request, &response);
  }
  grpc::Status Write(EchoServer& server) {
    return server.stub->Write(&context, request, &response);
  }

  grpc::ClientContext context;
  EchoRequest request;
  EchoResponse response;
};

// Looks again and again until `condition` holds or patience ends.
template <typename Condition>
bool Eventually(Condition condition, absl::Duration patience = kPatience) {
  runtime::StopSignal pause;
  const absl::Time deadline = absl::Now() + patience;
  while (!condition()) {
    if (absl::Now() > deadline) return false;
    pause.WaitFor(absl::Milliseconds(2));
  }
  return true;
}

}  // namespace saldo::rpc::testing
