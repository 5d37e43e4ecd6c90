#include <atomic>
#include <catch2/catch.hpp>
#include <memory>
#include <random>
#include <stdexcept>
#include <utility>
#include <vector>

#include "absl/synchronization/blocking_counter.h"
#include "absl/synchronization/notification.h"
#include "common/base/bounded_queue.h"
#include "common/rpc/errors.h"
#include "common/runtime/thread.h"
#include "grpcpp/generic/generic_stub.h"
#include "tests/common/rpc/echo_server.h"
#include "tests/support/capture_log.h"

namespace saldo::rpc::testing {
namespace {

struct Pending {
  std::shared_ptr<AsyncCall> call;
  const EchoRequest* request;
  EchoResponse* response;
};

// Answers calls on a thread of its own, as a group-commit writer does.
class Writer {
 public:
  explicit Writer(EchoServer& server) : queue_(100'000) {
    server.service.on_later = [this](std::shared_ptr<AsyncCall> call, const EchoRequest& request,
                                     EchoResponse& response) {
      if (!queue_.TryPush({call, &request, &response})) {
        call->Finish(absl::ResourceExhaustedError("writer full"));
      }
    };
  }
  ~Writer() { queue_.Close(); }

  void Start() {
    thread_ = runtime::Thread("writer", [this] {
      while (true) {
        std::vector<Pending> batch = queue_.PopBatch(1000);
        if (batch.empty()) return;
        for (Pending& pending : batch) {
          const absl::Status status = pending.call->context().Check();
          if (status.ok()) pending.response->set_text(pending.request->text());
          pending.call->Finish(status);
        }
      }
    });
  }
  size_t waiting() const { return queue_.size(); }

 private:
  BoundedQueue<Pending> queue_;
  runtime::Thread thread_;
};

// A client's asynchronous call.
struct AsyncClientCall {
  ClientCall call;
  grpc::Status status;
};

TEST_CASE("another thread answers, with thousands in flight and no worker held") {
  ServerOptions options = LoopbackOptions();
  options.calls.worker_threads = 1;
  EchoServer server(options);
  Writer writer(server);
  REQUIRE(server.Start().ok());
  constexpr int kCalls = 3000;
  std::vector<std::unique_ptr<AsyncClientCall>> calls;
  absl::BlockingCounter left(kCalls);
  for (int i = 0; i < kCalls; ++i) {
    calls.push_back(std::make_unique<AsyncClientCall>());
    AsyncClientCall& one = *calls.back();
    one.call.request.set_text(std::to_string(i));
    server.stub->async()->Later(&one.call.context, &one.call.request, &one.call.response,
                                [&](grpc::Status status) {
                                  one.status = std::move(status);
                                  left.DecrementCount();
                                });
  }
  REQUIRE(Eventually([&] { return writer.waiting() == kCalls; }));
  CHECK(server.dispatcher.in_flight() == kCalls);
  ClientCall other("still works");
  CHECK(other.Say(server).ok());
  writer.Start();
  left.Wait();
  for (int i = 0; i < kCalls; ++i) {
    INFO(i << " " << calls[i]->status.error_message());
    REQUIRE(calls[i]->status.ok());
    REQUIRE(calls[i]->call.response.text() == std::to_string(i));
  }
  CHECK(server.dispatcher.in_flight() == 0);
}

TEST_CASE("more unanswered calls than allowed are refused at once") {
  ServerOptions options = LoopbackOptions();
  options.calls.async_calls_max = 1;
  EchoServer server(options);
  Writer writer(server);
  REQUIRE(server.Start().ok());
  ClientCall first, second;
  grpc::Status first_status;
  runtime::Thread caller("caller", [&] { first_status = first.Later(server); });
  REQUIRE(Eventually([&] { return writer.waiting() == 1; }));
  const grpc::Status status = second.Later(server);
  CHECK(status.error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED);
  google::rpc::RetryInfo retry;
  CHECK(GetDetail(FromGrpcStatus(status), &retry));
  writer.Start();
  caller.Join();
  CHECK(first_status.ok());
  ClientCall third;
  CHECK(third.Later(server).ok());
}

TEST_CASE("a call answered inside its handler, twice, dropped, or by an exception") {
  EchoServer server;
  server.service.on_later = [](std::shared_ptr<AsyncCall> call, const EchoRequest& request,
                               EchoResponse&) {
    if (request.text() == "throw") throw std::runtime_error("thrown_text");
    if (request.text() == "drop") return;
    call->Finish(absl::NotFoundError("first"));
    if (request.text() == "twice") call->Finish(absl::OkStatus());
    CHECK(call->peer().empty());
    CHECK_FALSE(call->Metadata("user-agent").has_value());
    CHECK(call->context().remaining() > absl::ZeroDuration());
  };
  REQUIRE(server.Start().ok());
  ::saldo::testing::CaptureLog log;
  ClientCall once("once"), twice("twice"), drop("drop"), thrown("throw");
  CHECK(once.Later(server).error_code() == grpc::StatusCode::NOT_FOUND);
  CHECK(twice.Later(server).error_code() == grpc::StatusCode::NOT_FOUND);
  CHECK(drop.Later(server).error_code() == grpc::StatusCode::INTERNAL);
  CHECK(thrown.Later(server).error_code() == grpc::StatusCode::INTERNAL);
  server.server.Stop();
  const std::string text = log.Text();
  INFO(text);
  CHECK(::saldo::testing::CountOf(text, "answered twice") == 1);
  CHECK(::saldo::testing::CountOf(text, "dropped without an answer") == 1);
  CHECK(::saldo::testing::CountOf(text, "thrown_text") == 1);
}

TEST_CASE("a handle kept after the answer, beyond the server's end, is harmless") {
  std::shared_ptr<AsyncCall> kept;
  {
    EchoServer server;
    server.service.on_later = [&](std::shared_ptr<AsyncCall> call, const EchoRequest&,
                                  EchoResponse&) {
      kept = call;
      call->Finish(absl::OkStatus());
    };
    REQUIRE(server.Start().ok());
    ClientCall call;
    CHECK(call.Later(server).ok());
  }
  CHECK_FALSE(kept->context().cancelled());
  kept.reset();
}

grpc::Status CallWrite(EchoServer& server, const std::string& bytes) {
  const grpc::Slice slice(bytes);
  const grpc::ByteBuffer request(&slice, 1);
  grpc::ByteBuffer response;
  ClientCall call;
  grpc::Status status;
  absl::Notification answered;
  grpc::GenericStub(server.channel)
      .UnaryCall(&call.context, "/saldo.rpc.testing.Echo/Write", {}, &request, &response,
                 [&](grpc::Status result) {
                   status = std::move(result);
                   answered.Notify();
                 });
  answered.WaitForNotification();
  return status;
}

TEST_CASE("a raw call is answered by another thread, small or large") {
  EchoServer server;
  Writer writer(server);
  writer.Start();
  REQUIRE(server.Start().ok());
  for (const size_t size : {0, 1, 20, 1000, 1'000'000}) {
    ClientCall call(std::string(size, 'x'));
    INFO(size);
    CHECK(call.Write(server).ok());
    CHECK(call.response.text() == call.request.text());
  }
}

TEST_CASE("a raw call that fails, is dropped or throws") {
  EchoServer server;
  server.service.on_later = [](std::shared_ptr<AsyncCall> call, const EchoRequest& request,
                               EchoResponse& response) {
    response.set_text("not to be seen");
    if (request.text() == "throw") throw std::runtime_error("thrown_text");
    if (request.text() == "fail") call->Finish(absl::NotFoundError("nothing"));
  };
  REQUIRE(server.Start().ok());
  ClientCall failed("fail"), drop("drop"), thrown("throw");
  CHECK(failed.Write(server).error_code() == grpc::StatusCode::NOT_FOUND);
  CHECK(failed.response.text().empty());
  CHECK(drop.Write(server).error_code() == grpc::StatusCode::INTERNAL);
  CHECK(thrown.Write(server).error_code() == grpc::StatusCode::INTERNAL);
  CHECK(server.dispatcher.in_flight() == 0);
}

TEST_CASE("a raw call whose request cannot be decoded is answered with the reason, and counted") {
  EchoServer server;
  std::atomic<int> handled{0};
  server.service.on_later = [&](std::shared_ptr<AsyncCall> call, const EchoRequest&,
                                EchoResponse&) {
    ++handled;
    call->Finish(absl::OkStatus());
  };
  REQUIRE(server.Start().ok());
  const grpc::Status garbage = CallWrite(server, "\x0a\xff");
  CHECK(garbage.error_code() == grpc::StatusCode::INVALID_ARGUMENT);
  CHECK(garbage.error_message() == "the request's bytes are no saldo.rpc.testing.EchoRequest");
  const grpc::Status text = CallWrite(server, "\x0a\x01\xff");
  CHECK(text.error_code() == grpc::StatusCode::INVALID_ARGUMENT);
  google::rpc::BadRequest detail;
  REQUIRE(GetDetail(FromGrpcStatus(text), &detail));
  CHECK(detail.field_violations(0).field() == "text");
  CHECK(handled == 0);
  CHECK(CallWrite(server, "\x0a\x01x").ok());
  CHECK(handled == 1);
  CHECK(::saldo::testing::CountOf(
            server.registry.Text(),
            "grpc_server_handled_total{grpc_code=\"InvalidArgument\",grpc_method=\"Write\","
            "grpc_service=\"saldo.rpc.testing.Echo\",grpc_type=\"unary\"} 2\n") == 1);
}

// Cancellations, deadlines and answers from three sides at once; the sanitizers watch.
TEST_CASE("cancel races with the answer") {
  const unsigned seed = std::random_device()();
  INFO("seed " << seed);
  std::mt19937 random(seed);
  ServerOptions options = LoopbackOptions();
  options.calls.queue_capacity = 64;
  EchoServer server(options);
  Writer writer(server);
  writer.Start();
  REQUIRE(server.Start().ok());
  constexpr int kRounds = 40;
  constexpr int kCalls = 100;
  std::atomic<int> answered{0};
  for (int round = 0; round < kRounds; ++round) {
    std::vector<std::unique_ptr<AsyncClientCall>> calls;
    absl::BlockingCounter left(kCalls);
    for (int i = 0; i < kCalls; ++i) {
      calls.push_back(std::make_unique<AsyncClientCall>());
      AsyncClientCall& one = *calls.back();
      if (random() % 4 == 0) {
        one.call.context.set_deadline(
            absl::ToChronoTime(absl::Now() + absl::Microseconds(random() % 3000)));
      }
      auto done = [&](grpc::Status status) {
        if (status.ok()) ++answered;
        left.DecrementCount();
      };
      auto& c = one.call;
      switch (random() % 3) {
        case 0:
          server.stub->async()->Later(&c.context, &c.request, &c.response, done);
          break;
        case 1:
          server.stub->async()->Write(&c.context, &c.request, &c.response, done);
          break;
        default:
          server.stub->async()->Say(&c.context, &c.request, &c.response, done);
      }
      if (random() % 3 == 0) calls[random() % calls.size()]->call.context.TryCancel();
    }
    left.Wait();
  }
  CHECK(answered > 0);
  CHECK(Eventually([&] { return server.dispatcher.in_flight() == 0; }));
  server.server.Stop();
}

}  // namespace
}  // namespace saldo::rpc::testing
