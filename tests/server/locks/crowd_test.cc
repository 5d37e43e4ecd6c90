// Takers and writes at once, in a database.
#include <atomic>
#include <catch2/catch.hpp>
#include <list>
#include <optional>
#include <random>
#include <string>
#include <variant>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "common/postgres/transaction.h"
#include "common/runtime/thread.h"
#include "server/locks/queue.h"
#include "server/locks/store.h"
#include "tests/server/locks/store_fixture.h"
#include "tests/support/test_env.h"

namespace saldo::locks {
namespace {

// Takers of one lock, and writes that rest on whatever they got.
class Crowd {
 public:
  Crowd(Fixture& fixture, uint64_t seed) : fixture_(fixture) {
    for (uint64_t i = 0; i < 3; ++i) {
      threads_.emplace_back("taker", [this, seed, i] { Take(seed + i, absl::StrCat("o", i)); });
      threads_.emplace_back("writer", [this] { Write(); });
    }
  }

  void End() {
    done_ = true;
    threads_.clear();
  }

  std::atomic<int> grants = 0, writes = 0;
  std::atomic<int> rested = 0;    // refusals as a write had not ended
  std::atomic<int> overlaps = 0;  // grants while a write rested on an earlier one in their way
  std::atomic<int> failures = 0;

 private:
  struct Grant {
    int64_t token = 0;
    bool exclusive = false;
  };

  void Take(uint64_t seed, const std::string& owner) {
    std::mt19937_64 random(seed);
    while (!done_) {
      const Claim claim = fixture_.ClaimOf(owner, random() % 3 > 0);
      const auto got = fixture_.store.Acquire(Soon(), claim, std::nullopt, absl::ZeroDuration());
      if (!got.ok()) {
        if (ReasonOf(got.status()) != "LOCK_HELD") ++failures;
        if (absl::StrContains(got.status().message(), "has not ended")) ++rested;
        continue;
      }
      const int64_t token = std::get<Granted>(*got).token;
      ++grants;
      {
        absl::MutexLock lock(&mutex_);
        for (const Grant& grant : under_way_) {
          if (grant.token < token && Conflict(grant.exclusive, claim.exclusive)) ++overlaps;
        }
        last_ = {token, claim.exclusive};
      }
      Pause();
      End(token, /*release=*/random() % 4 > 0);
    }
  }

  void End(int64_t token, bool release) {
    constexpr postgres::Statement kExpire{
        "test.expire", "UPDATE lock_holders SET expires_at = clock_timestamp() WHERE token = $1"};
    const absl::Status status = release ? fixture_.store.Release(Soon(), fixture_.Name(), token)
                                        : fixture_.pool.Transact(Soon(), {.name = "test.expire"},
                                                                 [&](postgres::Transaction& tx) {
                                                                   return tx.Defer(kExpire, token);
                                                                 });
    if (!status.ok()) ++failures;
  }

  void Write() {
    while (!done_) {
      Grant grant;
      {
        absl::MutexLock lock(&mutex_);
        grant = last_;
      }
      const absl::Status status =
          fixture_.pool.Transact(Soon(), {.name = "test.write"},
                                 [&](postgres::Transaction& tx) { return WriteBy(grant, tx); });
      if (!status.ok()) ++failures;
    }
  }

  absl::Status WriteBy(const Grant& grant, postgres::Transaction& tx) {
    const absl::Status asked = ReadGrants(tx, {"l"}, {fixture_.Name().key}, {grant.token}).status();
    if (!asked.ok()) return asked;
    auto results = tx.Send();
    if (!results.ok()) return results.status();
    const auto held = TakeGrants(absl::MakeSpan(*results), 1);
    if (!held.ok() || held->empty()) return held.status();
    const auto mine = [&] {
      const absl::MutexLock lock(&mutex_);
      return under_way_.insert(under_way_.end(), grant);
    }();
    const absl::Status paused = tx.Query(kPause).status();
    const absl::MutexLock lock(&mutex_);
    under_way_.erase(mine);
    ++writes;
    return paused;
  }

  void Pause() {
    if (!fixture_.pool.Read(Soon(), kPause).ok()) ++failures;
  }

  static constexpr postgres::Statement kPause{"test.pause", "SELECT pg_sleep(0.005)"};

  Fixture& fixture_;
  std::atomic<bool> done_ = false;
  absl::Mutex mutex_;
  Grant last_ ABSL_GUARDED_BY(mutex_);
  std::list<Grant> under_way_ ABSL_GUARDED_BY(mutex_);
  std::vector<runtime::Thread> threads_;
};

}  // namespace

TEST_CASE("whoever takes, ends and uses grants, no write under an earlier one is under way") {
  const uint64_t seed = testing::Seed();
  INFO("SALDO_TEST_SEED=" << seed);
  Fixture f;
  Crowd crowd(f, seed);
  CHECK(testing::Eventually(absl::Seconds(60), [&] {
    return crowd.grants > 60 && crowd.writes > 60 && crowd.rested > 20;
  }));
  crowd.End();
  CHECK(crowd.overlaps == 0);
  CHECK(crowd.failures == 0);
}

}  // namespace saldo::locks
