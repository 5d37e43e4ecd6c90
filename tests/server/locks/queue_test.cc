#include "server/locks/queue.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <iterator>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/support/test_env.h"

namespace saldo::locks {
namespace {

using Outcome = Decision::Outcome;

absl::Time At(int second) { return absl::FromUnixSeconds(1'000 + second); }

Holder By(std::string owner, bool exclusive, int until, int64_t token = 7) {
  return {.token = token,
          .owner = std::move(owner),
          .exclusive = exclusive,
          .acquired_at = At(0),
          .expires_at = At(until)};
}

std::string Show(const Decision& decision) {
  switch (decision.outcome) {
    case Outcome::kGrant:
      return "grant";
    case Outcome::kHasIt:
      return absl::StrCat("has ", decision.token);
    case Outcome::kHeld:
      return absl::StrCat("held by ", decision.holder->owner, " till ",
                          absl::ToUnixSeconds(decision.lapses_at) - 1'000);
    case Outcome::kQueued:
      return absl::StrCat("behind ", decision.ahead, " till ",
                          absl::ToUnixSeconds(decision.lapses_at) - 1'000);
    case Outcome::kFull:
      return "full";
  }
  return "";
}

constexpr bool kExclusive = true;
constexpr bool kShared = false;

}  // namespace

TEST_CASE("who gets a lock at second 10") {
  struct Row {
    std::string what;
    std::vector<Holder> holders;
    std::vector<Waiter> waiters;
    Ask ask;
    std::string expected;
  };
  const std::vector<Row> rows = {
      {"a free lock", {}, {}, {"a", kExclusive}, "grant"},
      {"an expired grant is none", {By("b", kExclusive, 10)}, {}, {"a", kExclusive}, "grant"},
      {"its owner has to ask anew, too", {By("a", kExclusive, 10)}, {}, {"a", kExclusive}, "grant"},
      {"a holder stands in the way",
       {By("b", kExclusive, 11)},
       {},
       {"a", kExclusive},
       "held by b till 11"},
      {"exclusive and shared", {By("b", kShared, 11)}, {}, {"a", kExclusive}, "held by b till 11"},
      {"shared and exclusive", {By("b", kExclusive, 11)}, {}, {"a", kShared}, "held by b till 11"},
      {"shared and shared", {By("b", kShared, 11)}, {}, {"a", kShared}, "grant"},
      {"the one that stays longest is told",
       {By("b", kShared, 12), By("c", kShared, 15), By("d", kShared, 11), By("e", kShared, 9)},
       {},
       {"a", kExclusive},
       "held by c till 15"},
      {"a repetition",
       {By("b", kShared, 11), By("a", kShared, 12, 8)},
       {},
       {"a", kShared},
       "has 8"},
      {"a repetition passes those who wait",
       {By("a", kShared, 12)},
       {{1, kExclusive, At(20)}},
       {"a", kShared},
       "has 7"},
      {"the other mode is no repetition",
       {By("a", kShared, 12)},
       {},
       {"a", kExclusive},
       "held by a till 12"},
      {"nor is this", {By("a", kExclusive, 12)}, {}, {"a", kShared}, "held by a till 12"},
      {"shared not past a waiting exclusive",
       {By("b", kShared, 11)},
       {{1, kExclusive, At(14)}},
       {"a", kShared},
       "behind 1 till 14"},
      {"nor past one that is free to take it",
       {},
       {{1, kExclusive, At(14)}},
       {"a", kShared},
       "behind 1 till 14"},
      {"shared past shared", {}, {{1, kShared, At(14)}}, {"a", kShared}, "grant"},
      {"exclusive behind all",
       {},
       {{1, kShared, At(14)}, {2, kExclusive, At(13)}},
       {"a", kExclusive},
       "behind 2 till 14"},
      {"a lapsed waiter is none", {}, {{1, kExclusive, At(10)}}, {"a", kShared}, "grant"},
      {"its own place is no obstacle",
       {},
       {{3, kExclusive, At(14)}},
       {"a", kExclusive, 3},
       "grant"},
      {"nor are those behind it",
       {},
       {{3, kShared, At(14)}, {4, kExclusive, At(14)}},
       {"a", kShared, 3},
       "grant"},
      {"those before it are",
       {},
       {{2, kExclusive, At(14)}, {3, kShared, At(14)}},
       {"a", kShared, 3},
       "behind 1 till 14"},
  };
  for (const Row& row : rows) {
    INFO(row.what);
    CHECK(Show(Decide(At(10), row.holders, row.waiters, row.ask)) == row.expected);
  }
}

TEST_CASE("a lock has a thousand shared holders at most") {
  std::vector<Holder> holders;
  for (int64_t i = 0; i < static_cast<int64_t>(kHoldersMax); ++i)
    holders.push_back(By(absl::StrCat("b", i), kShared, 11, i));
  CHECK(Show(Decide(At(10), holders, {}, {"a", kShared})) == "full");
  CHECK(Show(Decide(At(10), holders, {}, {"b5", kShared})) == "has 5");
  holders.pop_back();
  CHECK(Show(Decide(At(10), holders, {}, {"a", kShared})) == "grant");
}

// A lock in memory that asks Decide, and remembers what it granted.
class Simulation {
 public:
  explicit Simulation(std::mt19937_64& random) : random_(random) {}

  void Step() {
    switch (Pick(6)) {
      case 0:
        return Ask(std::nullopt, absl::StrCat("o", Pick(6)), Pick(2) == 0, Pick(3) > 0);
      case 1:
        now_ += absl::Milliseconds(Pick(400));
        return;
      case 2:
        return Release();
      case 3:
        return Leave();
      default:
        return RetryOne(Pick(8));
    }
  }

  // Everybody who waits gets it in the end, without new calls.
  void Drain() {
    for (int i = 0; i < 2'000 && !queue_.empty(); ++i) {
      RetryOne(i % static_cast<int>(queue_.size()));
      if (i % 7 == 0) now_ += absl::Milliseconds(100);
      for (auto& [id, place] : queue_) place.waiter.lease_until = now_ + absl::Seconds(1);
    }
    CHECK(queue_.empty());
  }

 private:
  struct Place {
    Waiter waiter;
    std::string owner;
  };
  struct Grant {
    Holder holder;
    absl::Time until;  // the real end: of the ttl, or the release
  };

  int Pick(int below) { return static_cast<int>(random_() % static_cast<uint64_t>(below)); }

  void Ask(std::optional<int64_t> id, const std::string& owner, bool exclusive, bool wait) {
    std::vector<Waiter> waiters;
    for (const auto& [waiter, place] : queue_) waiters.push_back(place.waiter);
    std::shuffle(waiters.begin(), waiters.end(), random_);
    const Decision decision =
        Decide(now_, holders_, waiters, {.owner = owner, .exclusive = exclusive, .waiter = id});
    const absl::Time end = now_ + absl::Milliseconds(100 + Pick(500));
    CheckAgainstHistory(decision, owner, exclusive, id);
    if (decision.outcome == Outcome::kGrant) {
      std::erase_if(holders_, [&](const Holder& holder) { return holder.expires_at <= now_; });
      holders_.push_back({next_++, owner, exclusive, now_, end});
      history_.push_back({holders_.back(), end});
    } else if (decision.outcome == Outcome::kHasIt) {
      for (Holder& holder : holders_) {
        if (holder.token == decision.token) holder.expires_at = end;
      }
      for (Grant& grant : history_) {
        if (grant.holder.token == decision.token) grant.until = end;
      }
    } else {
      CHECK(decision.lapses_at > now_);
      if (wait && !id.has_value()) {
        const Waiter waiter{next_++, exclusive, now_ + absl::Seconds(1)};
        queue_[waiter.id] = {waiter, owner};
      }
      return;
    }
    if (id.has_value()) queue_.erase(*id);
  }

  // By all that was ever granted, and nothing of what Decide goes by.
  void CheckAgainstHistory(const Decision& decision, const std::string& owner, bool exclusive,
                           std::optional<int64_t> id) {
    bool has_it = false, held = false, behind = false;
    for (const Grant& grant : history_) {
      if (grant.until <= now_) continue;
      has_it = has_it || (grant.holder.owner == owner && grant.holder.exclusive == exclusive);
      held = held || exclusive || grant.holder.exclusive;
    }
    for (const auto& [other, place] : queue_) {
      if (id.has_value() && other >= *id) break;
      if (place.waiter.lease_until > now_) behind = behind || exclusive || place.waiter.exclusive;
    }
    const Outcome expected = has_it   ? Outcome::kHasIt
                             : held   ? Outcome::kHeld
                             : behind ? Outcome::kQueued
                                      : Outcome::kGrant;
    CHECK(decision.outcome == expected);
    if (expected != Outcome::kGrant) return;
    for (const Grant& grant : history_) CHECK(grant.holder.token < next_);
  }

  void RetryOne(int index) {
    if (queue_.empty()) return;
    const auto place = std::next(queue_.begin(), index % static_cast<int>(queue_.size()));
    const Place copy = place->second;
    Ask(copy.waiter.id, copy.owner, copy.waiter.exclusive, true);
  }

  void Release() {
    if (holders_.empty()) return;
    const size_t which = static_cast<size_t>(Pick(static_cast<int>(holders_.size())));
    for (Grant& grant : history_) {
      if (grant.holder.token == holders_[which].token) grant.until = std::min(grant.until, now_);
    }
    holders_.erase(holders_.begin() + static_cast<std::ptrdiff_t>(which));
  }

  void Leave() {
    if (queue_.empty()) return;
    queue_.erase(std::next(queue_.begin(), Pick(static_cast<int>(queue_.size()))));
  }

  std::mt19937_64& random_;
  absl::Time now_ = At(0);
  int64_t next_ = 1;
  std::vector<Holder> holders_;
  std::map<int64_t, Place> queue_;
  std::vector<Grant> history_;
};

TEST_CASE("over any history, nobody gets what another has, nor past whom he must wait for") {
  const uint64_t seed = testing::Seed();
  INFO("SALDO_TEST_SEED=" << seed);
  std::mt19937_64 random(seed);
  for (int round = 0; round < 60; ++round) {
    Simulation simulation(random);
    for (int step = 0; step < 150; ++step) simulation.Step();
    simulation.Drain();
  }
}

}  // namespace saldo::locks
