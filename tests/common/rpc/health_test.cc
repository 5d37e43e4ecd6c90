#include <catch2/catch.hpp>
#include <string>

#include "absl/time/clock.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "tests/common/rpc/echo_server.h"

namespace saldo::rpc::testing {
namespace {

using grpc::health::v1::Health;
using grpc::health::v1::HealthCheckRequest;
using grpc::health::v1::HealthCheckResponse;

constexpr char kEcho[] = "saldo.rpc.testing.Echo";

grpc::Status Check(EchoServer& server, const std::string& service, HealthCheckResponse* response) {
  auto stub = Health::NewStub(server.channel);
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(absl::Now() + kPatience));
  HealthCheckRequest request;
  request.set_service(service);
  return stub->Check(&context, request, response);
}

TEST_CASE("health tells the server's and each service's state") {
  EchoServer server;
  REQUIRE(server.Start().ok());
  HealthCheckResponse response;
  for (const char* service : {"", kEcho}) {
    REQUIRE(Check(server, service, &response).ok());
    CHECK(response.status() == HealthCheckResponse::SERVING);
  }
  server.server.SetServing(kEcho, false);
  REQUIRE(Check(server, kEcho, &response).ok());
  CHECK(response.status() == HealthCheckResponse::NOT_SERVING);
  REQUIRE(Check(server, "", &response).ok());
  CHECK(response.status() == HealthCheckResponse::SERVING);
  server.server.SetServing(false);
  REQUIRE(Check(server, "", &response).ok());
  CHECK(response.status() == HealthCheckResponse::NOT_SERVING);
  CHECK(Check(server, "unknown", &response).error_code() == grpc::StatusCode::NOT_FOUND);
}

TEST_CASE("a watch sees the changes, ends with the server and does not hold up its stop") {
  EchoServer server;  // would wait kPatience for calls that run
  REQUIRE(server.Start().ok());
  auto stub = Health::NewStub(server.channel);
  grpc::ClientContext context, unknown_context;
  context.set_deadline(absl::ToChronoTime(absl::Now() + kPatience));
  unknown_context.set_deadline(absl::ToChronoTime(absl::Now() + kPatience));
  HealthCheckRequest request, unknown_request;
  request.set_service(kEcho);
  unknown_request.set_service("later");
  HealthCheckResponse response;

  auto unknown = stub->Watch(&unknown_context, unknown_request);
  REQUIRE(unknown->Read(&response));
  CHECK(response.status() == HealthCheckResponse::SERVICE_UNKNOWN);
  server.server.SetServing("later", true);
  REQUIRE(unknown->Read(&response));
  CHECK(response.status() == HealthCheckResponse::SERVING);

  auto watch = stub->Watch(&context, request);
  REQUIRE(watch->Read(&response));
  CHECK(response.status() == HealthCheckResponse::SERVING);
  server.server.SetServing(false);
  REQUIRE(watch->Read(&response));
  CHECK(response.status() == HealthCheckResponse::NOT_SERVING);
  server.server.SetServing(true);
  REQUIRE(watch->Read(&response));
  CHECK(response.status() == HealthCheckResponse::SERVING);

  const absl::Time begin = absl::Now();
  server.server.Stop();
  CHECK(absl::Now() - begin < kPatience / 2);
  REQUIRE(watch->Read(&response));
  CHECK(response.status() == HealthCheckResponse::NOT_SERVING);
  CHECK_FALSE(watch->Read(&response));
  CHECK(watch->Finish().error_code() == grpc::StatusCode::UNAVAILABLE);
}

TEST_CASE("a watcher that leaves is forgotten") {
  EchoServer server;
  REQUIRE(server.Start().ok());
  auto stub = Health::NewStub(server.channel);
  for (int i = 0; i < 20; ++i) {
    grpc::ClientContext context;
    HealthCheckResponse response;
    auto watch = stub->Watch(&context, HealthCheckRequest());
    REQUIRE(watch->Read(&response));
    context.TryCancel();
    CHECK(watch->Finish().error_code() == grpc::StatusCode::CANCELLED);
    server.server.SetServing(i % 2 == 0);
  }
}

}  // namespace
}  // namespace saldo::rpc::testing
