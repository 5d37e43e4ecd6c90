// Random histories of one lock in a database, against what a simple model says.
#include "server/locks/store.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/runtime/thread.h"
#include "server/keys/keyed_type_store.h"
#include "server/keys/keyed_types_file.h"
#include "tests/server/locks/resting_write.h"
#include "tests/server/locks/store_fixture.h"
#include "tests/support/test_env.h"

namespace saldo::locks {
namespace {

// The lock as a list of grants and a queue, without a clock: tests make things expire.
class Model {
 public:
  Model(Fixture& fixture, std::mt19937_64& random) : fixture_(fixture), random_(random) {}

  void Step() {
    switch (Pick(8)) {
      case 0:
      case 1:
      case 2:
        return Acquire(absl::StrCat("o", Pick(5)), Pick(2) == 0, std::nullopt, Pick(3) > 0);
      case 3:
        if (!queue_.empty()) Retry(std::next(queue_.begin(), Pick(queue_.size()))->first);
        return;
      case 4:
        return Release();
      case 5:
        return Renew();
      case 6:
        return Expire();
      default:
        return LapseOrLeave();
    }
  }

  void CheckStored() {
    const auto found = fixture_.store.Get(Soon(), fixture_.Name());
    REQUIRE(found.ok());
    std::string stored, expected;
    for (const Holder& holder : found->first)
      absl::StrAppend(&stored, holder.token, holder.owner, holder.exclusive, " ");
    for (const auto& [token, grant] : grants_) {
      if (grant.alive) absl::StrAppend(&expected, token, grant.owner, grant.exclusive, " ");
    }
    CHECK(stored == expected);
    const auto waiting = std::count_if(queue_.begin(), queue_.end(),
                                       [](const auto& place) { return place.second.alive; });
    CHECK(found->second == waiting);
  }

 private:
  struct Entry {
    std::string owner;
    bool exclusive;
    bool alive = true;
  };

  size_t Pick(size_t below) { return static_cast<size_t>(random_()) % below; }

  void Acquire(const std::string& owner, bool exclusive, std::optional<int64_t> place, bool wait) {
    const auto outcome = fixture_.store.Acquire(Soon(), fixture_.ClaimOf(owner, exclusive), place,
                                                wait ? kWait : absl::ZeroDuration());
    int64_t has = 0;
    bool held = false, behind = false;
    for (const auto& [token, grant] : grants_) {
      if (!grant.alive) continue;
      if (grant.owner == owner && grant.exclusive == exclusive) has = token;
      held = held || exclusive || grant.exclusive;
    }
    for (const auto& [id, other] : queue_) {
      if (place.has_value() && id >= *place) break;
      behind = behind || (other.alive && (exclusive || other.exclusive));
    }
    if (has != 0 || (!held && !behind)) {
      REQUIRE(outcome.ok());
      REQUIRE(std::holds_alternative<Granted>(*outcome));
      const int64_t token = std::get<Granted>(*outcome).token;
      if (has != 0) CHECK(token == has);
      if (has == 0) CHECK(token > last_token_);
      last_token_ = std::max(last_token_, token);
      grants_[token] = {owner, exclusive};
      if (place.has_value()) queue_.erase(*place);
    } else if (!wait) {
      CHECK(ReasonOf(outcome.status()) == (held ? "LOCK_HELD" : "LOCK_QUEUED"));
    } else {
      REQUIRE(outcome.ok());
      REQUIRE(std::holds_alternative<Queued>(*outcome));
      const Queued& queued = std::get<Queued>(*outcome);
      CHECK(ReasonOf(queued.refusal) == (held ? "LOCK_HELD" : "LOCK_QUEUED"));
      if (place.has_value()) CHECK(queued.waiter == *place);
      if (!queue_.insert({queued.waiter, {owner, exclusive}}).second) return;
      // Nobody renews it here.
      fixture_.database.Query(absl::StrCat(
          "UPDATE lock_waiters SET lease_until = clock_timestamp() + interval '1 hour' "
          "WHERE waiter_id = ",
          queued.waiter));
    }
  }

  void Retry(int64_t id) {
    const Entry entry = queue_.at(id);
    // One whose lease has passed may have lost its row: that is a test of its own.
    if (entry.alive) Acquire(entry.owner, entry.exclusive, id, true);
  }

  // A token that was given once, most often of a grant that lives.
  int64_t AnyToken() {
    std::vector<int64_t> tokens;
    for (const auto& [token, grant] : grants_) {
      for (int i = 0; i < (grant.alive ? 5 : 1); ++i) tokens.push_back(token);
    }
    return tokens.empty() ? 999'999 : tokens[Pick(tokens.size())];
  }

  void Release() {
    const int64_t token = AnyToken();
    const auto grant = grants_.find(token);
    const bool alive = grant != grants_.end() && grant->second.alive;
    const absl::Status status = fixture_.store.Release(Soon(), fixture_.Name(), token);
    if (alive || token == last_released_) {
      CHECK(status.ok());
    } else {
      CHECK(ReasonOf(status) == "LOCK_LOST");
    }
    if (alive) {
      grant->second.alive = false;
      last_released_ = token;
    }
  }

  void Renew() {
    const int64_t token = AnyToken();
    const auto grant = grants_.find(token);
    const auto end = fixture_.store.Renew(Soon(), fixture_.Name(), token, kTtl);
    if (grant != grants_.end() && grant->second.alive) {
      CHECK(end.ok());
    } else {
      CHECK(ReasonOf(end.status()) == "LOCK_LOST");
    }
  }

  void Expire() {
    const int64_t token = AnyToken();
    fixture_.database.Query(absl::StrCat(
        "UPDATE lock_holders SET expires_at = clock_timestamp() WHERE token = ", token));
    if (grants_.count(token) > 0) grants_.at(token).alive = false;
  }

  void LapseOrLeave() {
    if (queue_.empty()) return;
    const auto place = std::next(queue_.begin(), static_cast<std::ptrdiff_t>(Pick(queue_.size())));
    if (Pick(2) == 0) {
      fixture_.database.Query(
          absl::StrCat("UPDATE lock_waiters SET lease_until = clock_timestamp() WHERE waiter_id = ",
                       place->first));
      place->second.alive = false;
    } else {
      CHECK(fixture_.store.LeavePlaces(Soon(), {place->first}).ok());
      queue_.erase(place);
    }
  }

  Fixture& fixture_;
  std::mt19937_64& random_;
  std::map<int64_t, Entry> grants_;
  std::map<int64_t, Entry> queue_;
  int64_t last_token_ = 0;
  int64_t last_released_ = 0;
};

}  // namespace

TEST_CASE("over any history a lock in the database is what a simple model says") {
  const uint64_t seed = testing::Seed();
  INFO("SALDO_TEST_SEED=" << seed);
  std::mt19937_64 random(seed);
  Fixture fixture;
  Model model(fixture, random);
  for (int step = 0; step < 400; ++step) {
    INFO("step " << step);
    model.Step();
    model.CheckStored();
  }
}

TEST_CASE("a grant counts those that expired, when it takes their place") {
  Fixture f;
  const auto expired = [&] {
    const auto got = f.store.Acquire(Soon(), f.ClaimOf("c", true), std::nullopt, kWait);
    REQUIRE(got.ok());
    return std::holds_alternative<Granted>(*got) ? std::get<Granted>(*got).expired : -1;
  };
  for (const std::string owner : {"a", "b"})
    REQUIRE(f.store.Acquire(Soon(), f.ClaimOf(owner, false), std::nullopt, kWait).ok());
  testing::RestingWrite write(f.database, "owner = 'a'");
  f.database.Query("UPDATE lock_holders SET expires_at = clock_timestamp()");
  CHECK(expired() == -1);
  // Nothing is cleared away by one that is not granted.
  CHECK(f.database.Query("SELECT count(*) FROM lock_holders") == "2");
  write.End();
  f.database.Query("DELETE FROM lock_waiters");
  CHECK(expired() == 2);
  const int64_t token = f.store.Get(Soon(), f.Name())->first.at(0).token;
  testing::RestingWrite last(f.database);
  REQUIRE(f.store.Release(Soon(), f.Name(), token).ok());
  CHECK(expired() == -1);
  last.End();
  f.database.Query("DELETE FROM lock_waiters");
  CHECK(expired() == 0);
}

TEST_CASE("the cleaning leaves what a write rests on to a later time, and waits for nobody") {
  Fixture f;
  Claim other = f.ClaimOf("a", true);
  other.lock = f.Name("2");
  const auto got = f.store.Acquire(Soon(), f.ClaimOf("a", true), std::nullopt, kWait);
  REQUIRE(got.ok());
  REQUIRE(f.store.Acquire(Soon(), other, std::nullopt, kWait).ok());
  testing::RestingWrite write(f.database, "key = '1'");
  REQUIRE(f.store.Release(Soon(), f.Name(), std::get<Granted>(*got).token).ok());
  f.database.Query("UPDATE lock_holders SET expires_at = least(expires_at, clock_timestamp())");
  CHECK(f.store.RemoveIdle(Soon(), absl::ZeroDuration(), 10).value() == 1);
  CHECK(f.database.Query("SELECT key FROM lock_holders") == "1");
  // It is still known to have been released.
  CHECK(f.store.Release(Soon(), f.Name(), std::get<Granted>(*got).token).ok());
  write.End();
  CHECK(f.store.RemoveIdle(Soon(), absl::ZeroDuration(), 10).value() == 1);
  CHECK(f.database.Query("SELECT count(*) FROM lock_holders") == "0");
  CHECK(f.database.Query("SELECT count(*) FROM locks") == "0");
}

TEST_CASE("a place whose lease has passed is got again at the end") {
  Fixture f;
  const auto held = f.store.Acquire(Soon(), f.ClaimOf("a", true), std::nullopt, kWait);
  REQUIRE(held.ok());
  const auto first = f.store.Acquire(Soon(), f.ClaimOf("b", true), std::nullopt, kWait);
  REQUIRE(first.ok());
  const int64_t place = std::get<Queued>(*first).waiter;
  f.database.Query("UPDATE lock_waiters SET lease_until = clock_timestamp()");
  // Who comes next clears it away.
  const auto second = f.store.Acquire(Soon(), f.ClaimOf("c", true), std::nullopt, kWait);
  REQUIRE(second.ok());
  CHECK(f.database.Query("SELECT string_agg(owner, '') FROM lock_waiters") == "c");
  const auto again = f.store.Acquire(Soon(), f.ClaimOf("b", true), place, kWait);
  REQUIRE(again.ok());
  CHECK(std::get<Queued>(*again).waiter > std::get<Queued>(*second).waiter);
  CHECK(f.database.Query("SELECT string_agg(owner, '' ORDER BY waiter_id) FROM lock_waiters") ==
        "cb");
}

TEST_CASE("places whose leases have passed leave room for others") {
  Fixture f;
  REQUIRE(f.store.Acquire(Soon(), f.ClaimOf("a", true), std::nullopt, kWait).ok());
  const std::string fill = absl::StrCat(
      "INSERT INTO lock_waiters SELECT 'l', '1', nextval('lock_waiter_ids'), 'gone', true, "
      "clock_timestamp() + interval '1 hour', clock_timestamp() + interval '1 hour' "
      "FROM generate_series(1, ",
      kWaitersMax, ")");
  f.database.Query(fill);
  CHECK(f.store.Acquire(Soon(), f.ClaimOf("b", true), std::nullopt, kWait).status().code() ==
        absl::StatusCode::kResourceExhausted);
  f.database.Query("UPDATE lock_waiters SET lease_until = clock_timestamp()");
  CHECK(f.store.Acquire(Soon(), f.ClaimOf("b", true), std::nullopt, kWait).ok());
  CHECK(f.database.Query("SELECT string_agg(owner, '') FROM lock_waiters") == "b");
}

TEST_CASE("the cleaning leaves a grant that is renewed while it looks") {
  Fixture f;
  Claim claim = f.ClaimOf("a", true);
  claim.ttl = absl::Seconds(3);
  const auto got = f.store.Acquire(Soon(), claim, std::nullopt, kWait);
  REQUIRE(got.ok());
  const Granted granted = std::get<Granted>(*got);
  // From now on new sessions stop when they ask for the time.
  const std::string name = f.database.Query("SELECT current_database()");
  f.database.Query(
      "CREATE TABLE paused (); INSERT INTO paused DEFAULT VALUES; "
      "CREATE FUNCTION public.clock_timestamp() RETURNS timestamptz LANGUAGE plpgsql AS $$ BEGIN "
      "WHILE EXISTS (SELECT FROM public.paused) LOOP PERFORM pg_sleep(0.01); END LOOP; "
      "RETURN pg_catalog.clock_timestamp(); END $$");
  f.database.Query("ALTER DATABASE \"" + name + "\" SET search_path = public, pg_catalog");
  postgres::Pool pool({.name = "cleaner", .connection = {.dsn = f.database.dsn()}}, f.metrics);
  LockStore cleaner(pool);
  absl::Status cleaned;
  runtime::Thread thread(
      "cleaner", [&] { cleaned = cleaner.RemoveIdle(Soon(), absl::ZeroDuration(), 10).status(); });
  const bool paused = testing::Eventually(absl::Seconds(20), [&] {
    return f.database.Query(
               "SELECT count(*) FROM pg_stat_activity WHERE datname = "
               "current_database() AND wait_event = 'PgSleep'") == "1";
  });
  const auto renewed = f.store.Renew(Soon(), claim.lock, granted.token, kTtl);
  // The end that it had before.
  const bool over = testing::Eventually(absl::Seconds(20), [&] {
    return f.database.Query("SELECT pg_catalog.clock_timestamp() > '" +
                            absl::FormatTime(granted.expires_at) + "'") == "t";
  });
  f.database.Query("DELETE FROM paused");
  thread.Join();
  REQUIRE(paused);
  REQUIRE(renewed.ok());
  REQUIRE(over);
  CHECK(cleaned.ok());
  CHECK(f.database.Query("SELECT token FROM lock_holders") == absl::StrCat(granted.token));
  CHECK(f.database.Query("SELECT count(*) FROM locks") == "1");
  CHECK(f.store.Renew(Soon(), claim.lock, granted.token, kTtl).ok());
}

TEST_CASE("a server that has another definition of the type takes no lock") {
  Fixture f;
  const Claim old = f.ClaimOf("a", true);
  f.Define("locks: [{name: l, key: [{name: other}]}]");
  const auto refused = f.store.Acquire(Soon(), old, std::nullopt, kWait);
  CHECK(refused.status().code() == absl::StatusCode::kUnavailable);
  CHECK(f.store.Acquire(Soon(), f.ClaimOf("a", true), std::nullopt, kWait).ok());
  // Held as it is, the type stays as it is.
  const auto parsed = keys::ParseKeyedTypes("t", "locks: []");
  const auto synced = keys::KeyedTypeStore(f.pool, {LockTypeUse()}).Sync(Soon(), *parsed);
  CHECK(synced.status().message() ==
        "l: is not among the configured types of locks, but has locks");
  f.database.Query("UPDATE lock_holders SET expires_at = clock_timestamp()");
  CHECK(keys::KeyedTypeStore(f.pool, {LockTypeUse()}).Sync(Soon(), *parsed).ok());
}

}  // namespace saldo::locks
