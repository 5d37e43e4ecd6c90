#include <atomic>
#include <catch2/catch.hpp>
#include <memory>
#include <random>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "common/base/bounded_queue.h"
#include "common/rpc/errors.h"
#include "common/runtime/thread.h"
#include "tests/common/rpc/stream_client.h"
#include "tests/support/capture_log.h"

namespace saldo::rpc::testing {
namespace {

TEST_CASE("an error ends the stream after the earlier answers, and drops the later ones") {
  EchoServer server;
  Keeper keeper(server);
  REQUIRE(server.Start().ok());
  ClientStream stream(server);
  for (const char* text : {"a", "b", "c"}) REQUIRE(stream.Send(text));
  REQUIRE(keeper.AwaitSeen(3));
  Keeper::Kept a = keeper.Take(), b = keeper.Take(), c = keeper.Take();
  b.Answer(absl::FailedPreconditionError("no"));
  CHECK_FALSE(a.item->context().cancelled());
  a.Answer();
  CHECK(stream.Read() == "re: a");
  CHECK(Eventually([&] { return c.item->context().cancelled(); }));
  c.Answer();
  CHECK(stream.Read() == "(end)");
  const grpc::Status status = stream.Finish();
  CHECK(status.error_code() == grpc::StatusCode::FAILED_PRECONDITION);
  CHECK(status.error_message() == "no");
  CHECK(keeper.seen() == 3);
  CHECK(HasSeries(server, Series("grpc_server_handled_total", "1", "FailedPrecondition")));
  CHECK(HasSeries(server, Series("grpc_server_stream_messages_in_flight", "0")));
}

TEST_CASE("after an error no message is taken any more") {
  EchoServer server;
  Keeper keeper(server);
  REQUIRE(server.Start().ok());
  ClientStream stream(server);
  REQUIRE(stream.Send("a"));
  REQUIRE(stream.Send("b"));
  REQUIRE(keeper.AwaitSeen(2));
  keeper.Take(1).Answer(absl::AbortedError("b failed"));
  for (int i = 0; i < 10; ++i) stream.Send("late");
  keeper.Take(0).Answer();
  CHECK(stream.Read() == "re: a");
  CHECK(stream.Read() == "(end)");
  CHECK(stream.Finish().error_code() == grpc::StatusCode::ABORTED);
  CHECK(keeper.seen() == 2);
}

TEST_CASE("a message that cannot be decoded ends the stream with the reason") {
  EchoServer server;
  Keeper keeper(server);
  REQUIRE(server.Start().ok());
  ClientStream stream(server);
  REQUIRE(stream.Send("good"));
  REQUIRE(stream.Send("\xff"));
  REQUIRE(keeper.AwaitSeen(1));
  keeper.Take().Answer();
  CHECK(stream.Read() == "re: good");
  CHECK(stream.Read() == "(end)");
  const grpc::Status status = stream.Finish();
  CHECK(status.error_code() == grpc::StatusCode::INVALID_ARGUMENT);
  google::rpc::BadRequest detail;
  REQUIRE(GetDetail(FromGrpcStatus(status), &detail));
  CHECK(detail.field_violations(0).field() == "text");
  CHECK(keeper.seen() == 1);
}

TEST_CASE("an item that is dropped, throws or is answered twice") {
  EchoServer server;
  server.service.on_flow = [](std::shared_ptr<StreamItem> item, const EchoRequest& request,
                              EchoResponse& response) {
    if (request.text() == "throw") throw std::runtime_error("thrown_text");
    if (request.text() == "drop") return;
    response.set_text("first");
    item->Finish(absl::OkStatus());
    item->Finish(absl::NotFoundError("second"));
  };
  REQUIRE(server.Start().ok());
  ::saldo::testing::CaptureLog log;
  for (const char* text : {"throw", "drop"}) {
    ClientStream stream(server);
    REQUIRE(stream.Send(text));
    CHECK(stream.Read() == "(end)");
    CHECK(stream.Finish().error_code() == grpc::StatusCode::INTERNAL);
  }
  ClientStream stream(server);
  REQUIRE(stream.Send("twice"));
  stream.HalfClose();
  CHECK(stream.Read() == "first");
  CHECK(stream.Finish().ok());
  server.server.Stop();
  const std::string text = log.Text();
  INFO(text);
  CHECK(::saldo::testing::CountOf(text, "answered twice") == 1);
  CHECK(::saldo::testing::CountOf(text, "dropped without an answer") > 0);
  CHECK(::saldo::testing::CountOf(text, "thrown_text") > 0);
}

TEST_CASE("a cancelled stream tells its items, and ends when they are answered") {
  EchoServer server;
  Keeper keeper(server);
  REQUIRE(server.Start().ok());
  ClientStream stream(server);
  for (const char* text : {"a", "b", "c"}) REQUIRE(stream.Send(text));
  REQUIRE(keeper.AwaitSeen(3));
  Keeper::Kept a = keeper.Take(), b = keeper.Take(), c = keeper.Take();
  stream.context.TryCancel();
  CHECK(stream.Finish().error_code() == grpc::StatusCode::CANCELLED);
  CHECK(Eventually([&] { return a.item->context().cancelled(); }));
  CHECK(server.dispatcher.in_flight() == 1);
  b.Answer();
  c.Answer(absl::CancelledError("nobody waits"));
  const std::shared_ptr<StreamItem> beyond = a.item;
  a.Answer();
  CHECK(Eventually([&] { return server.dispatcher.in_flight() == 0; }));
  CHECK(HasSeries(server, Series("grpc_server_handled_total", "1", "Canceled")));
  server.server.Stop();
  CHECK(beyond->context().cancelled());
}

TEST_CASE("an item has the server's default deadline, or the stream's where that is earlier") {
  ServerOptions options = LoopbackOptions();
  options.calls.default_deadline = absl::Seconds(20);
  EchoServer server(options);
  Keeper keeper(server);
  REQUIRE(server.Start().ok());
  grpc::ClientContext context;
  const bool early = GENERATE(false, true);
  if (early) context.set_deadline(absl::ToChronoTime(absl::Now() + absl::Seconds(8)));
  auto stream = server.stub->Flow(&context);
  EchoRequest request;
  REQUIRE(stream->Write(request));
  REQUIRE(keeper.AwaitSeen(1));
  Keeper::Kept kept = keeper.Take();
  const absl::Duration remaining = kept.item->context().remaining();
  CHECK(remaining <= absl::Seconds(early ? 9 : 20));
  CHECK(remaining > absl::Seconds(early ? 0 : 10));
  kept.Answer();
  stream->WritesDone();
  EchoResponse response;
  CHECK(stream->Read(&response));
  CHECK(stream->Finish().ok());
}

TEST_CASE("a span for each item, below the caller's") {
  EchoServer server;
  Keeper keeper(server);
  REQUIRE(server.Start().ok());
  ClientStream stream(server, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
  REQUIRE(stream.Send("a"));
  REQUIRE(stream.Send("b"));
  REQUIRE(keeper.AwaitSeen(2));
  keeper.Take().Answer();
  keeper.Take().Answer();
  stream.HalfClose();
  CHECK(stream.Read() == "re: a");
  CHECK(stream.Read() == "re: b");
  CHECK(stream.Finish().ok());
  std::set<std::string> ids;
  for (const trace::SpanData& span : server.sink.spans()) {
    if (span.name != "saldo.rpc.testing.Echo/Flow") continue;
    CHECK(span.context.trace_id_hex() == "0af7651916cd43dd8448eb211c80319c");
    trace::SpanContext parent;
    parent.span_id = span.parent_span_id;
    CHECK(parent.span_id_hex() == "b7ad6b7169203331");
    ids.insert(span.context.span_id_hex());
  }
  CHECK(ids.size() == 2);
}

TEST_CASE("more streams than allowed are refused at once") {
  ServerOptions options = LoopbackOptions();
  options.calls.streams_max = 1;
  EchoServer server(options);
  Keeper keeper(server);
  REQUIRE(server.Start().ok());
  ClientStream first(server);
  REQUIRE(first.Send("a"));
  REQUIRE(keeper.AwaitSeen(1));
  ClientStream second(server);
  CHECK(second.Read() == "(end)");
  const grpc::Status status = second.Finish();
  CHECK(status.error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED);
  google::rpc::RetryInfo retry;
  CHECK(GetDetail(FromGrpcStatus(status), &retry));
  CHECK(HasSeries(server, Series("grpc_server_rejected_total", "1")));
  keeper.Take().Answer();
  first.HalfClose();
  CHECK(first.Read() == "re: a");
  CHECK(first.Finish().ok());
  CHECK(Eventually([&] {
    ClientStream third(server);
    third.HalfClose();
    return third.Finish().ok();
  }));
}

TEST_CASE("a stop lets items end, and ends the streams with UNAVAILABLE") {
  EchoServer server;
  Keeper keeper(server);
  REQUIRE(server.Start().ok());
  ClientStream idle(server), busy(server);
  REQUIRE(idle.Send("a"));
  REQUIRE(keeper.AwaitSeen(1));
  keeper.Take().Answer();
  CHECK(idle.Read() == "re: a");
  REQUIRE(busy.Send("b"));
  REQUIRE(keeper.AwaitSeen(2));
  runtime::Thread stopper("stop", [&] { server.server.Stop(); });
  CHECK(idle.Read() == "(end)");
  CHECK(idle.Finish().error_code() == grpc::StatusCode::UNAVAILABLE);
  CHECK(server.dispatcher.in_flight() == 1);
  keeper.Take().Answer();
  CHECK(busy.Read() == "re: b");
  CHECK(busy.Read() == "(end)");
  const grpc::Status status = busy.Finish();
  CHECK(status.error_code() == grpc::StatusCode::UNAVAILABLE);
  CHECK(status.error_message() == "the server stops");
  stopper.Join();
  CHECK(keeper.seen() == 2);
}

TEST_CASE("a stop cancels items that take longer than the drain timeout") {
  ServerOptions options = LoopbackOptions();
  options.drain_timeout = absl::Milliseconds(50);
  EchoServer server(options);
  Keeper keeper(server);
  REQUIRE(server.Start().ok());
  ClientStream stream(server);
  REQUIRE(stream.Send("a"));
  REQUIRE(keeper.AwaitSeen(1));
  Keeper::Kept kept = keeper.Take();
  runtime::Thread stopper("stop", [&] { server.server.Stop(); });
  CHECK(Eventually([&] { return kept.item->context().cancelled(); }));
  kept.Answer();
  stopper.Join();
  CHECK_FALSE(stream.Finish().ok());
  CHECK(server.dispatcher.in_flight() == 0);
}

// Cancellations, half-closes, errors and answers from all sides; the sanitizers watch.
TEST_CASE("streams race with their cancellation and with the server's stop") {
  const unsigned seed = std::random_device()();
  INFO("seed " << seed);
  ServerOptions options = LoopbackOptions();
  options.calls.stream_window = 4;
  EchoServer server(options);
  BoundedQueue<Keeper::Kept> queue(10'000);
  server.service.on_flow = [&](std::shared_ptr<StreamItem> item, const EchoRequest& request,
                               EchoResponse& response) {
    queue.TryPush({std::move(item), request.text(), &response});
  };
  REQUIRE(server.Start().ok());
  std::vector<runtime::Thread> writers;
  for (unsigned i = 0; i < 2; ++i) {
    writers.emplace_back("writer", [&, i] {
      std::mt19937 random(seed + i);
      while (auto kept = queue.Pop()) {
        if (random() % 50 == 0) {
          kept->item.reset();
        } else {
          kept->Answer(random() % 50 == 0 ? absl::AbortedError("x") : absl::OkStatus());
        }
      }
    });
  }
  std::atomic<int> answers{0};
  std::vector<runtime::Thread> clients;
  for (unsigned i = 0; i < 4; ++i) {
    clients.emplace_back("client", [&, i] {
      std::mt19937 random(seed + 100 + i);
      for (int round = 0; round < 60; ++round) {
        ClientStream stream(server);
        const int count = static_cast<int>(random() % 20);
        bool open = true;
        for (int n = 0; n < count && open; ++n) open = stream.Send("x");
        if (random() % 3 == 0) stream.context.TryCancel();
        if (random() % 2 == 0) stream.HalfClose();
        for (int n = static_cast<int>(random() % 20); n > 0 && n <= count; --n) {
          if (stream.Read() == "(end)") break;
          ++answers;
        }
        stream.context.TryCancel();
        stream.Finish();
      }
    });
  }
  CHECK(Eventually([&] { return answers > 100; }));
  if (seed % 2 == 0) server.server.Stop();
  for (runtime::Thread& client : clients) client.Join();
  server.server.Stop();
  queue.Close();
  for (runtime::Thread& writer : writers) writer.Join();
  CHECK(server.dispatcher.in_flight() == 0);
  CHECK(HasSeries(server, Series("grpc_server_stream_messages_in_flight", "0")));
}

}  // namespace
}  // namespace saldo::rpc::testing
