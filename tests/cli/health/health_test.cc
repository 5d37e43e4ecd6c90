#include "cli/health/health.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "cli/health/http_probe.h"
#include "common/devstack/child_process.h"
#include "common/devstack/files.h"
#include "common/devstack/loopback.h"
#include "common/observability/http_endpoint.h"
#include "common/observability/metrics.h"
#include "common/observability/trace.h"
#include "common/rpc/dispatcher.h"
#include "common/rpc/server.h"
#include "tests/support/test_env.h"

namespace saldo::cli {
namespace {

struct Outcome {
  int code;
  std::string text;
};

Outcome Health(std::vector<std::string> arguments) {
  const testing::TempDir dir;
  arguments.insert(arguments.begin(), {*devstack::SiblingProgram("saldo"), "health"});
  auto child =
      devstack::ChildProcess::Start({.argv = std::move(arguments), .log_file = dir.File("log")});
  REQUIRE(child.ok());
  const auto ended = (*child)->Wait(absl::Seconds(60));
  REQUIRE(ended.ok());
  CHECK(ended->signal == 0);
  return {ended->code, *devstack::ReadFile(dir.File("log"))};
}

// A gRPC server that has only its health.
struct GrpcServer {
  rpc::ServerOptions options{.address = "127.0.0.1", .port = 0, .calls = {}};
  metrics::Registry registry;
  trace::Tracer tracer{nullptr, 0};
  rpc::Dispatcher dispatcher{options.calls, registry, tracer};
  rpc::Server server{options, dispatcher, {}};
};

}  // namespace

TEST_CASE("gRPC health is what a server tells of itself") {
  GrpcServer grpc;
  REQUIRE(grpc.server.Start().ok());
  const std::string address = absl::StrCat("--address=127.0.0.1:", grpc.server.port());
  const Outcome serves = Health({address});
  CHECK(serves.code == 0);
  CHECK(serves.text.empty());

  grpc.server.SetServing(false);
  const Outcome stops = Health({address});
  CHECK(stops.code == 1);
  CHECK_THAT(stops.text, Catch::Contains("NOT_SERVING"));

  grpc.server.SetServing("one", true);
  CHECK(Health({address, "--service=one"}).code == 0);
  CHECK(Health({address, "--service=other"}).code == 1);

  grpc.server.Stop();
  const Outcome gone = Health({address, "--timeout=1s"});
  CHECK(gone.code == 1);
  CHECK_FALSE(gone.text.empty());
}

TEST_CASE("a status page is well when it answers 200, and its text is told when not") {
  std::atomic<bool> well{true};
  http::StatusServer status({.address = "127.0.0.1", .port = 0}, {});
  status.AddReadinessCheck(
      "database", [&] { return well ? absl::OkStatus() : absl::UnavailableError("gone fishing"); });
  REQUIRE(status.Start().ok());
  for (const char* host : {"127.0.0.1", "localhost"}) {
    CHECK(Health({"--ready", absl::StrCat("http://", host, ":", status.port(), "/ready")}).code ==
          0);
  }
  const std::string url = absl::StrCat("http://127.0.0.1:", status.port(), "/ready");
  CHECK(Health({"--ready", absl::StrCat(url, "/not")}).code == 1);
  well = false;
  const Outcome unwell = Health({"--ready", url});
  CHECK(unwell.code == 1);
  CHECK_THAT(unwell.text, Catch::Contains("503") && Catch::Contains("gone fishing"));

  // Both are asked when both are named.
  well = true;
  const int nobody = *devstack::FreePort();
  const Outcome half = Health({"--ready", url, absl::StrCat("--address=127.0.0.1:", nobody)});
  CHECK(half.code == 1);
  CHECK_THAT(half.text, Catch::StartsWith("127.0.0.1:"));
  status.Stop();
  CHECK(Health({"--ready", url}).code == 1);
}

TEST_CASE("a peer that takes the connection and says nothing is given up in time") {
  // The kernel accepts for a listening socket that nobody serves.
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  REQUIRE(listen(fd, 5) == 0);
  sockaddr_in address{};
  socklen_t size = sizeof(address);
  REQUIRE(getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) == 0);
  const HttpUrl url{
      .host = "127.0.0.1", .port = std::to_string(ntohs(address.sin_port)), .path = "/ready"};
  const absl::Status status = ProbeHttp(url, absl::Milliseconds(50));
  CHECK(absl::IsUnavailable(status));
  CHECK(status.message() == "no answer in time");
  close(fd);
}

TEST_CASE("URLs of status pages") {
  const auto plain = ParseHttpUrl("http://saldo:8000/ready");
  REQUIRE(plain.ok());
  CHECK(plain->host == "saldo");
  CHECK(plain->port == "8000");
  CHECK(plain->path == "/ready");
  const auto six = ParseHttpUrl("http://[::1]:81");
  REQUIRE(six.ok());
  CHECK(six->host == "::1");
  CHECK(six->port == "81");
  CHECK(six->path == "/");
  CHECK(ParseHttpUrl("http://saldo")->port == "80");
  for (const char* wrong :
       {"", "saldo:8000", "https://saldo/", "http://", "http://:80/", "http://saldo:/",
        "http://saldo:0/", "http://saldo:65536/", "http://saldo:x/", "http://[::1",
        "http://[::1]x/", "http://saldo:80/a b", "http://saldo:80/\r\nX: y"}) {
    INFO(wrong);
    CHECK(absl::IsInvalidArgument(ParseHttpUrl(wrong).status()));
  }
  CHECK(Health({"--ready=saldo:8000"}).code == 2);
}

}  // namespace saldo::cli
