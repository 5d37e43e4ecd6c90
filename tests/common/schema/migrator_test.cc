#include "common/schema/migrator.h"

#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "common/runtime/thread.h"
#include "tests/common/postgres/postgres_test_util.h"
#include "tests/support/migrated_database.h"
#include "tests/support/test_env.h"

namespace saldo::schema {
namespace {

using postgres::Connect;
using postgres::Soon;
using testing::MigratedDatabase;
using testing::TestDatabase;

constexpr Migration kFirst{1, "0001_first", "sum1",
                           "CREATE TABLE a (id int); CREATE TABLE b (id int)"};
constexpr Migration kSecond{2, "0002_second", "sum2", "CREATE TABLE c (id int)"};
constexpr Migration kBroken{2, "0002_broken", "sum2", "CREATE TABLE c (id int); SELECT 1 / 0"};

struct Applied {
  absl::Status status;
  std::vector<std::string> names;
};

Applied UpWith(const std::string& dsn, const std::vector<Migration>& migrations) {
  const auto connection = Connect(dsn);
  Applied applied;
  applied.status = Up(*connection, Soon(), migrations, [&](const Migration& migration) {
    applied.names.emplace_back(migration.name);
  });
  return applied;
}

std::string Tables(const TestDatabase& database) {
  return database.Query(
      "SELECT string_agg(tablename, ',' ORDER BY tablename) FROM pg_tables "
      "WHERE schemaname = 'public'");
}

using Names = std::vector<std::string>;

TEST_CASE("what is pending is applied once, in order") {
  const TestDatabase database;
  const Applied first = UpWith(database.dsn(), {kFirst});
  INFO(first.status.ToString());
  REQUIRE(first.status.ok());
  CHECK(first.names == Names{"0001_first"});
  CHECK(Tables(database) == "a,b,schema_migrations");

  const Applied both = UpWith(database.dsn(), {kFirst, kSecond});
  CHECK(both.status.ok());
  CHECK(both.names == Names{"0002_second"});
  const Applied again = UpWith(database.dsn(), {kFirst, kSecond});
  CHECK(again.status.ok());
  CHECK(again.names.empty());
  CHECK(database.Query("SELECT version, name, checksum FROM schema_migrations ORDER BY version") ==
        "1|0001_first|sum1\n2|0002_second|sum2");
}

TEST_CASE("programs that migrate at once apply each migration once") {
  const TestDatabase database;
  // Long enough for the others to arrive.
  constexpr Migration kSlow{1, "0001_slow", "sum",
                            "CREATE TABLE slow (id int); SELECT pg_sleep(0.3)"};
  std::vector<Applied> applied(4);
  {
    std::vector<runtime::Thread> threads;
    for (Applied& one : applied) {
      threads.emplace_back("up", [&one, &database, &kSlow] {
        one = UpWith(database.dsn(), {kSlow, kSecond});
      });
    }
  }
  size_t total = 0;
  for (const Applied& one : applied) {
    INFO(one.status.ToString());
    CHECK(one.status.ok());
    total += one.names.size();
  }
  CHECK(total == 2);
}

TEST_CASE("a migration that fails leaves nothing of itself, and stops those behind it") {
  const TestDatabase database;
  constexpr Migration kThird{3, "0003_third", "sum3", "CREATE TABLE d (id int)"};
  const Applied failed = UpWith(database.dsn(), {kFirst, kBroken, kThird});
  CHECK_FALSE(failed.status.ok());
  INFO(failed.status.ToString());
  CHECK(std::string(failed.status.message()).find("migration 0002_broken: ") == 0);
  CHECK(std::string(failed.status.message()).find("division by zero") != std::string::npos);
  CHECK(failed.names == Names{"0001_first"});
  CHECK(Tables(database) == "a,b,schema_migrations");
  CHECK(database.Query("SELECT count(*) FROM schema_migrations") == "1");

  // The lock is free again, and the mended one goes through.
  const Applied mended = UpWith(database.dsn(), {kFirst, kSecond, kThird});
  CHECK(mended.status.ok());
  CHECK(mended.names == Names{"0002_second", "0003_third"});
}

TEST_CASE("nothing is applied to a database whose migrations were altered") {
  const TestDatabase database;
  REQUIRE(UpWith(database.dsn(), {kFirst}).status.ok());
  Migration altered = kFirst;
  altered.checksum = "another";
  const Applied refused = UpWith(database.dsn(), {altered, kSecond});
  CHECK(refused.status.code() == absl::StatusCode::kFailedPrecondition);
  CHECK(std::string(refused.status.message()).find("another text of 0001_first;") !=
        std::string::npos);
  CHECK(refused.names.empty());
  CHECK(Tables(database) == "a,b,schema_migrations");
}

TEST_CASE("a migration that waits for a lock gives others their turn and tries again") {
  const TestDatabase database;
  REQUIRE(UpWith(database.dsn(), {kFirst}).status.ok());
  constexpr Migration kAlter{2, "0002_alter", "sum", "ALTER TABLE a ADD COLUMN n int"};
  const auto holder = Connect(database.dsn());
  constexpr postgres::Statement kBegin{"test.begin", "BEGIN"};
  constexpr postgres::Statement kLock{"test.lock", "SELECT count(*) FROM a"};
  constexpr postgres::Statement kCommit{"test.commit", "COMMIT"};
  REQUIRE(holder->Query(Soon(), kBegin).ok());
  REQUIRE(holder->Query(Soon(), kLock).ok());
  Applied applied;
  {
    const runtime::Thread up("up", [&] { applied = UpWith(database.dsn(), {kFirst, kAlter}); });
    // Its first wait ends by the lock timeout, which the server's counter of rollbacks shows.
    const auto rolled_back = [&] {
      return database.Query(
                 "SELECT pg_stat_get_db_xact_rollback(oid) > 0 FROM pg_database "
                 "WHERE datname = current_database()") == "t";
    };
    CHECK(testing::Eventually(absl::Seconds(20), rolled_back));
    CHECK(holder->Query(Soon(), kCommit).ok());
  }
  INFO(applied.status.ToString());
  CHECK(applied.status.ok());
  CHECK(applied.names == Names{"0002_alter"});
}

TEST_CASE("the state of every migration is told, and whether the program can work") {
  const std::string newest(AllMigrations().back().name);
  SECTION("an empty database is behind") {
    const TestDatabase database;
    const auto connection = Connect(database.dsn());
    const auto states = Inspect(*connection, Soon());
    REQUIRE(states.ok());
    CHECK(states->size() == AllMigrations().size());
    for (const MigrationState& state : *states) CHECK(state.state == State::kPending);
    const absl::Status status = CheckCurrent(*connection, Soon());
    CHECK(status.code() == absl::StatusCode::kFailedPrecondition);
    CHECK(std::string(status.message()).find("0001_batches, 0002_packages") != std::string::npos);
    CHECK(std::string(status.message()).find("run: saldo migrate up") != std::string::npos);
  }
  SECTION("a migrated one is current") {
    const MigratedDatabase database;
    const auto connection = Connect(database.dsn());
    const auto states = Inspect(*connection, Soon());
    REQUIRE(states.ok());
    for (const MigrationState& state : *states) {
      CHECK(state.state == State::kApplied);
      CHECK(state.applied_at > absl::Now() - absl::Hours(1));
    }
    CHECK(CheckCurrent(*connection, Soon()).ok());
  }
  SECTION("one migration behind") {
    const MigratedDatabase database;
    database.Query("DELETE FROM schema_migrations WHERE name = '" + newest + "'");
    const auto connection = Connect(database.dsn());
    const absl::Status status = CheckCurrent(*connection, Soon());
    CHECK(status.code() == absl::StatusCode::kFailedPrecondition);
    CHECK(std::string(status.message()) == "the database's schema is behind this program: " +
                                               newest + " pending; run: saldo migrate up");
  }
  SECTION("altered") {
    const MigratedDatabase database;
    database.Query("UPDATE schema_migrations SET checksum = 'x' WHERE version = 1");
    const auto connection = Connect(database.dsn());
    CHECK(Inspect(*connection, Soon()).value()[0].state == State::kAltered);
    const absl::Status status = CheckCurrent(*connection, Soon());
    CHECK(status.code() == absl::StatusCode::kFailedPrecondition);
    CHECK(std::string(status.message()).find("another text of 0001_batches;") != std::string::npos);
  }
  SECTION("newer is fine") {
    const MigratedDatabase database;
    database.Query("INSERT INTO schema_migrations VALUES (9999, '9999_future', 'x')");
    const auto connection = Connect(database.dsn());
    const auto states = Inspect(*connection, Soon());
    REQUIRE(states.ok());
    CHECK(states->back().name == "9999_future");
    CHECK(states->back().state == State::kNewer);
    CHECK(CheckCurrent(*connection, Soon()).ok());
  }
}

}  // namespace
}  // namespace saldo::schema
