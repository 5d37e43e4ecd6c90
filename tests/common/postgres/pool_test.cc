#include "common/postgres/pool.h"

#include <catch2/catch.hpp>

#include "common/base/status_macros.h"
#include "common/postgres/error.h"
#include "common/runtime/thread.h"
#include "tests/common/postgres/postgres_test_util.h"
#include "tests/support/capture_log.h"
#include "tests/support/test_env.h"

namespace saldo::postgres {
namespace {

constexpr Statement kOne{"test.one", "SELECT 1"};

PoolOptions Options(const std::string& dsn, int max_connections) {
  return {.connection = {.dsn = dsn},
          .max_connections = max_connections,
          .acquire_timeout = absl::Milliseconds(200)};
}

}  // namespace

TEST_CASE("lines of the log about a pool's work name its shard") {
  constexpr Statement kWarn{"test.warn", "DO $$ BEGIN RAISE WARNING 'beware'; END $$"};
  const testing::TestDatabase database;
  metrics::Registry registry;
  PoolOptions options = Options(database.dsn(), 1);
  options.shard = "north";
  Pool pool(options, registry);
  testing::CaptureLog capture;
  CHECK(pool.Read(Soon(), kWarn).ok());
  CHECK(pool.Transact(Soon(), {.name = "test"},
                      [&](Transaction& tx) { return tx.Query(kWarn).status(); })
            .ok());
  const std::string log = capture.Text();
  CAPTURE(log);
  CHECK(testing::CountOf(log, "notice=beware shard=north\n") == 2);
}

TEST_CASE("a starved pool refuses in time, serves in turn, and never exceeds its bound") {
  const testing::TestDatabase database;
  metrics::Registry registry;
  Pool pool(Options(database.dsn(), 2), registry);
  {
    auto first = pool.Acquire(Soon());
    auto second = pool.Acquire(Soon());
    REQUIRE(first.ok());
    REQUIRE(second.ok());
    REQUIRE((*first)->Query(Soon(), kOne).ok());
    const absl::Time start = absl::Now();
    CHECK(pool.Acquire(Soon()).status().code() == absl::StatusCode::kResourceExhausted);
    CHECK(absl::Now() - start >= absl::Milliseconds(200));
    CHECK(pool.Acquire(CallContext::WithTimeout(absl::Milliseconds(20))).status().code() ==
          absl::StatusCode::kDeadlineExceeded);
    CancelFlag cancelled;
    cancelled.Cancel();
    CHECK(pool.Acquire(CallContext(absl::InfiniteFuture(), &cancelled)).status().code() ==
          absl::StatusCode::kCancelled);
  }
  constexpr int kThreads = 16, kRounds = 50;
  std::atomic<int> served{0};
  {
    std::vector<runtime::Thread> threads;
    for (int i = 0; i < kThreads; ++i) {
      threads.emplace_back("caller", [&] {
        for (int round = 0; round < kRounds; ++round) {
          if (pool.Read(Soon(), kOne).ok()) ++served;
        }
      });
    }
  }
  CHECK(served == kThreads * kRounds);
  CHECK(database.Query("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
                       "AND pid <> pg_backend_pid()") == "2");
  CHECK(registry.Text().find("saldo_postgres_pool_timeouts_total{pool=\"calls\"} 1") !=
        std::string::npos);
}

TEST_CASE("a gate that is closed is answered at once, and does not end what runs") {
  const testing::TestDatabase database;
  metrics::Registry registry;
  std::atomic<bool> open{true};
  PoolOptions options{.connection = {.dsn = database.dsn()}};
  options.gate = [&open] {
    return open ? absl::OkStatus() : absl::UnavailableError("known to be away");
  };
  Pool pool(options, registry);
  {
    const auto lease = pool.Acquire(Soon());
    REQUIRE(lease.ok());
    open = false;
    CHECK((*lease)->Query(Soon(), kOne).ok());
    CHECK(pool.Read(Soon(), kOne).status().message() == "known to be away");
    CHECK(pool.Transact(Soon(), {.name = "test"}, [](Transaction&) { return absl::OkStatus(); })
              .message() == "known to be away");
  }
  open = true;
  CHECK(pool.Read(Soon(), kOne).ok());
}

TEST_CASE("a pool survives the death and return of its server") {
  const testing::TempDir folder;
  auto cluster = devstack::PostgresCluster::Start({.dir = folder.path(), .durable = false});
  REQUIRE(cluster.ok());
  metrics::Registry registry;
  Pool pool(Options((*cluster)->dsn("postgres"), 4), registry);
  REQUIRE(pool.Ping(Soon()).ok());
  (*cluster)->Kill();
  CHECK(pool.Ping(Soon()).code() == absl::StatusCode::kUnavailable);
  REQUIRE((*cluster)->Restart().ok());
  CHECK(pool.Ping(Soon()).ok());
}

TEST_CASE("a transaction waits out a server's restart") {
  const testing::TempDir folder;
  auto cluster = devstack::PostgresCluster::Start({.dir = folder.path(), .durable = false});
  REQUIRE(cluster.ok());
  metrics::Registry registry;
  Pool pool(Options((*cluster)->dsn("postgres"), 4), registry);
  bool killed = false;
  const absl::Status status =
      pool.Transact(CallContext::WithTimeout(absl::Seconds(60)),
                    {.name = "test", .max_attempts = 1000}, [&](Transaction& tx) -> absl::Status {
                      SALDO_RETURN_IF_ERROR(tx.Query(kOne).status());
                      if (!std::exchange(killed, true)) {
                        (*cluster)->Kill();
                        if (absl::Status restarted = (*cluster)->Restart(); !restarted.ok())
                          throw std::runtime_error(restarted.ToString());
                      }
                      return absl::OkStatus();
                    });
  CHECK(status.ok());
  CHECK(killed);
}

TEST_CASE("a closed pool refuses at once, waiters included") {
  const testing::TestDatabase database;
  metrics::Registry registry;
  PoolOptions options = Options(database.dsn(), 1);
  options.acquire_timeout = absl::Seconds(30);
  Pool pool(options, registry);
  auto lease = pool.Acquire(Soon());
  REQUIRE(lease.ok());
  absl::Status waiter;
  {
    const runtime::Thread waiting("waiter", [&] { waiter = pool.Acquire(Soon()).status(); });
    // The waiter may come before or after the close: both end the same way.
    pool.Close();
  }
  CHECK(waiter.code() == absl::StatusCode::kUnavailable);
  CHECK(pool.Acquire(Soon()).status().code() == absl::StatusCode::kUnavailable);
}

TEST_CASE("statements are measured by name") {
  const testing::TestDatabase database;
  metrics::Registry registry;
  Pool pool(Options(database.dsn(), 1), registry);
  REQUIRE(pool.Read(Soon(), kOne).ok());
  CHECK(registry.Text().find("saldo_postgres_statement_seconds_count{statement=\"test.one\"} 1") !=
        std::string::npos);
}

}  // namespace saldo::postgres
