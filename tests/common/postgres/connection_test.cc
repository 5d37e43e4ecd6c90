#include "common/postgres/connection.h"

#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "common/devstack/postgres_cluster.h"
#include "common/postgres/error.h"
#include "common/runtime/thread.h"
#include "tests/common/postgres/postgres_test_util.h"
#include "tests/support/hung_server.h"
#include "tests/support/test_env.h"

namespace saldo::postgres {
namespace {

constexpr Statement kOne{"test.one", "SELECT 1"};
constexpr Statement kSleep{"test.sleep", "SELECT pg_sleep($1)"};
constexpr Statement kInsert{"test.insert", "INSERT INTO t (id) VALUES ($1)"};
constexpr Statement kCount{"test.count", "SELECT count(*) FROM t"};

int64_t Count(Connection& connection) {
  auto row = std::move(connection.Query(Soon(), kCount).value()).One<int64_t>();
  return std::get<0>(row.value());
}

}  // namespace

TEST_CASE("a pipeline answers in order, in one round trip") {
  const auto connection = Connect(testing::TestPostgres().dsn("postgres"));
  constexpr Statement kEcho{"test.echo_number", "SELECT $1::int8"};
  for (int64_t i = 0; i < static_cast<int64_t>(Connection::kPipelineDepth); ++i) {
    REQUIRE(connection->Queue(kEcho, Params::Of(i)).ok());
  }
  CHECK(connection->Queue(kEcho, Params::Of(int64_t{0})).code() ==
        absl::StatusCode::kResourceExhausted);
  auto results = connection->Flush(Soon());
  REQUIRE(results.ok());
  REQUIRE(results->size() == Connection::kPipelineDepth);
  for (size_t i = 0; i < results->size(); ++i) {
    CHECK(std::get<0>(std::move((*results)[i]).One<int64_t>().value()) == static_cast<int64_t>(i));
  }
}

TEST_CASE("a connection string that cannot be read is not shown") {
  for (const char* dsn : {"host=localhost password=se cret", "dbname=x nonsense=cret",
                          "postgresql://user:cret@host:port:1/x?y"}) {
    const absl::Status status = Connection::Open({.dsn = dsn}, Soon()).status();
    INFO(status.ToString());
    CHECK(status.code() == absl::StatusCode::kInvalidArgument);
    CHECK(status.message().find("cret") == std::string_view::npos);
  }
}

TEST_CASE("answers larger than every buffer do not block the sending of more") {
  const auto connection = Connect(testing::TestPostgres().dsn("postgres"));
  constexpr Statement kLarge{"test.large", "SELECT repeat('x', 4000000) || left($1, 1)"};
  const std::string argument(2'000'000, 'y');
  for (int i = 0; i < 8; ++i) REQUIRE(connection->Queue(kLarge, Params::Of(argument)).ok());
  auto results = connection->Flush(Soon());
  REQUIRE(results.ok());
  CHECK(results->size() == 8);
}

TEST_CASE("a bad row in a pipeline undoes the whole of it, and the connection works on") {
  const testing::TestDatabase database;
  const auto connection = Connect(database.dsn());
  REQUIRE(connection->ExecuteScript(Soon(), "CREATE TABLE t (id bigint PRIMARY KEY)").ok());
  for (const int64_t id : {1, 2, 2, 3}) REQUIRE(connection->Queue(kInsert, Params::Of(id)).ok());
  const absl::Status status = connection->Flush(Soon()).status();
  CHECK(status.code() == absl::StatusCode::kAlreadyExists);
  CHECK(SqlState(status) == "23505");
  CHECK(ConstraintName(status) == "t_pkey");
  CHECK(connection->Usable());
  CHECK(Count(*connection) == 0);
  CHECK(connection->Query(Soon(), kInsert, int64_t{2}).ok());
  CHECK(Count(*connection) == 1);
}

TEST_CASE("a statement that cannot be prepared is prepared anew at the next try") {
  const testing::TestDatabase database;
  const auto connection = Connect(database.dsn());
  CHECK(SqlState(connection->Query(Soon(), kCount).status()) == "42P01");
  REQUIRE(connection->ExecuteScript(Soon(), "CREATE TABLE t (id bigint PRIMARY KEY)").ok());
  // Its Prepare is aborted by the error before it, so it must not be taken for prepared.
  constexpr Statement kBad{"test.divide", "SELECT 1 / ($1::int8 - $1::int8)"};
  REQUIRE(connection->Queue(kBad, Params::Of(int64_t{1})).ok());
  REQUIRE(connection->Queue(kInsert, Params::Of(int64_t{1})).ok());
  CHECK(SqlState(connection->Flush(Soon()).status()) == "22012");
  CHECK(connection->Query(Soon(), kInsert, int64_t{1}).ok());
  CHECK(Count(*connection) == 1);
}

TEST_CASE("the deadline ends a statement, on the server too, and the connection works on") {
  const auto connection = Connect(testing::TestPostgres().dsn("postgres"));
  REQUIRE(connection->Query(Soon(), kOne).ok());
  const absl::Time start = absl::Now();
  const absl::Status status =
      connection->Query(CallContext::WithTimeout(absl::Milliseconds(150)), kSleep, 10.0).status();
  CHECK(status.code() == absl::StatusCode::kDeadlineExceeded);
  CHECK(absl::Now() - start < absl::Seconds(2));
  CHECK(connection->Usable());
  CHECK(connection->Query(Soon(), kOne).ok());
  CHECK(connection->Query(CallContext(absl::InfinitePast()), kOne).status().code() ==
        absl::StatusCode::kDeadlineExceeded);
}

TEST_CASE("the server's statement_timeout follows the deadline of the call") {
  const auto connection = Connect(testing::TestPostgres().dsn("postgres"));
  constexpr Statement kTimeout{"test.timeout", "SELECT current_setting('statement_timeout')"};
  const auto timeout = [&](absl::Duration remaining) {
    return std::get<0>(
        std::move(connection->Query(CallContext::WithTimeout(remaining), kTimeout).value())
            .One<std::string>()
            .value());
  };
  CHECK(timeout(absl::Seconds(4)) == "5s");
  CHECK(timeout(absl::Seconds(20)) == "20s");
  CHECK(timeout(absl::Hours(1)) == "30s");
  CHECK(timeout(absl::Seconds(4)) == "5s");
}

TEST_CASE("a script may take as long as its context says, and the session is as before") {
  auto opened = Connection::Open(
      {.dsn = testing::TestPostgres().dsn("postgres"), .statement_timeout = absl::Milliseconds(50)},
      Soon());
  REQUIRE(opened.ok());
  Connection& connection = **opened;
  CHECK(connection.ExecuteScript(Soon(), "SELECT pg_sleep(0.3); SELECT 1").ok());
  CHECK(connection.Query(Soon(), kSleep, 0.3).status().code() ==
        absl::StatusCode::kDeadlineExceeded);
  CHECK(connection.Query(Soon(), kOne).ok());
  CHECK_FALSE(
      connection
          .ExecuteScript(CallContext::WithTimeout(absl::Milliseconds(100)), "SELECT pg_sleep(20)")
          .ok());
}

TEST_CASE("a cancelled call ends its statement") {
  const auto connection = Connect(testing::TestPostgres().dsn("postgres"));
  CancelFlag flag;
  const absl::Time start = absl::Now();
  const runtime::Thread canceller("canceller", [&] {
    testing::Eventually(absl::Seconds(10), [&] {
      return testing::TestPostgres()
                 .Query("postgres",
                        "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%'")
                 .value() != "0";
    });
    flag.Cancel();
  });
  const absl::Status status =
      connection->Query(CallContext(absl::Now() + absl::Seconds(30), &flag), kSleep, 25.0).status();
  CHECK(status.code() == absl::StatusCode::kCancelled);
  CHECK(absl::Now() - start < absl::Seconds(15));
  CHECK(connection->Query(Soon(), kOne).ok());
}

TEST_CASE("a killed backend is a lost connection, seen even while idle") {
  const testing::TestDatabase database;
  const auto idle = Connect(database.dsn());
  const auto busy = Connect(database.dsn());
  REQUIRE(busy->Queue(kSleep, Params::Of(20.0)).ok());
  const runtime::Thread killer("killer", [&] {
    const std::string asleep = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
    testing::Eventually(absl::Seconds(10), [&] { return database.Query(asleep) != "0"; });
    database.Query(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
        "AND pid <> pg_backend_pid()");
  });
  const absl::Status status = busy->Flush(Soon()).status();
  CHECK(status.code() == absl::StatusCode::kUnavailable);
  CHECK(IsRetryable(status));
  CHECK(testing::Eventually(absl::Seconds(10), [&] { return !idle->Usable(); }));
  CHECK(IsConnectionLost(idle->Query(Soon(), kOne).status()));
}

// What a hung server, or a network that swallows packets, looks like: somebody takes the
// connections, and nobody answers.
TEST_CASE("a server that hangs holds no caller for long") {
  testing::TempDir folder;
  auto cluster = devstack::PostgresCluster::Start({.dir = folder.path(), .durable = false});
  REQUIRE(cluster.status() == absl::OkStatus());
  const auto connection = Connect((*cluster)->dsn("postgres"));
  ConnectionOptions options{.dsn = (*cluster)->dsn("postgres")};
  options.cancels = false;
  auto watch = Connection::Open(options, Soon());
  REQUIRE(watch.ok());
  testing::HungServer hung(**cluster, folder.path());
  const auto ask = [](Connection& asked) {
    const absl::Time start = absl::Now();
    const absl::Status status =
        asked.Query(CallContext::WithTimeout(absl::Milliseconds(100)), kOne).status();
    return std::pair(status, absl::Now() - start);
  };
  const auto [lost, took] = ask(*connection);
  const auto [watched, watch_took] = ask(**watch);
  hung.Thaw();
  CHECK(IsConnectionLost(lost));
  CHECK(took < absl::Seconds(4));
  CHECK(IsConnectionLost(watched));
  // Less than what it takes to try to cancel, and to wait for the answer: two seconds more.
  CHECK(watch_took < absl::Seconds(2));
}

TEST_CASE("no server is UNAVAILABLE, within the time given") {
  const absl::Time start = absl::Now();
  const auto connection =
      Connection::Open({.dsn = "host=127.0.0.1 port=1 dbname=x user=x"}, Soon());
  CHECK(connection.status().code() == absl::StatusCode::kUnavailable);
  CHECK(absl::Now() - start < absl::Seconds(6));
}

TEST_CASE("a notification ends the wait for it") {
  const testing::TestDatabase database;
  const auto listener = Connect(database.dsn());
  const auto speaker = Connect(database.dsn());
  REQUIRE(listener->Query(Soon(), Statement{"test.listen", "LISTEN news"}).ok());
  CHECK(listener->WaitForNotification(absl::Milliseconds(1)).value() == false);
  REQUIRE(speaker->Query(Soon(), Statement{"test.notify", "NOTIFY news"}).ok());
  CHECK(listener->WaitForNotification(absl::Seconds(10)).value() == true);
  REQUIRE(speaker->Query(Soon(), Statement{"test.tell", "NOTIFY news, 'of today'"}).ok());
  std::vector<std::string> told;
  CHECK(listener->WaitForNotification(absl::Seconds(10), &told).value() == true);
  CHECK(told == std::vector<std::string>{"of today"});
}

}  // namespace saldo::postgres
