#include <atomic>
#include <catch2/catch.hpp>
#include <stdexcept>
#include <thread>

#include "absl/synchronization/notification.h"
#include "common/observability/log.h"
#include "common/rpc/errors.h"
#include "common/runtime/thread.h"
#include "tests/common/rpc/echo_server.h"
#include "tests/support/capture_log.h"

namespace saldo::rpc::testing {
namespace {

bool Has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

// A call made by a thread of its own.
class BackgroundSay {
 public:
  BackgroundSay(EchoServer& server, ClientCall& call)
      : thread_("client", [this, &server, &call] { status_ = call.Say(server); }) {}

  grpc::Status get() {
    thread_.Join();
    return status_;
  }

 private:
  grpc::Status status_;
  runtime::Thread thread_;
};

TEST_CASE("echo") {
  EchoServer server;
  REQUIRE(server.Start().ok());
  ClientCall call("hello");
  const grpc::Status status = call.Say(server);
  INFO(status.error_message());
  REQUIRE(status.ok());
  CHECK(call.response.text() == "hello");
}

TEST_CASE("the handler sees peer and metadata") {
  EchoServer server;
  server.service.on_say = [](Call& call, const EchoRequest&, EchoResponse& response) {
    CHECK(Has(call.peer(), "127.0.0.1"));
    CHECK(call.method() == "saldo.rpc.testing.Echo/Say");
    CHECK_FALSE(call.Metadata("absent").has_value());
    response.set_text(std::string(call.Metadata("x-key").value_or("nothing")));
    return absl::OkStatus();
  };
  REQUIRE(server.Start().ok());
  ClientCall call;
  call.context.AddMetadata("x-key", "value");
  REQUIRE(call.Say(server).ok());
  CHECK(call.response.text() == "value");
}

TEST_CASE("the client can read the details of an error") {
  EchoServer server;
  server.service.on_say = [](Call&, const EchoRequest&, EchoResponse&) {
    BadRequestBuilder builder;
    builder.Add("text", "must not be empty");
    return builder.Build();
  };
  REQUIRE(server.Start().ok());
  ClientCall call;
  const grpc::Status status = call.Say(server);
  CHECK(status.error_code() == grpc::StatusCode::INVALID_ARGUMENT);
  CHECK(status.error_message() == "text: must not be empty");
  google::rpc::BadRequest detail;
  REQUIRE(GetDetail(FromGrpcStatus(status), &detail));
  CHECK(detail.field_violations(0).field() == "text");
}

TEST_CASE("the largest BadRequest gets through") {
  EchoServer server;
  server.service.on_say = [](Call&, const EchoRequest&, EchoResponse&) {
    BadRequestBuilder builder;
    for (int i = 0; i < 500; ++i) builder.Add("поле", "слишком длинное значение поля");
    return builder.Build();
  };
  REQUIRE(server.Start().ok());
  ClientCall call;
  const grpc::Status status = call.Say(server);
  CHECK(status.error_code() == grpc::StatusCode::INVALID_ARGUMENT);
  google::rpc::BadRequest detail;
  CHECK(GetDetail(FromGrpcStatus(status), &detail));
}

TEST_CASE("an internal error and an exception show the trace id only, and the log has the text") {
  EchoServer server;
  const bool throws = GENERATE(false, true);
  server.service.on_say = [throws](Call&, const EchoRequest&, EchoResponse&) -> absl::Status {
    if (throws) throw std::runtime_error("secret_text");
    return absl::InternalError("secret_text");
  };
  REQUIRE(server.Start().ok());
  ClientCall call;
  ::saldo::testing::CaptureLog log;
  const grpc::Status status = call.Say(server);
  const std::string text = log.Text();
  CHECK(status.error_code() == grpc::StatusCode::INTERNAL);
  CHECK_FALSE(Has(status.error_message(), "secret_text"));
  const std::string trace_id = status.error_message().substr(status.error_message().size() - 32);
  INFO(text << status.error_message());
  CHECK(Has(text, "secret_text"));
  CHECK(Has(text, trace_id));
}

TEST_CASE("a full queue refuses at once with RetryInfo while other calls complete") {
  ServerOptions options = LoopbackOptions();
  options.calls.worker_threads = 1;
  options.calls.queue_capacity = 1;
  options.calls.retry_delay = absl::Milliseconds(300);
  EchoServer server(options);
  std::atomic<int> running{0};
  absl::Notification go_on;
  server.service.on_say = [&](Call&, const EchoRequest&, EchoResponse&) {
    ++running;
    go_on.WaitForNotificationWithTimeout(kPatience);
    return absl::OkStatus();
  };
  REQUIRE(server.Start().ok());
  ClientCall first, second, third;
  BackgroundSay first_done(server, first);
  REQUIRE(Eventually([&] { return running == 1; }));
  BackgroundSay second_done(server, second);
  REQUIRE(Eventually([&] { return server.dispatcher.waiting() == 1; }));

  const grpc::Status status = third.Say(server);  // returns while the others are stuck
  CHECK(status.error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED);
  google::rpc::RetryInfo retry;
  REQUIRE(GetDetail(FromGrpcStatus(status), &retry));
  CHECK(retry.retry_delay().nanos() == 300'000'000);
  const std::string metrics = server.registry.Text();
  CHECK(Has(metrics,
            "grpc_server_rejected_total{grpc_method=\"Say\",grpc_service=\"saldo.rpc.testing."
            "Echo\",grpc_type=\"unary\"} 1"));
  CHECK(Has(metrics, "grpc_server_queue_depth 1"));
  CHECK(Has(metrics, "grpc_server_in_flight 2"));
  go_on.Notify();
  CHECK(first_done.get().ok());
  CHECK(second_done.get().ok());
  CHECK(running == 2);
  CHECK(server.dispatcher.in_flight() == 0);
}

TEST_CASE("the context's deadline is the client's, the default, or the maximum") {
  ServerOptions options = LoopbackOptions();
  options.calls.default_deadline = absl::Seconds(77);
  options.calls.max_deadline = absl::Seconds(100);
  EchoServer server(options);
  absl::Duration left;
  server.service.on_say = [&](Call& call, const EchoRequest&, EchoResponse&) {
    left = call.context().remaining();
    return absl::OkStatus();
  };
  REQUIRE(server.Start().ok());
  ClientCall ten("", absl::Seconds(10)), hour("", absl::Hours(1));
  REQUIRE(ten.Say(server).ok());
  // The header carries three digits of the time left, rounded up.
  CHECK(left <= absl::Seconds(11));
  CHECK(left > absl::ZeroDuration());
  REQUIRE(hour.Say(server).ok());
  CHECK(left <= absl::Seconds(100));
  CHECK(left > absl::Seconds(77));
  grpc::ClientContext none;
  EchoRequest request;
  EchoResponse response;
  REQUIRE(server.stub->Say(&none, request, &response).ok());
  CHECK(left <= absl::Seconds(77));
  CHECK(left > absl::Seconds(10));
}

TEST_CASE("a client that cancels or runs out of time sets the flag") {
  const bool by_deadline = GENERATE(false, true);
  EchoServer server;
  std::atomic<int> started{0}, seen{0};
  server.service.on_say = [&](Call& call, const EchoRequest&, EchoResponse&) {
    ++started;
    if (Eventually([&] { return call.context().cancelled(); })) ++seen;
    return call.context().Check();
  };
  REQUIRE(server.Start().ok());
  absl::Duration timeout = by_deadline ? absl::Milliseconds(100) : kPatience;
  grpc::Status status;
  // On a busy machine a call may run out of time before it is begun.
  for (; started == 0 && timeout <= kPatience; timeout *= 2) {
    ClientCall call("", timeout);
    BackgroundSay done(server, call);
    if (!by_deadline) {
      REQUIRE(Eventually([&] { return started == 1; }));
      call.context.TryCancel();
    }
    status = done.get();
  }
  CHECK(status.error_code() ==
        (by_deadline ? grpc::StatusCode::DEADLINE_EXCEEDED : grpc::StatusCode::CANCELLED));
  CHECK(Eventually([&] { return server.dispatcher.in_flight() == 0; }));
  CHECK(seen == 1);
}

TEST_CASE("a call that was cancelled or expired while it waited never runs") {
  ServerOptions options = LoopbackOptions();
  options.calls.worker_threads = 1;
  const bool by_deadline = GENERATE(false, true);
  EchoServer server(options);
  absl::Notification go_on;
  std::atomic<int> runs{0};
  std::atomic<const Call*> accepted{nullptr};
  server.service.on_say = [&](Call&, const EchoRequest&, EchoResponse&) {
    ++runs;
    go_on.WaitForNotificationWithTimeout(kPatience);
    return absl::OkStatus();
  };
  server.service.on_accepted = [&](const Call& call) { accepted = &call; };
  REQUIRE(server.Start().ok());
  ClientCall first;
  BackgroundSay first_done(server, first);
  REQUIRE(Eventually([&] { return runs == 1 && accepted != nullptr; }));
  accepted = nullptr;
  absl::Duration timeout = by_deadline ? absl::Milliseconds(100) : kPatience;
  // On a busy machine a call may run out of time before it arrives.
  for (; accepted == nullptr && timeout <= kPatience; timeout *= 2) {
    ClientCall second("", timeout);
    BackgroundSay second_done(server, second);
    if (!by_deadline) {
      REQUIRE(Eventually([&] { return accepted != nullptr; }));
      second.context.TryCancel();
    }
    REQUIRE_FALSE(second_done.get().ok());
  }
  // The client gave up; now the server must have learned it too.
  REQUIRE(accepted != nullptr);
  REQUIRE(Eventually([&] { return accepted.load()->context().cancelled(); }));
  go_on.Notify();
  CHECK(first_done.get().ok());
  CHECK(Eventually([&] { return server.dispatcher.in_flight() == 0; }));
  CHECK(runs == 1);
}

TEST_CASE("metadata log_level shows more of that call's log alone, if allowed") {
  const bool allowed = GENERATE(true, false);
  const bool async = GENERATE(false, true);
  ServerOptions options = LoopbackOptions();
  options.calls.allow_log_level_metadata = allowed;
  EchoServer server(options);
  server.service.on_say = [](Call&, const EchoRequest& q, EchoResponse&) {
    log::Debug(q.text());
    log::Info("info_line");
    return absl::OkStatus();
  };
  server.service.on_later = [](std::shared_ptr<AsyncCall> call, const EchoRequest& q,
                               EchoResponse&) {
    log::Debug(q.text());
    log::Info("info_line");
    // Its access line is written by the thread that answers.
    runtime::Thread("answer", [&] { call->Finish(absl::OkStatus()); }).Join();
  };
  REQUIRE(server.Start().ok());
  auto send = [&](ClientCall& call) { return async ? call.Later(server) : call.Say(server); };
  ::saldo::testing::CaptureLog log;
  ClientCall plain("plain_line"), debug("debug_line"), bad("bad_line"), error("error_line");
  REQUIRE(send(plain).ok());
  debug.context.AddMetadata("log_level", "debug");
  REQUIRE(send(debug).ok());
  bad.context.AddMetadata("log_level", "everything");
  REQUIRE(send(bad).ok());
  error.context.AddMetadata("log_level", "error");
  REQUIRE(send(error).ok());
  const std::string text = log.Text();
  INFO(text);
  CHECK(Has(text, "debug_line") == allowed);
  CHECK_FALSE(Has(text, "plain_line"));
  CHECK_FALSE(Has(text, "bad_line"));
  CHECK_FALSE(Has(text, "everything"));
  CHECK(::saldo::testing::CountOf(text, "info_line") == 4);
  // Its access line.
  CHECK(::saldo::testing::CountOf(text, "grpc_method") == (allowed ? 1 : 0));
}

TEST_CASE("a slow call is logged at info") {
  ServerOptions options = LoopbackOptions();
  options.calls.slow_call = absl::ZeroDuration();
  EchoServer server(options);
  REQUIRE(server.Start().ok());
  ::saldo::testing::CaptureLog log;
  ClientCall call;
  REQUIRE(call.Say(server).ok());
  CHECK(::saldo::testing::CountOf(log.Text(), "saldo.rpc.testing.Echo/Say") == 1);
}

TEST_CASE("why a call was rejected is the caller's to know, and the log's only on demand") {
  ServerOptions options = LoopbackOptions();
  options.calls.slow_call = absl::ZeroDuration();
  EchoServer server(options);
  server.service.on_say = [](Call&, const EchoRequest&, EchoResponse&) {
    return absl::FailedPreconditionError("the balance of client 17 is 5");
  };
  REQUIRE(server.Start().ok());
  ::saldo::testing::CaptureLog log;
  ClientCall call;
  REQUIRE_FALSE(call.Say(server).ok());
  CHECK(Has(log.Text(), "FAILED_PRECONDITION"));
  CHECK_FALSE(Has(log.Text(), "client 17"));
}

TEST_CASE("metrics") {
  EchoServer server;
  server.service.on_say = [](Call&, const EchoRequest& q, EchoResponse&) {
    return q.text().empty() ? absl::NotFoundError("nothing") : absl::OkStatus();
  };
  REQUIRE(server.Start().ok());
  const std::string labels =
      "grpc_method=\"Say\",grpc_service=\"saldo.rpc.testing.Echo\",grpc_type=\"unary\"}";
  // All codes are there before the first call.
  CHECK(Has(server.registry.Text(),
            "grpc_server_handled_total{grpc_code=\"Internal\"," + labels + " 0"));
  ClientCall one("x"), two("x"), three("");
  CHECK(one.Say(server).ok());
  CHECK(two.Say(server).ok());
  CHECK_FALSE(three.Say(server).ok());
  const std::string text = server.registry.Text();
  INFO(text);
  CHECK(Has(text, "grpc_server_started_total{" + labels + " 3"));
  CHECK(Has(text, "grpc_server_handled_total{grpc_code=\"OK\"," + labels + " 2"));
  CHECK(Has(text, "grpc_server_handled_total{grpc_code=\"NotFound\"," + labels + " 1"));
  CHECK(Has(text, "grpc_server_msg_received_total{" + labels + " 3"));
  CHECK(Has(text, "grpc_server_msg_sent_total{" + labels + " 2"));
  CHECK(Has(text, "grpc_server_handling_seconds_count{" + labels + " 3"));
  CHECK(Has(text, "grpc_server_queue_wait_seconds_count 3"));
  CHECK(Has(text, "grpc_server_in_flight 0"));
  CHECK(Has(text, "grpc_server_queue_depth 0"));
}

TEST_CASE("the server span continues the caller's trace and is current in the handler") {
  const bool async = GENERATE(false, true);
  EchoServer server;
  const std::string parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  server.service.on_say = [](Call& call, const EchoRequest&, EchoResponse& p) {
    trace::Span child("work");
    CHECK(trace::CurrentSpan()->trace_id == call.trace_context().trace_id);
    p.set_text(call.trace_context().span_id_hex());
    return absl::NotFoundError("nothing");
  };
  server.service.on_later = [&](std::shared_ptr<AsyncCall> call, const EchoRequest&,
                                EchoResponse&) {
    trace::Span child("work");
    call->Finish(absl::NotFoundError("nothing"));
  };
  REQUIRE(server.Start().ok());
  ClientCall call;
  call.context.AddMetadata("traceparent", parent);
  CHECK_FALSE((async ? call.Later(server) : call.Say(server)).ok());
  REQUIRE(Eventually([&] { return server.sink.spans().size() == (async ? 3u : 2u); }));
  const trace::SpanData* server_span = nullptr;
  const auto spans = server.sink.spans();
  for (const auto& span : spans) {
    CHECK(span.context.trace_id_hex() == "0af7651916cd43dd8448eb211c80319c");
    if (span.kind == trace::Kind::kServer) server_span = &span;
  }
  REQUIRE(server_span != nullptr);
  CHECK(server_span->name ==
        (async ? "saldo.rpc.testing.Echo/Later" : "saldo.rpc.testing.Echo/Say"));
  trace::SpanContext parent_id;
  parent_id.span_id = server_span->parent_span_id;
  CHECK(parent_id.span_id_hex() == "b7ad6b7169203331");
  CHECK_FALSE(server_span->error);  // NOT_FOUND is the caller's
  const std::vector<std::pair<std::string, trace::AttributeValue>> expected = {
      {"rpc.system", "grpc"},
      {"rpc.service", "saldo.rpc.testing.Echo"},
      {"rpc.method", async ? "Later" : "Say"},
      {"rpc.grpc.status_code", int64_t{5}},
      {"server.address", "127.0.0.1"},
      {"server.port", int64_t{server.server.port()}}};
  CHECK(server_span->attributes == expected);
  // The handler's own span hangs below it, directly or below the part that took the call in.
  size_t below = 0;
  for (const auto& span : spans) below += span.parent_span_id == server_span->context.span_id;
  CHECK(below == 1);
}

TEST_CASE("without a caller's trace a root span is made") {
  const bool async = GENERATE(false, true);
  EchoServer server;
  server.service.on_later = [](std::shared_ptr<AsyncCall> call, const EchoRequest&, EchoResponse&) {
    call->Finish(absl::OkStatus());
  };
  REQUIRE(server.Start().ok());
  ClientCall call;
  REQUIRE((async ? call.Later(server) : call.Say(server)).ok());
  REQUIRE(Eventually([&] { return server.sink.spans().size() == (async ? 2u : 1u); }));
  for (const auto& span : server.sink.spans()) {
    if (span.kind != trace::Kind::kServer) continue;
    CHECK(span.context.valid());
    CHECK(span.parent_span_id == std::array<uint8_t, 8>{});
  }
}

}  // namespace
}  // namespace saldo::rpc::testing
