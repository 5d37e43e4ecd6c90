// LockService of a whole server: grants, their ends, lists, and locks as conditions of writes.
#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/runtime/thread.h"
#include "saldo/v1/task_service.grpc.pb.h"
#include "tests/server/account_requests.h"
#include "tests/server/locks/lock_client.h"
#include "tests/server/locks/resting_write.h"
#include "tests/server/shards/sharded_app.h"
#include "tests/server/test_app.h"
#include "tests/support/test_env.h"

namespace saldo::server {
namespace {

struct LockApp : TestApp {
  LockClient locks{channel};

  absl::Status WriteWith(const std::string& id, const std::vector<v1::LockToken>& tokens,
                         bool dry_run = false) {
    v1::WriteEventsRequest request = Request(id, {Commission(1, "1")});
    for (const v1::LockToken& token : tokens) *request.add_lock_tokens() = token;
    request.set_dry_run(dry_run);
    v1::WriteEventsResponse response;
    return Write(request, &response);
  }
  std::string Events() const { return database.Query("SELECT count(*) FROM events"); }
  // As if its ttl had passed.
  void Expire(int64_t token) const {
    database.Query("UPDATE lock_holders SET expires_at = clock_timestamp() WHERE token = " +
                   std::to_string(token));
  }
};

}  // namespace

TEST_CASE("a lock is taken, seen, taken again, renewed and given back") {
  LockApp app;
  CHECK(app.locks.Get().holders().empty());
  const auto first = app.locks.Acquire({.owner = "a"});
  REQUIRE(first.ok());
  CHECK(*first > 0);
  const v1::GetLockResponse seen = app.locks.Get();
  REQUIRE(seen.holders_size() == 1);
  CHECK(seen.holders(0).owner() == "a");
  CHECK(seen.holders(0).token() == *first);
  CHECK(seen.holders(0).mode() == kExclusive);
  CHECK(seen.holders(0).expires_at().seconds() - seen.holders(0).acquired_at().seconds() == 30);

  const absl::Status refused = app.locks.Acquire({.owner = "b"}).status();
  CHECK(refused.code() == absl::StatusCode::kFailedPrecondition);
  const Details held = InfoOf(refused);
  CHECK(held.at("reason") == "LOCK_HELD");
  CHECK(held.at("lock") == "client_lock{client_id=1}");
  CHECK(held.at("owner") == "a");
  CHECK(held.at("mode") == "exclusive");
  CHECK(held.at("expires_at").size() > 10);
  CHECK(app.locks.Acquire({.owner = "b", .client = 2}).ok());

  CHECK(app.locks.Acquire({.owner = "a", .ttl = absl::Hours(1)}).value() == *first);
  CHECK(app.locks.Get().holders(0).expires_at().seconds() >
        seen.holders(0).expires_at().seconds() + 3'000);
  CHECK(ReasonOf(app.locks.Acquire({.owner = "a", .mode = kShared}).status()) == "LOCK_HELD");
  CHECK(app.locks.Renew(*first, absl::Minutes(1)).ok());

  CHECK(app.locks.Release(*first).ok());
  CHECK(app.locks.Get().holders().empty());
  // The repetition of the latest release is known; the grant is over all the same.
  CHECK(app.locks.Release(*first).ok());
  CHECK(ReasonOf(app.locks.Renew(*first, absl::Minutes(1))) == "LOCK_LOST");
  const auto second = app.locks.Acquire({.owner = "b"});
  REQUIRE(second.ok());
  CHECK(*second > *first);
  CHECK(ReasonOf(app.locks.Release(*second + 1)) == "LOCK_LOST");
  CHECK(app.locks.Release(*first).ok());
  CHECK(app.locks.Get().holders(0).token() == *second);
  CHECK(app.Metric("saldo_locks_granted_total{mode=\"exclusive\"}") == "4");
  CHECK(app.Metric("saldo_locks_refused_total{reason=\"LOCK_HELD\"}") == "2");
}

TEST_CASE("an expired grant is free at once, and its owner has lost it") {
  LockApp app;
  const auto lost = app.locks.Acquire({.owner = "a"});
  REQUIRE(lost.ok());
  app.Expire(*lost);
  CHECK(app.locks.Get().holders().empty());
  CHECK(ReasonOf(app.locks.Renew(*lost, absl::Minutes(1))) == "LOCK_LOST");
  // Also when it asks again.
  const auto next = app.locks.Acquire({.owner = "a"});
  REQUIRE(next.ok());
  CHECK(*next > *lost);
  CHECK(ReasonOf(app.locks.Release(*lost)) == "LOCK_LOST");
  CHECK(app.database.Query("SELECT count(*) FROM lock_holders") == "1");
  CHECK(app.Metric("saldo_locks_expired_total") == "1");
  app.Expire(*next);
  CHECK(ReasonOf(app.locks.Release(*next)) == "LOCK_LOST");
}

TEST_CASE("a ttl counts by the database's clock") {
  LockApp app;
  REQUIRE(app.locks.Acquire({.owner = "a", .ttl = absl::Milliseconds(100)}).ok());
  CHECK(testing::Eventually(kPatience, [&] { return app.locks.Acquire({.owner = "b"}).ok(); }));
}

TEST_CASE("shared owners have a lock together") {
  LockApp app;
  const auto a = app.locks.Acquire({.owner = "a", .mode = kShared});
  const auto b = app.locks.Acquire({.owner = "b", .mode = kShared, .ttl = absl::Minutes(5)});
  REQUIRE((a.ok() && b.ok()));
  CHECK(app.locks.Get().holders_size() == 2);
  const Details held = InfoOf(app.locks.Acquire({.owner = "c"}).status());
  CHECK(held.at("owner") == "b");
  CHECK(held.at("mode") == "shared");
  CHECK(app.locks.Release(*b).ok());
  CHECK(app.locks.Release(*a).ok());
  CHECK(app.locks.Acquire({.owner = "c"}).ok());
}

TEST_CASE("a request that is wrong is told every fault") {
  LockApp app;
  v1::AcquireLockResponse response;
  const auto acquire = [&](const v1::AcquireLockRequest& request) {
    return FieldsOf(app.locks.Call(&LockApi::Stub::Acquire, request, &response));
  };
  v1::AcquireLockRequest request;
  request.set_type("no_lock");
  request.mutable_wait()->set_seconds(61);
  request.mutable_ttl()->set_nanos(99'999'999);
  const Details fields = acquire(request);
  CHECK(fields.size() == 5);
  CHECK(fields.at("type") == "there is no lock type 'no_lock'; there are client_lock");
  CHECK(fields.at("owner") == "must be 1 to 128 printable ASCII characters");
  CHECK(fields.at("mode") == "must be LOCK_MODE_EXCLUSIVE or LOCK_MODE_SHARED");
  CHECK(fields.at("ttl") == "must be from 100ms to 24h");
  CHECK(fields.at("wait") == "must be from 0 to 1m");
  request = ToRequest({.owner = std::string(129, 'x')});
  (*request.mutable_key())["more"] = "1";
  CHECK(acquire(request).size() == 2);
  request = ToRequest({.owner = "a"});
  request.mutable_ttl()->set_seconds(24 * 3600 + 1);
  CHECK(acquire(request).count("ttl") == 1);
  request.mutable_ttl()->set_seconds(-1);
  CHECK(acquire(request).count("ttl") == 1);
  CHECK(FieldsOf(app.locks.Release(0)).count("token") == 1);
  CHECK(FieldsOf(app.locks.Renew(-1, absl::ZeroDuration())).size() == 2);
}

TEST_CASE("held locks are listed page by page") {
  LockApp app;
  for (const int client : {5, 3, 1, 4, 2})
    REQUIRE(app.locks.Acquire({.owner = "a", .mode = kShared, .client = client}).ok());
  REQUIRE(app.locks.Acquire({.owner = "b", .mode = kShared, .client = 3}).ok());
  v1::ListLocksRequest request;
  request.set_type("client_lock");
  request.set_page_size(2);
  std::string seen;
  int pages = 0;
  do {
    v1::ListLocksResponse response;
    REQUIRE(app.locks.Call(&LockApi::Stub::List, request, &response).ok());
    for (const v1::HeldLock& lock : response.locks())
      absl::StrAppend(&seen, lock.key().at("client_id"), lock.holder().owner(), " ");
    request.set_page_token(response.next_page_token());
    // On a page that was read: changes nothing.
    if (++pages == 1) REQUIRE(app.locks.Acquire({.owner = "z", .client = 0}).ok());
  } while (!request.page_token().empty());
  CHECK(seen == "1a 2a 3a 3b 4a 5a ");
  CHECK(pages == 3);
  for (const char* const token : {"x", "MS9vdGhlci8xLw", "MS9jbGllbnRfbG9jay94Lw"}) {
    request.set_page_token(token);
    v1::ListLocksResponse response;
    CHECK(FieldsOf(app.locks.Call(&LockApi::Stub::List, request, &response)).count("page_token"));
  }
}

TEST_CASE("events are written only while their locks hold") {
  LockApp app;
  const auto token = app.locks.Acquire({.owner = "a", .mode = kShared});
  const auto other = app.locks.Acquire({.owner = "a", .client = 2});
  REQUIRE((token.ok() && other.ok()));
  CHECK(app.WriteWith("one", {TokenOf(*token), TokenOf(*other, 2), TokenOf(*token)}).ok());
  CHECK(app.WriteWith("dry", {TokenOf(*token)}, /*dry_run=*/true).ok());
  CHECK(app.Events() == "1");

  REQUIRE(app.locks.Release(*token).ok());
  const absl::Status stale = app.WriteWith("two", {TokenOf(*other, 2), TokenOf(*token)});
  CHECK(stale.code() == absl::StatusCode::kFailedPrecondition);
  const Details info = InfoOf(stale);
  CHECK(info.at("reason") == "LOCK_LOST");
  CHECK(info.at("lock") == "client_lock{client_id=1}");
  CHECK(info.at("token") == std::to_string(*token));
  CHECK(ReasonOf(app.WriteWith("dry", {TokenOf(*token)}, /*dry_run=*/true)) == "LOCK_LOST");
  // The token of another lock is none of this.
  CHECK(ReasonOf(app.WriteWith("three", {TokenOf(*other, 1)})) == "LOCK_LOST");
  app.Expire(*other);
  CHECK(ReasonOf(app.WriteWith("four", {TokenOf(*other, 2)})) == "LOCK_LOST");
  CHECK(app.Events() == "1");
  // What is written stays written: a repetition needs no lock, and a lock is no content.
  CHECK(app.WriteWith("one", {TokenOf(*token)}).ok());
  CHECK(app.WriteWith("one", {}).ok());
  CHECK(app.WriteWith("two", {}).ok());
  CHECK(app.Events() == "2");

  CHECK(FieldsOf(app.WriteWith("five", {TokenOf(0)})).count("lock_tokens[0].token") == 1);
  CHECK(FieldsOf(app.WriteWith("five", std::vector<v1::LockToken>(101, TokenOf(1))))
            .count("lock_tokens") == 1);
}

TEST_CASE("a grant comes after the writes that rest on the one before it") {
  LockApp app;
  const auto token = app.locks.Acquire({.owner = "a"});
  REQUIRE(token.ok());
  testing::RestingWrite write(app.database);
  // Others may renew meanwhile.
  CHECK(app.locks.Renew(*token, absl::Minutes(5)).ok());
  app.Expire(*token);
  // Without patience it is refused, to its former owner as well, and nobody waits in the database.
  for (const std::string owner : {"a", "b"}) {
    const absl::Status refused = app.locks.Acquire({.owner = owner}).status();
    const Details held = InfoOf(refused);
    CHECK(held.at("reason") == "LOCK_HELD");
    CHECK(held.at("owner") == "a");
    CHECK(held.at("mode") == "exclusive");
    CHECK(refused.message() ==
          absl::StrCat("client_lock{client_id=1} was held by a, exclusive, until ",
                       held.at("expires_at"),
                       ", and a write that rests on this grant has not ended"));
  }
  Waiter taker(app.locks, {.owner = "b", .wait = absl::Seconds(25)});
  REQUIRE(app.locks.Waits(1));
  CHECK(testing::SessionsWait(app.database, 0));
  CHECK(app.locks.Get().holders().empty());
  CHECK(app.database.Query("SELECT string_agg(owner, '') FROM lock_holders") == "a");
  const absl::Time ended = absl::Now();
  write.End();
  const auto next = taker.Join();
  REQUIRE(next.ok());
  CHECK(absl::Now() - ended < absl::Seconds(4));
  CHECK(*next > *token);
  CHECK(app.database.Query("SELECT string_agg(owner, '') FROM lock_holders") == "b");
  CHECK(app.Metric("saldo_locks_expired_total") == "1");
}

TEST_CASE("a write that was checked while its lock held is over before the next grant") {
  LockApp app;
  v1::WriteEventsResponse response;
  REQUIRE(app.Write(Request("first", {Wallet(1, "5")}), &response).ok());
  const auto token = app.locks.Acquire({.owner = "a"});
  REQUIRE(token.ok());
  v1::WriteEventsRequest request = Request("second", {Wallet(1, "1")});
  *request.add_lock_tokens() = TokenOf(*token);
  metrics::Registry metrics;
  postgres::Pool pool({.connection = {.dsn = app.database.dsn()}}, metrics);
  absl::Status written = absl::UnknownError("");
  absl::StatusOr<int64_t> next = absl::UnknownError("");
  std::string seen;
  runtime::Thread writer, taker;
  // The write looks at its locks first, and then waits for the balance.
  constexpr postgres::Statement kHold{"test.hold", "SELECT 1 FROM account_balances FOR UPDATE"};
  const absl::Status held = pool.Transact(
      CallContext::WithTimeout(kPatience), {.name = "test.hold"}, [&](postgres::Transaction& tx) {
        const absl::Status status = tx.Query(kHold).status();
        writer = runtime::Thread("writer", [&] { written = app.Write(request, &response); });
        CHECK(testing::SessionsWait(app.database, 1));
        app.Expire(*token);
        CHECK(ReasonOf(app.locks.Acquire({.owner = "b"}).status()) == "LOCK_HELD");
        taker = runtime::Thread("taker", [&] {
          next = app.locks.Acquire({.owner = "b", .wait = absl::Seconds(25)});
          seen = app.Events();
        });
        CHECK(app.locks.Waits(1));
        // The writer's.
        CHECK(testing::SessionsWait(app.database, 1));
        CHECK(app.database.Query("SELECT string_agg(owner, '') FROM lock_holders") == "a");
        return status;
      });
  writer.Join();
  taker.Join();
  CHECK(held.ok());
  CHECK(written.ok());
  REQUIRE(next.ok());
  CHECK(*next > *token);
  CHECK(seen == "2");
}

TEST_CASE("what is left of an idle lock is removed, and its tokens still grow") {
  LockApp app;
  const auto first = app.locks.Acquire({.owner = "a"});
  const auto held = app.locks.Acquire({.owner = "a", .client = 2});
  const auto expired = app.locks.Acquire({.owner = "a", .client = 3});
  const auto fresh = app.locks.Acquire({.owner = "a", .client = 4});
  REQUIRE((first.ok() && held.ok() && expired.ok() && fresh.ok()));
  REQUIRE(app.locks.Release(*first).ok());
  REQUIRE(app.locks.Release(*fresh, 4).ok());
  app.Expire(*expired);
  app.database.Query(
      "UPDATE locks SET used_at = clock_timestamp() - interval '3 minutes' WHERE key <> '4'");
  v1::EnqueueTaskRequest request;
  request.set_kind("lock_cleanup");
  v1::EnqueueTaskResponse response;
  ClientCall call;
  REQUIRE(
      v1::TaskService::NewStub(app.channel)->EnqueueTask(&call.context, request, &response).ok());
  CHECK(testing::Eventually(kPatience, [&] {
    return app.database.Query("SELECT string_agg(key, ' ' ORDER BY key) FROM locks") == "2 4";
  }));
  CHECK(app.database.Query("SELECT string_agg(key, ' ' ORDER BY key) FROM lock_holders") == "2");
  const auto next = app.locks.Acquire({.owner = "b"});
  REQUIRE(next.ok());
  CHECK(*next > *fresh);
}

TEST_CASE("each lock lives on the shard of its key") {
  const ShardedApp app;
  const LockClient locks(app.client->channel);
  const int south = ClientOn(kSouth), north = ClientOn(kNorth);
  const auto there = locks.Acquire({.owner = "a", .client = north});
  const auto here = locks.Acquire({.owner = "a", .client = south});
  REQUIRE((there.ok() && here.ok()));
  CHECK(app.south.Query("SELECT key FROM lock_holders") == std::to_string(south));
  CHECK(app.north.Query("SELECT key FROM lock_holders") == std::to_string(north));
  CHECK(locks.Get(north).holders_size() == 1);

  v1::ListLocksRequest list;
  list.set_type("client_lock");
  v1::ListLocksResponse listed;
  REQUIRE(locks.Call(&LockApi::Stub::List, list, &listed).ok());
  CHECK(listed.locks_size() == 2);

  v1::WriteEventsRequest request = Request("w", {Wallet(north, "5")});
  *request.add_lock_tokens() = TokenOf(*there, north);
  CHECK(app.client->Write(request).ok());
  request.set_request_id("x");
  *request.add_lock_tokens() = TokenOf(*here, south);
  CHECK(FieldsOf(app.client->Write(request)).at("lock_tokens[1].key") ==
        absl::StrCat("client_lock{client_id=", south,
                     "} is on shard \"south\", but client_wallet{"
                     "client_id=",
                     north, ", currency=RUB} of events[0] is on shard \"north\""));
  REQUIRE(locks.Release(*there, north).ok());
  request.mutable_lock_tokens()->RemoveLast();
  CHECK(ReasonOf(app.client->Write(request)) == "LOCK_LOST");
}

}  // namespace saldo::server
