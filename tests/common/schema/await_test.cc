#include "common/schema/await.h"

#include <catch2/catch.hpp>
#include <string>

#include "common/devstack/postgres_cluster.h"
#include "common/runtime/stop_signal.h"
#include "common/schema/migrator.h"
#include "tests/common/postgres/postgres_test_util.h"
#include "tests/support/migrated_database.h"
#include "tests/support/test_env.h"

namespace saldo::schema {
namespace {

bool Wait(absl::Duration time) { return runtime::StopSignal().WaitFor(time); }

struct TestPool {
  explicit TestPool(const std::string& dsn) : pool({.connection = {.dsn = dsn}}, registry) {}
  metrics::Registry registry;
  postgres::Pool pool;
};

constexpr const char* kNobody = "host=127.0.0.1 port=1 user=saldo dbname=saldo";

TEST_CASE("a database that fits is ready at once") {
  const testing::MigratedDatabase database;
  TestPool pool(database.dsn());
  CHECK(AwaitCurrent(pool.pool, absl::Seconds(20), [](absl::Duration) { return false; }).ok());
}

TEST_CASE("a schema that does not fit is not waited for") {
  const testing::TestDatabase database;
  TestPool pool(database.dsn());
  bool waited = false;
  const absl::Status status = AwaitCurrent(pool.pool, absl::Seconds(20), [&](absl::Duration) {
    waited = true;
    return true;
  });
  CHECK(status.code() == absl::StatusCode::kFailedPrecondition);
  CHECK(std::string(status.message()).find("saldo migrate up") != std::string::npos);
  CHECK_FALSE(waited);
}

TEST_CASE("a database that stays away is an error with the reason") {
  TestPool pool(kNobody);
  const absl::Status status = AwaitCurrent(pool.pool, absl::Milliseconds(300), &Wait);
  CHECK(absl::IsUnavailable(status));
  INFO(status.ToString());
  CHECK(std::string(status.message()).find("did not answer within 300ms: ") != std::string::npos);
  CHECK(std::string(status.message()).find("Connection refused") != std::string::npos);
}

TEST_CASE("the wait can be ended") {
  TestPool pool(kNobody);
  int pauses = 0;
  CHECK(absl::IsCancelled(
      AwaitCurrent(pool.pool, absl::Hours(1), [&](absl::Duration) { return ++pauses < 3; })));
  CHECK(pauses == 3);
}

TEST_CASE("a database that comes back is found") {
  const testing::TempDir folder;
  auto cluster = devstack::PostgresCluster::Start({.dir = folder.path(), .durable = false});
  REQUIRE(cluster.ok());
  const std::string dsn = (*cluster)->dsn("postgres");
  {
    const auto connection = postgres::Connect(dsn);
    REQUIRE(Up(*connection, postgres::Soon(), AllMigrations(), [](const Migration&) {}).ok());
  }
  (*cluster)->Stop();
  TestPool pool(dsn);
  int pauses = 0;
  const absl::Status status = AwaitCurrent(pool.pool, absl::Minutes(1), [&](absl::Duration time) {
    if (++pauses == 2) CHECK((*cluster)->Restart().ok());
    return Wait(time);
  });
  INFO(status.ToString());
  CHECK(status.ok());
  CHECK(pauses >= 2);
}

}  // namespace
}  // namespace saldo::schema
