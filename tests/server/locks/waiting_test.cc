// Calls of LockService.Acquire that wait.
#include "server/locks/waiting.h"

#include <atomic>
#include <catch2/catch.hpp>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "common/runtime/thread.h"
#include "tests/server/account_requests.h"
#include "tests/server/locks/lock_client.h"
#include "tests/server/locks/resting_write.h"
#include "tests/server/test_app.h"
#include "tests/support/test_env.h"

namespace saldo::server {
namespace {

struct LockApp : TestApp {
  LockApp() : LockApp([](ServerConfig&) {}) {}
  template <typename Change>
  explicit LockApp(Change change) : TestApp(change) {}

  LockClient locks{channel};
};

// A second server on the database of the first.
struct OtherServer {
  explicit OtherServer(const LockApp& first) : app(LoopbackConfig(first.database.dsn())) {
    const absl::Status status = app.Start();
    if (!status.ok()) throw std::runtime_error(status.ToString());
    locks.emplace(ChannelTo(app.grpc_port()));
  }
  App app;
  std::optional<LockClient> locks;
};

constexpr absl::Duration kLong = absl::Seconds(25);

}  // namespace

TEST_CASE("who waits gets the lock when it is given back, or when it expires") {
  LockApp app;
  const auto held = app.locks.Acquire({.owner = "a"});
  REQUIRE(held.ok());
  Waiter b(app.locks, {.owner = "b", .ttl = absl::Milliseconds(300), .wait = kLong});
  REQUIRE(app.locks.Waits(1));
  CHECK(testing::Eventually(kPatience, [&] { return app.Metric("saldo_locks_waiting") == "1"; }));
  const absl::Time released = absl::Now();
  REQUIRE(app.locks.Release(*held).ok());
  const auto second = b.Join();
  REQUIRE(second.ok());
  CHECK(*second > *held);
  Waiter c(app.locks, {.owner = "c", .wait = kLong});
  const auto third = c.Join();
  REQUIRE(third.ok());
  CHECK(*third > *second);
  // Neither signal nor expiry was left to the poll.
  CHECK(absl::Now() - released < absl::Seconds(4));
  CHECK(app.Metric("saldo_locks_waiting") == "0");
  CHECK(app.Metric("saldo_locks_wait_seconds_count") == "2");
  CHECK(app.database.Query("SELECT count(*) FROM lock_waiters") == "0");
}

TEST_CASE("a renewal that shortens a grant moves those who wait") {
  LockApp app;
  const auto held = app.locks.Acquire({.owner = "a", .ttl = absl::Hours(1)});
  REQUIRE(held.ok());
  Waiter b(app.locks, {.owner = "b", .wait = kLong});
  REQUIRE(app.locks.Waits(1));
  REQUIRE(app.locks.Renew(*held, absl::Milliseconds(200)).ok());
  CHECK(b.Join().ok());
  CHECK(b.took < absl::Seconds(4));
}

TEST_CASE("a wait ends with the reason, before the deadline of its call") {
  LockApp app;
  REQUIRE(app.locks.Acquire({.owner = "a"}).ok());
  Waiter b(app.locks, {.owner = "b", .wait = absl::Milliseconds(300)});
  CHECK(ReasonOf(b.Join().status()) == "LOCK_HELD");
  CHECK(b.took >= absl::Milliseconds(300));
  Waiter c(app.locks, {.owner = "c", .wait = absl::Seconds(50)}, absl::Seconds(2));
  CHECK(ReasonOf(c.Join().status()) == "LOCK_HELD");
  CHECK(app.locks.Waits(0));
  CHECK(app.Metric("saldo_locks_refused_total{reason=\"LOCK_HELD\"}") == "2");
}

TEST_CASE("a call that is cancelled leaves the queue, and who came behind it moves up") {
  LockApp app;
  const auto held = app.locks.Acquire({.owner = "a", .mode = kShared});
  REQUIRE(held.ok());
  Waiter writer(app.locks, {.owner = "b", .wait = kLong});
  REQUIRE(app.locks.Waits(1));
  Waiter reader(app.locks, {.owner = "c", .mode = kShared, .wait = kLong});
  REQUIRE(app.locks.Waits(2));
  // A shared one without patience is not let past, either.
  CHECK(ReasonOf(app.locks.Acquire({.owner = "d", .mode = kShared}).status()) == "LOCK_QUEUED");
  writer.context.TryCancel();
  CHECK(writer.Join().status().code() == absl::StatusCode::kCancelled);
  CHECK(reader.Join().ok());
  CHECK(reader.took < absl::Seconds(4));
  CHECK(app.locks.Get().holders_size() == 2);
}

TEST_CASE("locks that slow writes still rely on do not hold up who waits for another") {
  LockApp app;
  const auto held = app.locks.Acquire({.owner = "a"});
  REQUIRE(held.ok());
  std::vector<std::unique_ptr<Waiter>> slow;
  for (int client = 11; client <= 18; ++client) {
    REQUIRE(app.locks.Acquire({.owner = "a", .ttl = absl::Minutes(1), .client = client}).ok());
    slow.push_back(std::make_unique<Waiter>(
        app.locks, Ask{.owner = "b", .wait = kLong, .client = client}, kPatience));
  }
  Waiter b(app.locks, {.owner = "b", .wait = kLong});
  const auto waiting = [&] { return app.Metric("saldo_locks_waiting") == "9"; };
  REQUIRE(testing::Eventually(kPatience, waiting));
  testing::RestingWrite write(app.database, "key <> '1'");
  app.database.Query(
      "UPDATE lock_holders SET expires_at = clock_timestamp() WHERE key <> '1'; "
      "SELECT pg_notify('saldo_locks', type || E'\\x1f' || key) FROM locks WHERE key <> '1'");
  CHECK(testing::SessionsWait(app.database, 0));
  const absl::Time released = absl::Now();
  REQUIRE(app.locks.Release(*held).ok());
  CHECK(b.Join().ok());
  CHECK(absl::Now() - released < absl::Seconds(4));
  CHECK(app.Metric("saldo_locks_waiting") == "8");
  CHECK(app.database.Query("SELECT DISTINCT owner FROM lock_holders WHERE key <> '1'") == "a");
  const absl::Time ended = absl::Now();
  write.End();
  for (const auto& waiter : slow) CHECK(waiter->Join().ok());
  CHECK(absl::Now() - ended < absl::Seconds(4));
}

TEST_CASE("two servers wait for one lock, in one queue") {
  LockApp first;
  OtherServer second(first);
  const auto held = first.locks.Acquire({.owner = "a"});
  REQUIRE(held.ok());
  Waiter b(*second.locks, {.owner = "b", .wait = kLong});
  REQUIRE(first.locks.Waits(1));
  Waiter c(first.locks, {.owner = "c", .wait = kLong});
  REQUIRE(first.locks.Waits(2));
  Waiter d(*second.locks, {.owner = "d", .wait = kLong});
  REQUIRE(first.locks.Waits(3));
  const absl::Time released = absl::Now();
  REQUIRE(second.locks->Release(*held).ok());
  const auto token_b = b.Join();
  REQUIRE(token_b.ok());
  REQUIRE(first.locks.Release(*token_b).ok());
  const auto token_c = c.Join();
  REQUIRE(token_c.ok());
  REQUIRE(first.locks.Release(*token_c).ok());
  const auto token_d = d.Join();
  REQUIRE(token_d.ok());
  CHECK(*token_b < *token_c);
  CHECK(*token_c < *token_d);
  CHECK(absl::Now() - released < absl::Seconds(4));
}

TEST_CASE("the place of a server that died blocks for its lease only") {
  LockApp app;
  app.database.Query(
      "INSERT INTO lock_waiters SELECT 'client_lock', '1', nextval('lock_waiter_ids'), 'dead', "
      "true, clock_timestamp() + interval '1 second', clock_timestamp() + interval '1 minute'");
  CHECK(ReasonOf(app.locks.Acquire({.owner = "a"}).status()) == "LOCK_QUEUED");
  Waiter a(app.locks, {.owner = "a", .wait = kLong});
  CHECK(a.Join().ok());
  CHECK(a.took < absl::Seconds(4));
}

TEST_CASE("a place is kept for longer than its lease, and got again when it was lost") {
  LockApp app;
  const auto held = app.locks.Acquire({.owner = "a"});
  REQUIRE(held.ok());
  Waiter b(app.locks, {.owner = "b", .wait = kLong});
  REQUIRE(app.locks.Waits(1));
  const std::string lease = "SELECT lease_until FROM lock_waiters";
  const std::string before = app.database.Query(lease);
  CHECK(testing::Eventually(kPatience, [&] { return app.database.Query(lease) != before; }));
  app.database.Query("DELETE FROM lock_waiters");
  // The poll finds out.
  REQUIRE(app.locks.Waits(1));
  REQUIRE(app.locks.Release(*held).ok());
  CHECK(b.Join().ok());
}

TEST_CASE("so many calls may wait and no more, and a stop waits for none of them") {
  LockApp app([](ServerConfig& config) { config.locks.waiting_max = 1; });
  REQUIRE(app.locks.Acquire({.owner = "a"}).ok());
  Waiter b(app.locks, {.owner = "b", .wait = kLong});
  REQUIRE(app.locks.Waits(1));
  const absl::Status full = app.locks.Acquire({.owner = "c", .wait = kLong}).status();
  CHECK(full.code() == absl::StatusCode::kResourceExhausted);
  google::rpc::RetryInfo retry;
  CHECK(rpc::GetDetail(full, &retry));
  // A free lock needs no seat.
  CHECK(app.locks.Acquire({.owner = "c", .wait = kLong, .client = 2}).ok());
  const absl::Time stopped = absl::Now();
  app.app.Stop();
  CHECK(b.Join().status().code() == absl::StatusCode::kUnavailable);
  CHECK(absl::Now() - stopped < absl::Seconds(5));
  CHECK(app.database.Query("SELECT count(*) FROM lock_waiters") == "0");
}

TEST_CASE("of many callers one at a time has an exclusive lock, and all get their turn") {
  LockApp app;
  OtherServer other(app);
  constexpr int kCallers = 6;
  constexpr int kTurns = 8;
  std::atomic<int> inside = 0, overlaps = 0, turns = 0;
  std::atomic<int64_t> last_token = 0;
  {
    std::vector<runtime::Thread> callers;
    for (int i = 0; i < kCallers; ++i) {
      callers.emplace_back("caller", [&, i] {
        const LockClient& locks = i % 2 == 0 ? app.locks : *other.locks;
        for (int turn = 0; turn < kTurns; ++turn) {
          const auto token =
              locks.Acquire({.owner = "caller-" + std::to_string(i), .wait = absl::Seconds(28)});
          if (!token.ok()) continue;
          if (inside.fetch_add(1) != 0) ++overlaps;
          if (last_token.exchange(*token) >= *token) ++overlaps;
          ++turns;
          inside.fetch_sub(1);
          locks.Release(*token).IgnoreError();
        }
      });
    }
  }
  CHECK(turns == kCallers * kTurns);
  CHECK(overlaps == 0);
}

TEST_CASE("shared callers who come again and again do not starve an exclusive one") {
  LockApp app;
  std::atomic<bool> done = false;
  std::atomic<int> readers = 0, writers = 0, overlaps = 0, reads = 0;
  std::vector<runtime::Thread> callers;
  for (int i = 0; i < 4; ++i) {
    callers.emplace_back("reader", [&, i] {
      while (!done) {
        const auto token = app.locks.Acquire(
            {.owner = "reader-" + std::to_string(i), .mode = kShared, .wait = absl::Seconds(20)});
        if (!token.ok()) continue;
        ++readers;
        if (writers != 0) ++overlaps;
        ++reads;
        --readers;
        app.locks.Release(*token).IgnoreError();
      }
    });
  }
  CHECK(testing::Eventually(kPatience, [&] { return reads > 8; }));
  int granted = 0;
  for (int i = 0; i < 5; ++i) {
    const auto token = app.locks.Acquire({.owner = "writer", .wait = absl::Seconds(20)});
    if (!token.ok()) continue;
    ++granted;
    ++writers;
    if (readers != 0) ++overlaps;
    --writers;
    app.locks.Release(*token).IgnoreError();
  }
  done = true;
  callers.clear();
  CHECK(granted == 5);
  CHECK(overlaps == 0);
}

}  // namespace saldo::server
