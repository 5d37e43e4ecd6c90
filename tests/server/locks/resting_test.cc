// Grants that are over while writes that rest on them are under way: nobody waits for such a write
// but who asked to, and nobody is granted the lock before it ends.
#include <catch2/catch.hpp>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "tests/server/account_requests.h"
#include "tests/server/locks/lock_client.h"
#include "tests/server/locks/resting_write.h"
#include "tests/server/test_app.h"
#include "tests/support/test_env.h"

namespace saldo::server {
namespace {

using testing::RestingWrite;

constexpr absl::Duration kLong = absl::Seconds(25);
// For what must not wait, on a busy machine: it would for 25 seconds and more.
constexpr absl::Duration kAtOnce = absl::Seconds(10);
// For what must be noticed, not left to the poll, which comes every 5 seconds.
constexpr absl::Duration kSoon = absl::Seconds(4);

struct LockApp : TestApp {
  LockClient locks{channel};

  absl::Status WriteWith(const std::string& id, int64_t token) {
    v1::WriteEventsRequest request = Request(id, {Commission(1, "1")});
    *request.add_lock_tokens() = TokenOf(token);
    v1::WriteEventsResponse response;
    return Write(request, &response);
  }
};

}  // namespace

TEST_CASE("a release does not wait for writes that rest on its grant, and the next grant does") {
  LockApp app;
  const auto token = app.locks.Acquire({.owner = "a"});
  REQUIRE(token.ok());
  RestingWrite write(app.database);
  const absl::Time began = absl::Now();
  CHECK(app.locks.Release(*token).ok());
  // It is over for all who ask.
  CHECK(app.locks.Get().holders().empty());
  v1::ListLocksRequest list;
  list.set_type("client_lock");
  v1::ListLocksResponse listed;
  REQUIRE(app.locks.Call(&LockApi::Stub::List, list, &listed).ok());
  CHECK(listed.locks().empty());
  CHECK(ReasonOf(app.locks.Renew(*token, absl::Minutes(1))) == "LOCK_LOST");
  CHECK(ReasonOf(app.WriteWith("late", *token)) == "LOCK_LOST");
  CHECK(app.locks.Release(*token).ok());
  // And in the way of all.
  for (const v1::LockMode mode : {kExclusive, kShared}) {
    const Details held = InfoOf(app.locks.Acquire({.owner = "b", .mode = mode}).status());
    CHECK(held.at("reason") == "LOCK_HELD");
    CHECK(held.at("owner") == "a");
  }
  CHECK(ReasonOf(app.locks.Acquire({.owner = "a"}).status()) == "LOCK_HELD");
  CHECK(absl::Now() - began < kAtOnce);

  Waiter b(app.locks, {.owner = "b", .wait = kLong});
  REQUIRE(app.locks.Waits(1));
  CHECK(testing::SessionsWait(app.database, 0));
  CHECK(app.locks.Get().holders().empty());
  const absl::Time ended = absl::Now();
  write.End();
  const auto next = b.Join();
  REQUIRE(next.ok());
  CHECK(absl::Now() - ended < kSoon);
  CHECK(*next > *token);
  CHECK(app.database.Query("SELECT string_agg(owner, '') FROM lock_holders") == "b");
  // It was released, after all.
  CHECK(app.Metric("saldo_locks_expired_total") == "0");
  CHECK(app.locks.Release(*token).ok());
  CHECK(app.WriteWith("next", *next).ok());
}

TEST_CASE("who waits for a lock that is given back during a write gets it after the write") {
  LockApp app;
  const auto token = app.locks.Acquire({.owner = "a"});
  REQUIRE(token.ok());
  Waiter b(app.locks, {.owner = "b", .wait = kLong});
  REQUIRE(app.locks.Waits(1));
  RestingWrite write(app.database);
  REQUIRE(app.locks.Release(*token).ok());
  CHECK(ReasonOf(app.locks.Acquire({.owner = "c"}).status()) == "LOCK_QUEUED");
  CHECK(app.locks.Waits(1));
  CHECK(app.database.Query("SELECT string_agg(owner, '') FROM lock_holders") == "a");
  const absl::Time ended = absl::Now();
  write.End();
  CHECK(b.Join().ok());
  CHECK(absl::Now() - ended < kSoon);
}

TEST_CASE("a wait that ends before the write is told of it") {
  LockApp app;
  const auto token = app.locks.Acquire({.owner = "a"});
  REQUIRE(token.ok());
  RestingWrite write(app.database);
  REQUIRE(app.locks.Release(*token).ok());
  Waiter b(app.locks, {.owner = "b", .wait = absl::Milliseconds(300)});
  const absl::Status refused = b.Join().status();
  CHECK(ReasonOf(refused) == "LOCK_HELD");
  CHECK_THAT(std::string(refused.message()), Catch::Contains("has not ended"));
  CHECK(b.took >= absl::Milliseconds(300));
  write.End();
  CHECK(app.locks.Acquire({.owner = "b"}).ok());
}

TEST_CASE("a shared grant is in the way of exclusive ones only, also when it is over") {
  LockApp app;
  const auto a = app.locks.Acquire({.owner = "a", .mode = kShared});
  REQUIRE(a.ok());
  RestingWrite write(app.database);
  REQUIRE(app.locks.Release(*a).ok());
  const auto b = app.locks.Acquire({.owner = "b", .mode = kShared});
  REQUIRE(b.ok());
  // Its former owner gets another token.
  const auto again = app.locks.Acquire({.owner = "a", .mode = kShared});
  REQUIRE(again.ok());
  CHECK(*again > *a);
  CHECK(app.locks.Get().holders_size() == 2);
  CHECK(app.WriteWith("b", *b).ok());
  CHECK(ReasonOf(app.WriteWith("a", *a)) == "LOCK_LOST");
  REQUIRE(app.locks.Release(*b).ok());
  REQUIRE(app.locks.Release(*again).ok());
  const Details held = InfoOf(app.locks.Acquire({.owner = "c"}).status());
  CHECK(held.at("reason") == "LOCK_HELD");
  CHECK(held.at("owner") == "a");
  CHECK(held.at("mode") == "shared");
  write.End();
  CHECK(app.locks.Acquire({.owner = "c"}).ok());
  CHECK(app.database.Query("SELECT string_agg(owner, '') FROM lock_holders") == "c");
}

TEST_CASE("locks that slow writes rest on do not hold up calls for another") {
  LockApp app;
  // More than there are workers.
  constexpr int kSlow = 8;
  for (int client = 11; client < 11 + kSlow; ++client)
    REQUIRE(app.locks.Acquire({.owner = "a", .client = client}).ok());
  RestingWrite write(app.database);
  app.database.Query("UPDATE lock_holders SET expires_at = clock_timestamp()");
  std::vector<std::unique_ptr<Waiter>> patient, impatient;
  const absl::Time began = absl::Now();
  for (int client = 11; client < 11 + kSlow; ++client) {
    impatient.push_back(std::make_unique<Waiter>(app.locks, Ask{.owner = "b", .client = client}));
    patient.push_back(
        std::make_unique<Waiter>(app.locks, Ask{.owner = "c", .wait = kLong, .client = client}));
  }
  CHECK(app.locks.Acquire({.owner = "b", .client = 1}).ok());
  CHECK(absl::Now() - began < kAtOnce);
  for (const auto& waiter : impatient) {
    const std::string reason = ReasonOf(waiter->Join().status());
    CHECK((reason == "LOCK_HELD" || reason == "LOCK_QUEUED"));
    CHECK(waiter->took < kAtOnce);
  }
  CHECK(testing::Eventually(kPatience, [&] { return app.Metric("saldo_locks_waiting") == "8"; }));
  CHECK(testing::SessionsWait(app.database, 0));
  const absl::Time asked = absl::Now();
  CHECK(app.locks.Acquire({.owner = "b", .client = 2}).ok());
  CHECK(absl::Now() - asked < kAtOnce);
  write.End();
  for (const auto& waiter : patient) CHECK(waiter->Join().ok());
}

}  // namespace saldo::server
