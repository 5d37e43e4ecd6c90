// The way from gRPC's threads to handlers.
//
// gRPC runs callbacks on about as many threads as there are cores, and one that blocks stalls the
// server; so they only put calls on the queue of a worker pool, and the workers run the handlers.
//
//   class Packages final : public Api::WithRawCallbackMethod_CreateV1<Api::Service> {
//    public:
//     explicit Packages(rpc::Dispatcher& d) : create_(d, Api::service_full_name(), "CreateV1") {}
//
//    private:
//     absl::Status Create(rpc::Call& call, const CreateRequest& q, CreateResponse& p);
//     grpc::ServerUnaryReactor* CreateV1(grpc::CallbackServerContext* c,
//                                        const grpc::ByteBuffer* q,
//                                        grpc::ByteBuffer* p) override {
//       return create_.Unary(c, q, p, &Packages::Create, this);
//     }
//     rpc::Method create_;
//   };
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <set>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/observability/metrics.h"
#include "common/observability/trace.h"
#include "common/rpc/call.h"
#include "common/rpc/call_core.h"
#include "common/rpc/call_report.h"
#include "common/rpc/method_metrics.h"
#include "common/rpc/stream_core.h"
#include "common/rpc/worker_pool.h"
#include "grpcpp/server_context.h"
#include "grpcpp/support/byte_buffer.h"
#include "grpcpp/support/server_callback.h"

namespace saldo::rpc {

struct DispatcherOptions {
  int worker_threads = 16;     // handlers that run at once
  int queue_capacity = 1024;   // calls that wait for a worker; more are refused at once
  int async_calls_max = 8192;  // unanswered calls of UnaryAsync; more are refused at once
  // Open streams of StreamMethod; more are refused at once.
  int streams_max = 1024;
  // What one stream may have under way: messages whose answer is not sent, and the bytes of these.
  // When either is reached no more is read, and the client has to wait. The last message may go
  // beyond the bytes.
  int stream_window = 64;
  int64_t stream_window_bytes = 8 << 20;
  // The deadline of calls that bring none and of messages of streams, and the latest one that any
  // call but a stream may have.
  absl::Duration default_deadline = absl::Seconds(10);
  absl::Duration max_deadline = absl::Minutes(1);
  // What RetryInfo tells callers that were refused.
  absl::Duration retry_delay = absl::Milliseconds(200);
  // Whether the header `log_level` makes the log of that call more detailed.
  bool allow_log_level_metadata = true;
  absl::Duration slow_call = absl::Seconds(1);  // calls that take longer are logged at info
};

// Outlives its methods and the server that they belong to.
class Dispatcher {
 public:
  // `registry` and `tracer` outlive the dispatcher.
  Dispatcher(const DispatcherOptions& options, metrics::Registry& registry,
             const trace::Tracer& tracer);

  // The server starts and stops the workers.
  void Start() { pool_.Start(options_.worker_threads, "rpc"); }
  void Stop() { pool_.Stop(); }
  // From `when` on, calls that still wait for a worker are answered with UNAVAILABLE, not run.
  void RunNoneAfter(absl::Time when) { run_until_ns_ = absl::ToUnixNanos(when); }
  // From now on streams read no more, and end with UNAVAILABLE once what is under way is answered.
  void EndStreams() { streams_.EndAll(); }

  // Calls that arrived and are not answered yet.
  int in_flight() const { return in_flight_.load(std::memory_order_relaxed); }
  // Calls that wait for a worker.
  size_t waiting() const { return pool_.waiting(); }
  // The full names of the services whose methods are made on this dispatcher.
  const std::set<std::string>& services() const { return services_; }

 private:
  friend class Method;
  friend class StreamMethod;
  friend class internal::CallCore;
  friend class internal::ItemCore;
  friend class internal::StreamCore;

  const DispatcherOptions options_;
  metrics::Registry& registry_;
  const trace::Tracer& tracer_;
  DispatcherMetrics metrics_;
  const absl::Status full_;
  const grpc::Status full_wire_;
  std::set<std::string> services_;
  std::atomic<int64_t> run_until_ns_{std::numeric_limits<int64_t>::max()};
  std::atomic<int> in_flight_{0};
  std::atomic<int> async_in_flight_{0};
  internal::OpenStreams streams_;
  WorkerPool pool_;
};

// One RPC of a service: a member of it. Made before the server starts.
class Method {
 public:
  Method(Dispatcher& dispatcher, const std::string& service, const std::string& name);

  // Runs `handler(Call&, const Request&, Response&) -> absl::Status` on a worker thread. It may
  // block, within the deadline of call.context(). A call that was cancelled or whose deadline
  // passed while it waited is not run.
  template <typename Request, typename Response, typename Handler>
  grpc::ServerUnaryReactor* Unary(grpc::CallbackServerContext* context, const Request* request,
                                  Response* response, Handler handler) {
    auto* call = new internal::UnaryCall<Request, Response, Handler>(*this, context, request,
                                                                     response, std::move(handler));
    call->Enqueue();
    return call;
  }
  template <typename Request, typename Response, typename Service>
  grpc::ServerUnaryReactor* Unary(
      grpc::CallbackServerContext* context, const Request* request, Response* response,
      absl::Status (Service::*handler)(Call&, const Request&, Response&), Service* service) {
    return Unary(context, request, response, std::bind_front(handler, service));
  }

  // The same for a method whose messages gRPC leaves as bytes (WithRawCallbackMethod_...): a
  // request that cannot be decoded gets INVALID_ARGUMENT with the reason, and is counted and
  // logged, where gRPC by itself answers UNIMPLEMENTED without a trace. Prefer it.
  template <typename Request, typename Response, typename Service>
  grpc::ServerUnaryReactor* Unary(grpc::CallbackServerContext* context,
                                  const grpc::ByteBuffer* request, grpc::ByteBuffer* response,
                                  absl::Status (Service::*handler)(Call&, const Request&,
                                                                   Response&),
                                  Service* service) {
    auto bound = std::bind_front(handler, service);
    auto* call = new internal::RawUnaryCall<Request, Response, decltype(bound)>(
        *this, context, request, response, std::move(bound));
    call->Enqueue();
    return call;
  }

  // Runs `handler(std::shared_ptr<AsyncCall>, const Request&, Response&)` at once, on gRPC's own
  // thread: it must not block, only check the request and hand the call over to whoever answers
  // it. Thousands of such calls can wait for an answer at a time.
  template <typename Request, typename Response, typename Handler>
  grpc::ServerUnaryReactor* UnaryAsync(grpc::CallbackServerContext* context, const Request* request,
                                       Response* response, Handler handler) {
    auto* call = new internal::AsyncUnaryCall<Request, Response, Handler>(
        *this, context, request, response, std::move(handler));
    call->StartAsync();
    return call;
  }
  template <typename Request, typename Response, typename Service>
  grpc::ServerUnaryReactor* UnaryAsync(grpc::CallbackServerContext* context, const Request* request,
                                       Response* response,
                                       void (Service::*handler)(std::shared_ptr<AsyncCall>,
                                                                const Request&, Response&),
                                       Service* service) {
    return UnaryAsync(context, request, response, std::bind_front(handler, service));
  }

  // The same for a method whose messages gRPC leaves as bytes; see Unary. The response is encoded
  // by the thread that answers the call with OK. Prefer it.
  template <typename Request, typename Response, typename Service>
  grpc::ServerUnaryReactor* UnaryAsync(grpc::CallbackServerContext* context,
                                       const grpc::ByteBuffer* request, grpc::ByteBuffer* response,
                                       void (Service::*handler)(std::shared_ptr<AsyncCall>,
                                                                const Request&, Response&),
                                       Service* service) {
    auto bound = std::bind_front(handler, service);
    auto* call = new internal::RawAsyncUnaryCall<Request, Response, decltype(bound)>(
        *this, context, request, response, std::move(bound));
    call->StartAsync();
    return call;
  }

 private:
  friend class internal::CallCore;

  Dispatcher& dispatcher_;
  const internal::MethodName name_;
  MethodMetrics metrics_;
};

// One RPC of a service that takes a stream of messages and answers each by one message, in their
// order, while many are under way: for heavy writers. The method is one whose messages gRPC leaves
// as bytes:
//
//   grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* WriteV1(
//       grpc::CallbackServerContext* c) override {
//     return write_.Stream(c, &Accounts::Write, this);
//   }
//   void Write(std::shared_ptr<rpc::StreamItem> item, const Request& q, Response& p);
//
// The handler runs at once on gRPC's own thread, for one message of a stream after the other: it
// must not block. The item is answered by any thread; see StreamItem. A message that cannot be
// decoded ends the stream with INVALID_ARGUMENT, as an error of its item does. A stream that its
// client half-closed ends with OK after the last answer. When the server stops, no more messages
// are taken, and the stream ends with UNAVAILABLE after the answers of those under way.
class StreamMethod {
 public:
  StreamMethod(Dispatcher& dispatcher, const std::string& service, const std::string& name);

  template <typename Request, typename Response, typename Service>
  grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* Stream(
      grpc::CallbackServerContext* context,
      void (Service::*handler)(std::shared_ptr<StreamItem>, const Request&, Response&),
      Service* service) {
    auto* stream =
        new internal::RawStream<Request, Response, Service>(*this, context, handler, service);
    stream->Start();
    return stream;
  }

 private:
  friend class internal::ItemCore;
  friend class internal::StreamCore;

  Dispatcher& dispatcher_;
  const internal::MethodName name_;
  MethodMetrics metrics_;
  StreamItemMetrics item_metrics_;
};

}  // namespace saldo::rpc
