// The part of a call that does not depend on its messages. Not for services: see dispatcher.h.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/base/status_macros.h"
#include "common/observability/log.h"
#include "common/rpc/call.h"
#include "common/rpc/codec.h"
#include "common/rpc/worker_pool.h"
#include "grpcpp/server_context.h"
#include "grpcpp/support/server_callback.h"

namespace saldo::rpc {

class Dispatcher;
class Method;

namespace internal {

// Kept alive by gRPC until OnDone, and by an asynchronous call's handle. gRPC calls OnDone only
// after Finish, the cancellation's end and the return of the method to gRPC, so until a call is
// answered everything of it is there; once it is answered, it may be gone.
class CallCore : public AsyncCall, public grpc::ServerUnaryReactor, public WorkerPool::Task {
 public:
  // On gRPC's thread, last: give the call to a worker, or refuse it.
  void Enqueue();
  // On gRPC's thread, last: run the handler here, or refuse the call.
  void StartAsync();

  std::string peer() const override;
  std::optional<std::string_view> Metadata(std::string_view key) const override;
  std::string_view method() const override;
  void Finish(absl::Status status) override;
  void Run() override;

 protected:
  CallCore(Method& method, grpc::CallbackServerContext* context);
  CallCore(Method& method, grpc::CallbackServerContext* context, absl::Time now);
  ~CallCore() override = default;

  // Runs the handler. `handle` is null unless the call is asynchronous, whose status is ignored.
  virtual absl::Status Handle(std::shared_ptr<AsyncCall> handle) = 0;
  // Makes an asynchronous call's response the bytes that gRPC sends, once it is answered with OK.
  virtual absl::Status EncodeResponse() { return absl::OkStatus(); }

 private:
  void OnCancel() override { cancel_flag_.Cancel(); }
  void OnDone() override { Unref(); }
  // The reactions above are trivial, so gRPC may run them where it stands instead of moving to
  // another thread.
  bool InternalInlineable() override { return true; }

  void Unref();
  std::shared_ptr<AsyncCall> MakeHandle();

  absl::Status HandleGuarded(std::shared_ptr<AsyncCall> handle);
  std::optional<log::Level> AskedLevel() const;

  void Refuse();
  // Before the answer is sent, so that who sees it finds it counted: counts and logs it.
  void Report(const absl::Status& status);
  void Leave();
  // Last: afterwards `this` may be gone.
  void Answer(const absl::Status& status);

  Method& method_;
  Dispatcher& dispatcher_;
  grpc::CallbackServerContext* const context_;
  CancelFlag cancel_flag_;
  const absl::Time arrived_;
  absl::Duration waited_;
  std::optional<log::Level> log_level_;
  std::optional<trace::SpanContext> parent_;  // of an asynchronous call
  std::atomic<bool> answered_{false};
  std::atomic<int> references_{1};
};

template <typename Request, typename Response, typename Handler>
class UnaryCall final : public CallCore {
 public:
  UnaryCall(Method& method, grpc::CallbackServerContext* context, const Request* request,
            Response* response, Handler handler)
      : CallCore(method, context),
        request_(request),
        response_(response),
        handler_(std::move(handler)) {}

 private:
  absl::Status Handle(std::shared_ptr<AsyncCall>) override {
    return handler_(static_cast<Call&>(*this), *request_, *response_);
  }

  const Request* const request_;
  Response* const response_;
  Handler handler_;
};

// Takes and gives bytes, so that a bad request is answered by us, and its decoding is a worker's.
template <typename Request, typename Response, typename Handler>
class RawUnaryCall final : public CallCore {
 public:
  RawUnaryCall(Method& method, grpc::CallbackServerContext* context,
               const grpc::ByteBuffer* request, grpc::ByteBuffer* response, Handler handler)
      : CallCore(method, context),
        request_(request),
        response_(response),
        handler_(std::move(handler)) {}

 private:
  absl::Status Handle(std::shared_ptr<AsyncCall>) override {
    Request request;
    SALDO_RETURN_IF_ERROR(Decode(*request_, &request));
    Response response;
    SALDO_RETURN_IF_ERROR(handler_(static_cast<Call&>(*this), request, response));
    return Encode(response, response_);
  }

  const grpc::ByteBuffer* const request_;
  grpc::ByteBuffer* const response_;
  Handler handler_;
};

template <typename Request, typename Response, typename Handler>
class AsyncUnaryCall final : public CallCore {
 public:
  AsyncUnaryCall(Method& method, grpc::CallbackServerContext* context, const Request* request,
                 Response* response, Handler handler)
      : CallCore(method, context),
        request_(request),
        response_(response),
        handler_(std::move(handler)) {}

 private:
  absl::Status Handle(std::shared_ptr<AsyncCall> handle) override {
    handler_(std::move(handle), *request_, *response_);
    return absl::OkStatus();
  }

  const Request* const request_;
  Response* const response_;
  Handler handler_;
};

// Takes and gives bytes. The messages are part of the call, so that a call is one allocation.
template <typename Request, typename Response, typename Handler>
class RawAsyncUnaryCall final : public CallCore {
 public:
  RawAsyncUnaryCall(Method& method, grpc::CallbackServerContext* context,
                    const grpc::ByteBuffer* request, grpc::ByteBuffer* response, Handler handler)
      : CallCore(method, context),
        request_bytes_(request),
        response_bytes_(response),
        handler_(std::move(handler)) {}

 private:
  absl::Status Handle(std::shared_ptr<AsyncCall> handle) override {
    SALDO_RETURN_IF_ERROR(Decode(*request_bytes_, &request_));
    handler_(std::move(handle), request_, response_);
    return absl::OkStatus();
  }
  absl::Status EncodeResponse() override { return Encode(response_, response_bytes_); }

  const grpc::ByteBuffer* const request_bytes_;
  grpc::ByteBuffer* const response_bytes_;
  Handler handler_;
  Request request_;
  Response response_;
};

}  // namespace internal
}  // namespace saldo::rpc
