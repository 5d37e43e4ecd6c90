#include "common/postgres/transaction.h"

#include <catch2/catch.hpp>
#include <csignal>

#include "common/base/status_macros.h"
#include "common/postgres/error.h"
#include "common/postgres/pool.h"
#include "common/runtime/thread.h"
#include "tests/common/postgres/postgres_test_util.h"
#include "tests/support/test_env.h"

namespace saldo::postgres {
namespace {

constexpr Statement kInsert{"test.insert", "INSERT INTO t (id) VALUES ($1)"};
constexpr Statement kCount{"test.count", "SELECT count(*) FROM t"};

struct Table {
  testing::TestDatabase database;
  std::unique_ptr<Connection> connection = Connect(database.dsn());
  metrics::Registry registry;
  Pool pool{{.connection = {.dsn = database.dsn()}, .max_connections = 8}, registry};

  Table() {
    REQUIRE(connection
                ->ExecuteScript(
                    Soon(), "CREATE TABLE t (id bigint PRIMARY KEY, n bigint NOT NULL DEFAULT 0)")
                .ok());
  }
  int64_t Count() {
    return std::get<0>(std::move(connection->Query(Soon(), kCount).value()).One<int64_t>().value());
  }
};

}  // namespace

TEST_CASE("a transaction commits what it deferred, and rolls back when its body fails") {
  Table table;
  CHECK(table.pool
            .Transact(Soon(), {.name = "test"},
                      [](Transaction& tx) -> absl::Status {
                        SALDO_RETURN_IF_ERROR(tx.Query(kInsert, int64_t{1}).status());
                        return tx.Defer(kInsert, int64_t{2});
                      })
            .ok());
  CHECK(table.Count() == 2);
  CHECK(table.pool
            .Transact(Soon(), {.name = "test"},
                      [](Transaction& tx) -> absl::Status {
                        SALDO_RETURN_IF_ERROR(tx.Query(kInsert, int64_t{3}).status());
                        return absl::FailedPreconditionError("a rule");
                      })
            .code() == absl::StatusCode::kFailedPrecondition);
  CHECK(table.Count() == 2);
  // A deferred statement fails the transaction with its own error.
  const absl::Status status =
      table.pool.Transact(Soon(), {.name = "test"}, [](Transaction& tx) -> absl::Status {
        SALDO_RETURN_IF_ERROR(tx.Query(kInsert, int64_t{4}).status());
        return tx.Defer(kInsert, int64_t{1});
      });
  CHECK(status.code() == absl::StatusCode::kAlreadyExists);
  CHECK(table.Count() == 2);
  CHECK(table.pool.Transact(Soon(), {.name = "test"}, [](Transaction&) { return absl::OkStatus(); })
            .ok());
}

TEST_CASE("a read-only transaction sees one snapshot and may not write") {
  Table table;
  const TransactionOptions options{
      .name = "test", .isolation = Isolation::kRepeatableRead, .read_only = true};
  CHECK(table.pool
            .Transact(Soon(), options,
                      [&](Transaction& tx) -> absl::Status {
                        SALDO_RETURN_IF_ERROR(tx.Query(kCount).status());
                        CHECK(table.connection->Query(Soon(), kInsert, int64_t{1}).ok());
                        SALDO_ASSIGN_OR_RETURN(Result result, tx.Query(kCount));
                        CHECK(std::get<0>(std::move(result).One<int64_t>().value()) == 0);
                        return absl::OkStatus();
                      })
            .ok());
  CHECK_FALSE(table.pool
                  .Transact(Soon(), {.name = "test", .read_only = true, .max_attempts = 1},
                            [](Transaction& tx) { return tx.Query(kInsert, int64_t{9}).status(); })
                  .ok());
}

TEST_CASE("transactions that deadlock are run again until each has committed") {
  Table table;
  REQUIRE(table.connection->ExecuteScript(Soon(), "INSERT INTO t (id) VALUES (1), (2)").ok());
  constexpr Statement kBump{"test.bump", "UPDATE t SET n = n + 1 WHERE id = $1"};
  constexpr int kRounds = 20;
  const auto run = [&](int64_t first, int64_t second) {
    for (int i = 0; i < kRounds; ++i) {
      const absl::Status status = table.pool.Transact(
          CallContext::WithTimeout(absl::Seconds(60)), {.name = "test", .max_attempts = 50},
          [&](Transaction& tx) -> absl::Status {
            SALDO_RETURN_IF_ERROR(tx.Query(kBump, first).status());
            return tx.Query(kBump, second).status();
          });
      if (!status.ok()) throw std::runtime_error(status.ToString());
    }
  };
  table.database.Query("ALTER SYSTEM SET deadlock_timeout = '10ms'");
  table.database.Query("SELECT pg_reload_conf()");
  {
    const runtime::Thread other("other", [&] { run(2, 1); });
    run(1, 2);
  }
  constexpr Statement kSum{"test.sum", "SELECT sum(n)::int8 FROM t"};
  CHECK(std::get<0>(
            std::move(table.connection->Query(Soon(), kSum).value()).One<int64_t>().value()) ==
        4 * kRounds);
}

TEST_CASE("a connection that dies before COMMIT costs a retry, not a failure") {
  Table table;
  int runs = 0;
  CHECK(table.pool
            .Transact(Soon(), {.name = "test"},
                      [&](Transaction& tx) -> absl::Status {
                        SALDO_RETURN_IF_ERROR(tx.Query(kInsert, int64_t{7}).status());
                        if (++runs == 1) {
                          table.database.Query(
                              "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE state "
                              "= 'idle in transaction' AND datname = current_database()");
                        }
                        return absl::OkStatus();
                      })
            .ok());
  CHECK(runs == 2);
  CHECK(table.Count() == 1);
}

// The deferred constraint trigger runs inside COMMIT. It waits there, and the test kills the
// backend before or after the transaction has become durable: the server's own record of the
// transaction decides, and the caller hears the truth.
TEST_CASE("a COMMIT whose answer is lost is looked up") {
  Table table;
  REQUIRE(table.connection
              ->ExecuteScript(
                  Soon(),
                  "CREATE FUNCTION wait_in_commit() RETURNS trigger LANGUAGE plpgsql AS $$"
                  "BEGIN IF NEW.id = 1 THEN PERFORM pg_sleep(20); END IF; RETURN NULL; END $$;"
                  "CREATE CONSTRAINT TRIGGER waits AFTER INSERT ON t DEFERRABLE INITIALLY DEFERRED"
                  " FOR EACH ROW EXECUTE FUNCTION wait_in_commit()")
              .ok());
  int runs = 0;
  const runtime::Thread killer("killer", [&] {
    const std::string in_commit =
        "SELECT count(*) FROM pg_stat_activity WHERE query = 'COMMIT' AND wait_event = 'PgSleep' "
        "AND datname = current_database()";
    testing::Eventually(absl::Seconds(10), [&] { return table.database.Query(in_commit) != "0"; });
    table.database.Query(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND "
        "datname = current_database()");
  });
  // The first run dies inside COMMIT and is found to be aborted, so the closure runs again, and
  // then inserts another row.
  const absl::Status status =
      table.pool.Transact(Soon(), {.name = "test"}, [&](Transaction& tx) -> absl::Status {
        ++runs;
        return tx.Query(kInsert, int64_t{runs}).status();
      });
  INFO(status.ToString());
  CHECK(status.ok());
  CHECK(runs == 2);
  CHECK(table.Count() == 1);
}

TEST_CASE("the fate of a transaction is known, unless a crash may have given its id to another") {
  const testing::TempDir folder;
  auto cluster = devstack::PostgresCluster::Start({.dir = folder.path(), .durable = false});
  REQUIRE(cluster.ok());
  const std::string dsn = (*cluster)->dsn("postgres");
  auto connection = Connect(dsn);
  REQUIRE(connection->ExecuteScript(Soon(), "CREATE TABLE t (id bigint PRIMARY KEY)").ok());

  std::optional<TransactionIdentity> committed, rolled_back;
  REQUIRE(RunTransaction(
              *connection, Soon(), {.name = "test"},
              [](Transaction& tx) { return tx.Query(kInsert, int64_t{1}).status(); }, &committed)
              .ok());
  REQUIRE_FALSE(RunTransaction(
                    *connection, Soon(), {.name = "test"},
                    [](Transaction& tx) { return tx.Query(kInsert, int64_t{1}).status(); },
                    &rolled_back)
                    .ok());
  // The failed round trip answered nothing, so of this one no id is known, and none is needed.
  CHECK_FALSE(rolled_back.has_value());
  REQUIRE(committed.has_value());
  CHECK(FateOf(*connection, Soon(), *committed).value() == Fate::kCommitted);
  CHECK(FateOf(*connection, Soon(), {committed->xid + 1'000'000, committed->server_incarnation})
            .value() == Fate::kRolledBack);

  (*cluster)->Stop();
  REQUIRE((*cluster)->Restart().ok());
  connection = Connect(dsn);
  CHECK(FateOf(*connection, Soon(), *committed).value() == Fate::kCommitted);

  (*cluster)->Kill();
  REQUIRE((*cluster)->Restart().ok());
  connection = Connect(dsn);
  CHECK(FateOf(*connection, Soon(), *committed).value() == Fate::kUnknown);
}

}  // namespace saldo::postgres
