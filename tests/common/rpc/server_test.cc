#include "common/rpc/server.h"

#include <atomic>
#include <catch2/catch.hpp>
#include <string>

#include "absl/synchronization/notification.h"
#include "common/runtime/thread.h"
#include "tests/common/rpc/echo_server.h"

namespace saldo::rpc::testing {
namespace {

TEST_CASE("a taken port and a bad address are told clearly") {
  EchoServer first;
  REQUIRE(first.Start().ok());
  CHECK(first.server.port() > 0);
  ServerOptions options = LoopbackOptions();
  options.port = first.server.port();
  EchoServer second(options);
  const absl::Status status = second.Start();
  INFO(status);
  CHECK(status.code() == absl::StatusCode::kUnavailable);
  CHECK(status.message() ==
        "cannot listen on 127.0.0.1:" + std::to_string(options.port) + ": Address already in use");
  options.address = "192.0.2.1";
  options.port = 0;
  EchoServer third(options);
  CHECK(third.Start().message() == "cannot listen on 192.0.2.1:0: Cannot assign requested address");
}

TEST_CASE("IPv6") {
  ServerOptions options = LoopbackOptions();
  options.address = "::1";
  EchoServer server(options);
  const absl::Status status = server.Start();
  INFO(status);
  REQUIRE(status.ok());
  auto stub = Echo::NewStub(grpc::CreateChannel("[::1]:" + std::to_string(server.server.port()),
                                                grpc::InsecureChannelCredentials()));
  ClientCall call("x");
  CHECK(stub->Say(&call.context, call.request, &call.response).ok());
}

TEST_CASE("a message above the limit is refused, a smaller one is not") {
  ServerOptions options = LoopbackOptions();
  options.max_receive_bytes = 1000;
  options.max_send_bytes = 3000;
  EchoServer server(options);
  server.service.on_say = [](Call&, const EchoRequest& request, EchoResponse& response) {
    response.set_text(request.text() == "much" ? std::string(5000, 'x') : request.text());
    return absl::OkStatus();
  };
  REQUIRE(server.Start().ok());
  ClientCall small(std::string(900, 'x')), large(std::string(1100, 'x')), much("much");
  CHECK(small.Say(server).ok());
  CHECK(large.Say(server).error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED);
  CHECK(much.Say(server).error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED);
}

TEST_CASE("a stop lets running and waiting calls finish and refuses new ones") {
  ServerOptions options = LoopbackOptions();
  options.calls.worker_threads = 1;
  EchoServer server(options);
  absl::Notification go_on;
  std::atomic<int> runs{0};
  server.service.on_say = [&](Call&, const EchoRequest&, EchoResponse&) {
    ++runs;
    go_on.WaitForNotificationWithTimeout(kPatience);
    return absl::OkStatus();
  };
  REQUIRE(server.Start().ok());
  ClientCall running, waiting;
  grpc::Status running_status, waiting_status;
  runtime::Thread first("first", [&] { running_status = running.Say(server); });
  REQUIRE(Eventually([&] { return runs == 1; }));
  runtime::Thread second("second", [&] { waiting_status = waiting.Say(server); });
  REQUIRE(Eventually([&] { return server.dispatcher.in_flight() == 2; }));

  std::atomic<bool> stopped{false};
  runtime::Thread stopper("stopper", [&] {
    server.server.Stop();
    stopped = true;
  });
  // A new connection finds nobody once the stop is under way.
  CHECK(Eventually([&] {
    auto channel = grpc::CreateChannel("127.0.0.1:" + std::to_string(server.server.port()),
                                       grpc::InsecureChannelCredentials());
    ClientCall late("", absl::Milliseconds(300));
    const grpc::Status status =
        Echo::NewStub(channel)->Say(&late.context, late.request, &late.response);
    return status.error_code() == grpc::StatusCode::UNAVAILABLE;
  }));
  CHECK_FALSE(stopped);
  go_on.Notify();
  first.Join();
  second.Join();
  stopper.Join();
  CHECK(running_status.ok());
  CHECK(waiting_status.ok());
  ClientCall after("", absl::Seconds(5));
  CHECK(after.Say(server).error_code() == grpc::StatusCode::UNAVAILABLE);
}

TEST_CASE("a stop cancels what still runs after drain_timeout") {
  ServerOptions options = LoopbackOptions();
  options.drain_timeout = absl::Milliseconds(200);
  options.calls.worker_threads = 1;
  EchoServer server(options);
  std::atomic<int> runs{0};
  server.service.on_say = [&](Call& call, const EchoRequest&, EchoResponse&) {
    ++runs;
    Eventually([&] { return call.context().cancelled(); });
    return call.context().Check();
  };
  REQUIRE(server.Start().ok());
  ClientCall running, waiting;
  grpc::Status running_status, waiting_status;
  runtime::Thread first("first", [&] { running_status = running.Say(server); });
  REQUIRE(Eventually([&] { return runs == 1; }));
  runtime::Thread second("second", [&] { waiting_status = waiting.Say(server); });
  REQUIRE(Eventually([&] { return server.dispatcher.in_flight() == 2; }));
  const absl::Time begin = absl::Now();
  server.server.Stop();
  CHECK(absl::Now() - begin >= options.drain_timeout);
  CHECK(absl::Now() - begin < options.drain_timeout + kPatience / 2);
  first.Join();
  second.Join();
  CHECK_FALSE(running_status.ok());
  CHECK_FALSE(waiting_status.ok());
  CHECK(runs == 1);  // the one that waited was not begun
  CHECK(server.dispatcher.in_flight() == 0);
}

TEST_CASE("Stop without Start and twice") {
  EchoServer server;
  server.server.Stop();
  EchoServer started;
  REQUIRE(started.Start().ok());
  started.server.Stop();
  started.server.Stop();
}

}  // namespace
}  // namespace saldo::rpc::testing
