#include "common/observability/http_endpoint.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "common/runtime/thread.h"
#include "tests/common/observability/json.h"

namespace saldo::http {
namespace {

constexpr HttpOptions LoopbackPort(int port = 0) { return {.address = "127.0.0.1", .port = port}; }

class Connection {
 public:
  explicit Connection(int port) : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    timeval timeout{.tv_sec = 20, .tv_usec = 0};
    setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected_ = connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0;
  }
  ~Connection() { close(fd_); }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  bool connected() const { return connected_; }
  void Send(const std::string& text) { send(fd_, text.data(), text.size(), MSG_NOSIGNAL); }
  // What comes until the server closes.
  std::string Receive() {
    std::string all;
    char buffer[4096];
    for (ssize_t n = 0; (n = recv(fd_, buffer, sizeof(buffer), 0)) > 0;) {
      all.append(buffer, static_cast<size_t>(n));
    }
    return all;
  }

 private:
  const int fd_;
  bool connected_ = false;
};

struct Answer {
  int status = 0;
  std::string headers;
  std::string body;
};

Answer Ask(int port, const std::string& path, const std::string& method = "GET") {
  Connection connection(port);
  REQUIRE(connection.connected());
  connection.Send(method + " " + path + " HTTP/1.1\r\nHost: localhost\r\n\r\n");
  const std::string all = connection.Receive();
  const size_t end = all.find("\r\n\r\n");
  INFO(all);
  REQUIRE(absl::StartsWith(all, "HTTP/1.1 "));
  REQUIRE(end != std::string::npos);
  return {std::stoi(all.substr(9, 3)), all.substr(0, end), all.substr(end + 4)};
}

BuildInfo TestBuild() { return {"1.2.3", "abc\"def", "Dev", "GNU 12"}; }

TEST_CASE("the metrics endpoint serves the registry as it is now") {
  metrics::Registry registry;
  auto& counter = registry.AddCounter("calls_total", "Calls.");
  MetricsServer server(LoopbackPort(), registry);
  REQUIRE(server.Start().ok());
  REQUIRE(server.port() > 0);
  counter.Increment();
  Answer answer = Ask(server.port(), "/metrics");
  CHECK(answer.status == 200);
  CHECK(absl::StrContains(answer.headers, "text/plain; version=0.0.4"));
  CHECK(absl::StrContains(answer.body, "\ncalls_total 1\n"));
  CHECK(answer.body == registry.Text());
  counter.Increment();
  answer = Ask(server.port(), "/metrics");
  CHECK(absl::StrContains(answer.body, "\ncalls_total 2\n"));
  CHECK(Ask(server.port(), "/").status == 404);
}

TEST_CASE("the status endpoint tells liveness and version") {
  StatusServer server(LoopbackPort(), TestBuild());
  REQUIRE(server.Start().ok());
  CHECK(Ask(server.port(), "/live").status == 200);
  CHECK(Ask(server.port(), "/live?probe=1").status == 200);
  const Answer version = Ask(server.port(), "/version");
  CHECK(version.status == 200);
  CHECK(absl::StrContains(version.headers, "application/json"));
  const auto parsed = saldo::testing::ParseJson(version.body);
  CHECK(parsed.at("version").string_value() == "1.2.3");
  CHECK(parsed.at("git_commit").string_value() == "abc\"def");
  CHECK(parsed.at("build_type").string_value() == "Dev");
  CHECK(parsed.at("compiler").string_value() == "GNU 12");
  const Answer missing = Ask(server.port(), "/nothing");
  CHECK(missing.status == 404);
  CHECK(absl::StrContains(missing.body, "/ready"));
}

TEST_CASE("readiness fails with each failing check and comes back") {
  StatusServer server(LoopbackPort(), TestBuild());
  absl::Mutex mutex;
  absl::Status postgres;
  absl::Status kafka;
  server.AddReadinessCheck("postgres", [&] {
    absl::MutexLock lock(&mutex);
    return postgres;
  });
  REQUIRE(server.Start().ok());
  server.AddReadinessCheck("kafka", [&] {
    absl::MutexLock lock(&mutex);
    return kafka;
  });
  CHECK(Ask(server.port(), "/ready").status == 200);
  {
    absl::MutexLock lock(&mutex);
    postgres = absl::UnavailableError("no\nconnection");
    kafka = absl::DeadlineExceededError("no broker");
  }
  Answer answer = Ask(server.port(), "/ready");
  CHECK(answer.status == 503);
  CHECK(answer.body ==
        "postgres: UNAVAILABLE: no connection\nkafka: DEADLINE_EXCEEDED: no broker\n");
  CHECK(Ask(server.port(), "/live").status == 200);
  {
    absl::MutexLock lock(&mutex);
    postgres = absl::OkStatus();
  }
  answer = Ask(server.port(), "/ready");
  CHECK(answer.status == 503);
  CHECK(answer.body == "kafka: DEADLINE_EXCEEDED: no broker\n");
  {
    absl::MutexLock lock(&mutex);
    kafka = absl::OkStatus();
  }
  CHECK(Ask(server.port(), "/ready").status == 200);
}

TEST_CASE("notes are shown whether or not it is ready, and change nothing about that") {
  StatusServer server(LoopbackPort(), TestBuild());
  std::string note = "shard b: away\n";
  absl::Status state;
  server.AddReadinessNote([&] { return note; });
  server.AddReadinessCheck("shards", [&] { return state; });
  REQUIRE(server.Start().ok());
  Answer answer = Ask(server.port(), "/ready");
  CHECK(answer.status == 200);
  CHECK(answer.body == "ok\nshard b: away\n");
  state = absl::UnavailableError("none works");
  answer = Ask(server.port(), "/ready");
  CHECK(answer.status == 503);
  CHECK(answer.body == "shards: UNAVAILABLE: none works\nshard b: away\n");
  state = absl::OkStatus();
  note = "";
  CHECK(Ask(server.port(), "/ready").body == "ok\n");
}

TEST_CASE("a check that hangs takes neither liveness nor the next answer") {
  StatusServer server(LoopbackPort(), TestBuild());
  absl::Notification entered;
  absl::Notification release;
  server.AddReadinessCheck("slow", [&] {
    if (!entered.HasBeenNotified()) entered.Notify();
    release.WaitForNotification();
    return absl::OkStatus();
  });
  REQUIRE(server.Start().ok());
  Answer first;
  runtime::Thread asker("asker", [&] { first = Ask(server.port(), "/ready"); });
  entered.WaitForNotification();
  CHECK(Ask(server.port(), "/live").status == 200);
  const Answer second = Ask(server.port(), "/ready");
  CHECK(second.status == 503);
  CHECK(absl::StrContains(second.body, "still run"));
  CHECK(Ask(server.port(), "/live").status == 200);
  release.Notify();
  asker.Join();
  CHECK(first.status == 200);
}

TEST_CASE("only GET and HEAD of a bounded size are answered") {
  StatusServer server(LoopbackPort(), TestBuild());
  REQUIRE(server.Start().ok());
  const Answer head = Ask(server.port(), "/live", "HEAD");
  CHECK(head.status == 200);
  CHECK(head.body.empty());
  CHECK(absl::StrContains(head.headers, "Content-Length: 3"));
  const Answer post = Ask(server.port(), "/live", "POST");
  CHECK(post.status == 405);
  CHECK(absl::StrContains(post.headers, "Allow: GET, HEAD"));
  Connection big(server.port());
  REQUIRE(big.connected());
  big.Send("GET /live HTTP/1.1\r\nHost: localhost\r\nX-Big: " + std::string(20'000, 'x') +
           "\r\n\r\n");
  CHECK_FALSE(absl::StartsWith(big.Receive(), "HTTP/1.1 200"));
  CHECK(Ask(server.port(), "/live").status == 200);
}

TEST_CASE("a port in use is an error that names the address") {
  StatusServer first(LoopbackPort(), TestBuild());
  REQUIRE(first.Start().ok());
  StatusServer second(LoopbackPort(first.port()), TestBuild());
  const absl::Status status = second.Start();
  CHECK(status.code() == absl::StatusCode::kUnavailable);
  INFO(status.ToString());
  CHECK(absl::StrContains(status.message(), absl::StrCat("127.0.0.1:", first.port())));
  CHECK(absl::StrContains(status.message(), "Address already in use"));
  second.Stop();
  CHECK(Ask(first.port(), "/live").status == 200);
}

TEST_CASE("a stopped endpoint listens no more, and its port is free again") {
  metrics::Registry registry;
  int port = 0;
  {
    MetricsServer server(LoopbackPort(), registry);
    server.Stop();
    REQUIRE(server.Start().ok());
    port = server.port();
    REQUIRE(Ask(port, "/metrics").status == 200);
    const absl::Time before = absl::Now();
    server.Stop();
    CHECK(absl::Now() - before < absl::Seconds(1));
    server.Stop();
    CHECK_FALSE(Connection(port).connected());
  }
  MetricsServer again(LoopbackPort(port), registry);
  const absl::Status status = again.Start();
  INFO(status.ToString());
  CHECK(status.ok());
}

TEST_CASE("a wrong address is refused in words") {
  StatusServer wrong({.address = "no such address", .port = 0}, TestBuild());
  const absl::Status status = wrong.Start();
  CHECK(status.code() == absl::StatusCode::kUnavailable);
  CHECK(absl::StrContains(status.message(), "no such address"));
}

TEST_CASE("the program knows what it was built from") {
  const BuildInfo build = GetBuildInfo();
  CHECK_FALSE(build.version.empty());
  CHECK_FALSE(build.compiler.empty());
  CHECK((build.git_commit == "unknown" || build.git_commit.size() >= 40));
}

}  // namespace
}  // namespace saldo::http
