#include <algorithm>
#include <atomic>
#include <catch2/catch.hpp>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "common/runtime/thread.h"
#include "tests/common/rpc/stream_client.h"

namespace saldo::rpc::testing {
namespace {

TEST_CASE("answers come in the order of the messages, whatever order they were found in") {
  EchoServer server;
  Keeper keeper(server);
  REQUIRE(server.Start().ok());
  ClientStream stream(server);
  for (const char* text : {"a", "b", "c"}) REQUIRE(stream.Send(text));
  REQUIRE(keeper.AwaitSeen(3));
  CHECK(server.dispatcher.in_flight() == 1);
  CHECK(HasSeries(server, Series("grpc_server_stream_messages_in_flight", "3")));
  keeper.Take(2).Answer();
  keeper.Take(1).Answer();
  keeper.Take(0).Answer();
  CHECK(stream.Read() == "re: a");
  CHECK(stream.Read() == "re: b");
  CHECK(stream.Read() == "re: c");
  REQUIRE(stream.Send("d"));
  stream.HalfClose();
  REQUIRE(keeper.AwaitSeen(4));
  // Half-closed, but not ended.
  CHECK(server.dispatcher.in_flight() == 1);
  keeper.Take().Answer();
  CHECK(stream.Read() == "re: d");
  CHECK(stream.Read() == "(end)");
  CHECK(stream.Finish().ok());
  CHECK(server.dispatcher.in_flight() == 0);
  CHECK(HasSeries(server, Series("grpc_server_started_total", "1")));
  CHECK(HasSeries(server, Series("grpc_server_msg_received_total", "4")));
  CHECK(HasSeries(server, Series("grpc_server_msg_sent_total", "4")));
  CHECK(HasSeries(server, Series("grpc_server_handled_total", "1", "OK")));
  CHECK(HasSeries(server, Series("grpc_server_stream_messages_in_flight", "0")));
  CHECK(HasSeries(server, Series("grpc_server_stream_message_handling_seconds_count", "4")));
}

TEST_CASE("a stream without messages ends with OK") {
  EchoServer server;
  Keeper keeper(server);
  REQUIRE(server.Start().ok());
  ClientStream stream(server);
  stream.HalfClose();
  CHECK(stream.Read() == "(end)");
  CHECK(stream.Finish().ok());
}

TEST_CASE("items answered inside their handler, small and large") {
  EchoServer server;
  server.service.on_flow = [](std::shared_ptr<StreamItem> item, const EchoRequest& request,
                              EchoResponse& response) {
    response.set_text(request.text());
    item->Finish(absl::OkStatus());
    CHECK(item->peer().empty());
    CHECK_FALSE(item->Metadata("user-agent").has_value());
  };
  REQUIRE(server.Start().ok());
  ClientStream stream(server);
  for (const size_t size : {0, 1, 100'000, 2'000'000, 3}) {
    const std::string text(size, 'x');
    REQUIRE(stream.Send(text));
    CHECK(stream.Read() == text);
  }
  stream.HalfClose();
  CHECK(stream.Finish().ok());
}

// Several threads answer the items of several streams in random order.
TEST_CASE("random threads answer in random order") {
  const unsigned seed = std::random_device()();
  INFO("seed " << seed);
  ServerOptions options = LoopbackOptions();
  options.calls.stream_window = 16;
  EchoServer server(options);
  Keeper keeper(server);
  REQUIRE(server.Start().ok());
  constexpr int kStreams = 4;
  constexpr int kMessages = 1500;
  std::atomic<bool> stop{false};
  std::atomic<size_t> most_under_way{0};
  std::vector<runtime::Thread> threads;
  for (unsigned i = 0; i < 3; ++i) {
    threads.emplace_back("answer", [&, i] {
      std::mt19937 random(seed + i);
      while (!stop) {
        const size_t size = keeper.size();
        size_t most = most_under_way;
        while (size > most && !most_under_way.compare_exchange_weak(most, size)) {
        }
        if (auto kept = keeper.TakeAny(random)) kept->Answer();
      }
    });
  }
  std::atomic<int> in_order{0};
  std::vector<runtime::Thread> clients;
  for (int i = 0; i < kStreams; ++i) {
    clients.emplace_back("client", [&, i] {
      ClientStream stream(server);
      const std::string name = std::to_string(i) + "/";
      runtime::Thread sender("send", [&] {
        for (int n = 0; n < kMessages; ++n) stream.Send(name + std::to_string(n));
        stream.HalfClose();
      });
      int n = 0;
      while (stream.Read() == "re: " + name + std::to_string(n)) ++n;
      sender.Join();
      if (stream.Finish().ok()) in_order += n;
    });
  }
  for (runtime::Thread& client : clients) client.Join();
  stop = true;
  for (runtime::Thread& thread : threads) thread.Join();
  CHECK(in_order == kStreams * kMessages);
  CHECK(most_under_way > 1);
  CHECK(most_under_way <= kStreams * 16);
}

TEST_CASE("no more than the window is under way, in messages and in bytes") {
  ServerOptions options = LoopbackOptions();
  const bool bytes = GENERATE(false, true);
  options.calls.stream_window = bytes ? 1000 : 8;
  options.calls.stream_window_bytes = bytes ? 1 << 20 : 1 << 30;
  // 16 KiB each: about 65 fill the bytes' window.
  const std::string text((16 << 10) - 8, 'x');
  const int window = bytes ? 65 : 8;
  EchoServer server(options);
  Keeper keeper(server);
  REQUIRE(server.Start().ok());
  ClientStream stream(server);
  std::atomic<int> sent{0};
  constexpr int kMessages = 3000;  // 48 MiB: far more than gRPC buffers by itself
  runtime::Thread sender("send", [&] {
    while (sent < kMessages && stream.Send(text)) ++sent;
    stream.HalfClose();
  });
  REQUIRE(keeper.AwaitSeen(window));
  // The client is stopped: its count stays the same for a while.
  runtime::StopSignal pause;
  int before = -1;
  REQUIRE(Eventually([&] {
    const bool same = before == sent;
    before = sent;
    pause.WaitFor(absl::Milliseconds(100));
    return same && before == sent;
  }));
  CHECK(sent < kMessages);
  CHECK(keeper.seen() == window);
  runtime::Thread reader("read", [&] {
    while (stream.Read() != "(end)") {
    }
  });
  int most = 0;
  for (int i = 0; i < kMessages; ++i) {
    if (!keeper.AwaitSeen(i + 1)) break;
    most = std::max(most, static_cast<int>(keeper.size()));
    keeper.Take().Answer();
  }
  CHECK(most <= window);
  sender.Join();
  reader.Join();
  CHECK(stream.Finish().ok());
  CHECK(keeper.seen() == kMessages);
}

TEST_CASE("a client that reads no answers is read from no more than the window") {
  ServerOptions options = LoopbackOptions();
  options.calls.stream_window = 4;
  EchoServer server(options);
  std::atomic<int> handled{0};
  server.service.on_flow = [&](std::shared_ptr<StreamItem> item, const EchoRequest&,
                               EchoResponse& response) {
    ++handled;
    response.set_text(std::string(1 << 20, 'x'));
    item->Finish(absl::OkStatus());
  };
  REQUIRE(server.Start().ok());
  ClientStream stream(server);
  constexpr int kMessages = 300;
  for (int i = 0; i < kMessages; ++i) REQUIRE(stream.Send("small"));
  stream.HalfClose();
  runtime::StopSignal pause;
  int before = -1;
  REQUIRE(Eventually([&] {
    const bool same = before == handled;
    before = handled;
    pause.WaitFor(absl::Milliseconds(100));
    return same && before > 0;
  }));
  CHECK(handled < kMessages / 2);
  int answers = 0;
  while (stream.Read() != "(end)") ++answers;
  CHECK(answers == kMessages);
  CHECK(stream.Finish().ok());
}

}  // namespace
}  // namespace saldo::rpc::testing
