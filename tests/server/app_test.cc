// The server as a whole: what it starts with, what it shows, and how it stops.
#include "server/app.h"

#include <atomic>
#include <catch2/catch.hpp>
#include <string>

#include "common/devstack/loopback.h"
#include "common/devstack/postgres_cluster.h"
#include "common/runtime/stop_signal.h"
#include "common/runtime/thread.h"
#include "common/schema/migrator.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "tests/server/test_app.h"
#include "tests/support/test_env.h"

namespace saldo::server {
namespace {

int HttpCode(int port, const std::string& path, std::string* body = nullptr) {
  const auto response = devstack::HttpGet(port, path, absl::Seconds(10));
  if (!response.ok()) return 0;
  if (body != nullptr) *body = response->body;
  return response->code;
}

bool Has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

constexpr const char* kNobody = "host=127.0.0.1 port=1 user=saldo dbname=saldo";

}  // namespace

TEST_CASE("operators see that it is ready, its version and its metrics") {
  TestApp app;
  CHECK(HttpCode(app.app.status_port(), "/live") == 200);
  CHECK(HttpCode(app.app.status_port(), "/ready") == 200);
  CHECK(HttpCode(app.app.status_port(), "/version") == 200);
  app.Create();
  std::string metrics;
  CHECK(HttpCode(app.app.metrics_port(), "/metrics", &metrics) == 200);
  for (const char* name :
       {"logistic_package_api_not_found_total 0",
        "logistic_package_api_cud_event_total{operation=\"create\"} 1",
        "logistic_package_api_cud_event_total{operation=\"update\"} 0",
        "logistic_package_api_cud_event_total{operation=\"delete\"} 0", "grpc_server_handled_total",
        "grpc_server_handling_seconds_bucket", "saldo_postgres_pool_connections", "process_"}) {
    CAPTURE(name);
    CHECK(Has(metrics, name));
  }
  grpc::health::v1::HealthCheckRequest request;
  grpc::health::v1::HealthCheckResponse response;
  for (const char* service : {"", Api::service_full_name()}) {
    CAPTURE(service);
    request.set_service(service);
    ClientCall call;
    REQUIRE(grpc::health::v1::Health::NewStub(app.channel)
                ->Check(&call.context, request, &response)
                .ok());
    CHECK(response.status() == grpc::health::v1::HealthCheckResponse::SERVING);
  }
}

TEST_CASE("it refuses a schema that does not fit, and says what to run") {
  const testing::TestDatabase empty;
  App app(LoopbackConfig(empty.dsn()));
  const absl::Status status = app.Start();
  CHECK(status.code() == absl::StatusCode::kFailedPrecondition);
  CHECK(Has(std::string(status.message()), "run: saldo migrate up"));

  const testing::MigratedDatabase altered;
  altered.Query("UPDATE schema_migrations SET checksum = 'x' WHERE version = 2");
  App other(LoopbackConfig(altered.dsn()));
  const absl::Status refused = other.Start();
  CHECK(refused.code() == absl::StatusCode::kFailedPrecondition);
  CHECK(Has(std::string(refused.message()), "another text of 0002_packages"));
}

TEST_CASE("a port that is taken is an error with the reason") {
  TestApp first;
  ServerConfig config = LoopbackConfig(first.database.dsn());
  config.grpc.port = first.app.grpc_port();
  App second(config);
  const absl::Status status = second.Start();
  CHECK(absl::IsUnavailable(status));
  CHECK(Has(std::string(status.message()), "Address already in use"));
}

TEST_CASE("while it waits for its database it lives and is not ready, and then gives up") {
  ServerConfig config = LoopbackConfig(kNobody);
  config.database_start_timeout = absl::Milliseconds(500);
  App* waiting = nullptr;
  std::atomic<int> live{0}, ready{0};
  App app(config, {.pause = [&](absl::Duration time) {
            live = HttpCode(waiting->status_port(), "/live");
            ready = HttpCode(waiting->status_port(), "/ready");
            return runtime::StopSignal().WaitFor(time);
          }});
  waiting = &app;
  const absl::Status status = app.Start();
  CHECK(absl::IsUnavailable(status));
  CHECK(Has(std::string(status.message()), "did not answer within 500ms"));
  CHECK(live == 200);
  CHECK(ready == 503);
}

TEST_CASE("the wait for the database ends when the process is told to stop") {
  ServerConfig config = LoopbackConfig(kNobody);
  config.database_start_timeout = absl::Hours(1);
  App app(config, {.pause = [](absl::Duration) { return false; }});
  CHECK(absl::IsCancelled(app.Start()));
}

TEST_CASE("a database that goes away costs readiness until it is back") {
  const testing::TempDir folder;
  auto cluster = devstack::PostgresCluster::Start({.dir = folder.path(), .durable = false});
  REQUIRE(cluster.ok());
  const std::string dsn = (*cluster)->dsn("postgres");
  {
    const CallContext context = CallContext::WithTimeout(kPatience);
    auto connection = postgres::Connection::Open({.dsn = dsn}, context);
    REQUIRE(connection.ok());
    REQUIRE(schema::Up(**connection, context, schema::AllMigrations(), [](const auto&) {}).ok());
  }
  App app(LoopbackConfig(dsn));
  REQUIRE(app.Start().ok());
  CHECK(HttpCode(app.status_port(), "/ready") == 200);
  (*cluster)->Stop();
  std::string body;
  CHECK(HttpCode(app.status_port(), "/ready", &body) == 503);
  CHECK(Has(body, "database"));
  const auto stub = Api::NewStub(ChannelTo(app.grpc_port()));
  const auto create = [&stub] {
    api::CreatePackageV1Request request;
    request.set_title("box");
    request.set_material("wood");
    request.set_maximum_volume(1);
    api::CreatePackageV1Response response;
    ClientCall call;
    return stub->CreatePackageV1(&call.context, request, &response).error_code();
  };
  CHECK(create() == grpc::StatusCode::UNAVAILABLE);
  REQUIRE((*cluster)->Restart().ok());
  CHECK(
      testing::Eventually(kPatience, [&] { return HttpCode(app.status_port(), "/ready") == 200; }));
  CHECK(create() == grpc::StatusCode::OK);
}

TEST_CASE("each background job can be switched off") {
  const bool sequencer = GENERATE(true, false);
  TestApp app([&](ServerConfig& config) {
    config.jobs.sequencer_enabled = sequencer;
    config.jobs.partitions_enabled = !sequencer;
    config.jobs.partitions.ahead = 5;
    config.jobs.partitions.interval = absl::Milliseconds(100);
    // Only the commit itself can wake it within this test's patience.
    config.jobs.sequencer.poll_interval = absl::Seconds(10);
  });
  app.Create();
  const auto sequenced = [&] {
    return app.database.Query("SELECT count(*) FROM sequenced_batches") == "1";
  };
  const auto extended = [&] {
    return app.database.Query("SELECT count(*) >= 6 FROM partitions WHERE parent = 'outbox'") ==
           "t";
  };
  if (sequencer) {
    CHECK(testing::Eventually(kPatience, sequenced));
    CHECK_FALSE(extended());
  } else {
    CHECK(testing::Eventually(kPatience, extended));
    CHECK_FALSE(sequenced());
  }
}

TEST_CASE("a stop lets running calls end, and tells before that it takes no more") {
  TestApp app;
  app.Create("first");
  runtime::Thread locker("locker", [&] {
    app.database.Query(
        "BEGIN; LOCK TABLE packages IN EXCLUSIVE MODE; SELECT pg_sleep(1.5); COMMIT");
  });
  const std::string waiting =
      "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND "
      "datname = current_database()";
  REQUIRE(testing::Eventually(kPatience, [&] {
    return app.database.Query(
               "SELECT count(*) FROM pg_locks WHERE mode = 'ExclusiveLock' AND granted AND "
               "relation = 'packages'::regclass") == "1";
  }));
  uint64_t id = 0;
  runtime::Thread caller("caller", [&] { id = app.Create("last"); });
  REQUIRE(testing::Eventually(kPatience, [&] { return app.database.Query(waiting) == "1"; }));
  const int status_port = app.app.status_port();
  runtime::Thread stopper("stopper", [&] { app.app.Stop(); });
  CHECK(testing::Eventually(kPatience, [&] { return HttpCode(status_port, "/ready") == 503; }));
  CHECK(id == 0);
  stopper.Join();
  caller.Join();
  CHECK(id != 0);
  CHECK(app.database.Query("SELECT count(*) FROM outbox") == "2");
  CHECK(HttpCode(status_port, "/live") == 0);
  app.app.Stop();
}

}  // namespace saldo::server
