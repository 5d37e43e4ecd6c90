// Many callers at once, on two servers: no money is lost or made, no limit is broken, and nobody
// hears of a deadlock.
#include <atomic>
#include <catch2/catch.hpp>
#include <random>
#include <string>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "common/runtime/thread.h"
#include "tests/server/wallets/wallet_server.h"
#include "tests/support/test_env.h"

namespace saldo::wallets {
namespace {

// Two servers on one database. Their sweepers rest, unless a test runs one.
struct TwoServers {
  static WalletServerOptions Quiet() {
    WalletServerOptions options;
    options.wallets.holds.enabled = false;
    return options;
  }
  Databases databases{1};
  WalletServer first{databases, Quiet()};
  WalletServer second{databases, Quiet()};
  WalletServer& of(int i) { return i % 2 == 0 ? first : second; }
  int64_t Number(const std::string& sql) const { return std::stoll(databases.Query(0, sql)); }
};

// What threads found wrong.
class Faults {
 public:
  void Add(const absl::Status& status) {
    absl::MutexLock lock(&mutex_);
    text_ += status.ToString() + "\n";
  }
  std::string Text() const {
    absl::MutexLock lock(&mutex_);
    return text_;
  }

 private:
  mutable absl::Mutex mutex_;
  std::string text_ ABSL_GUARDED_BY(mutex_);
};

// Runs `work(i)` on `count` threads at once.
template <typename Work>
void InParallel(int count, Work work) {
  std::vector<runtime::Thread> threads;
  for (int i = 0; i < count; ++i) threads.emplace_back("caller", [&work, i] { work(i); });
  for (runtime::Thread& thread : threads) thread.Join();
}

TEST_CASE("transfers in both directions by many callers") {
  TwoServers w;
  const std::string a = *w.first.Create("a");
  const std::string b = *w.first.Create("b", "RUB", "20");
  REQUIRE(w.first.TopUp("t", a, "50").ok());
  constexpr int kCallers = 12;
  constexpr int kCalls = 40;
  std::atomic<int> moved{0};
  std::atomic<int> poor{0};
  Faults faults;
  InParallel(kCallers, [&](int caller) {
    for (int i = 0; i < kCalls; ++i) {
      const bool forth = (caller + i) % 3 != 0;
      const std::string id = "m" + std::to_string(caller) + "." + std::to_string(i);
      // Every second one is sent again by the other server.
      for (int again = 0; again <= i % 2; ++again) {
        const absl::Status status =
            w.of(caller + again).Transfer(id, forth ? a : b, forth ? b : a, "7");
        if (status.ok()) {
          ++moved;
        } else if (Reason(status) == "INSUFFICIENT_FUNDS") {
          ++poor;
        } else {
          faults.Add(status);
        }
      }
    }
  });
  CHECK(faults.Text() == "");
  CHECK(moved > 0);
  CHECK(poor > 0);
  Decimal total;
  REQUIRE(Decimal::Add(*Decimal::Parse(w.first.Balance(a)), *Decimal::Parse(w.first.Balance(b)),
                       &total));
  CHECK(total == *Decimal::Parse("50"));
  CHECK(w.Number("SELECT count(*) FROM events WHERE balance_after < -20") == 0);
  CHECK(Imbalance(w.databases) == "");
}

TEST_CASE("one hot wallet that many pay to and one empties") {
  TwoServers w;
  const std::string hot = *w.first.Create("hot");
  std::vector<std::string> payers;
  for (int i = 0; i < 8; ++i) {
    payers.push_back(*w.first.Create("p" + std::to_string(i)));
    REQUIRE(w.first.TopUp("t" + std::to_string(i), payers.back(), "30").ok());
  }
  Faults faults;
  InParallel(8, [&](int caller) {
    for (int i = 0; i < 30; ++i) {
      const std::string id = "m" + std::to_string(caller) + "." + std::to_string(i);
      const absl::Status status =
          w.of(caller + i).Transfer(id, payers[static_cast<size_t>(caller)], hot, "1");
      if (!status.ok()) faults.Add(status);
      const absl::Status out = w.of(i).Withdraw("w" + id, hot, "2");
      if (!out.ok() && Reason(out) != "INSUFFICIENT_FUNDS") faults.Add(out);
    }
  });
  CHECK(faults.Text() == "");
  CHECK(Imbalance(w.databases) == "");
}

TEST_CASE("a hold that expires while it is captured goes one way") {
  TwoServers w;
  const std::string wallet = *w.first.Create("a");
  const std::string shop = *w.first.Create("b");
  constexpr int kHolds = 40;
  REQUIRE(w.first.TopUp("t", wallet, std::to_string(kHolds)).ok());
  std::vector<std::string> holds;
  for (int i = 0; i < kHolds; ++i) {
    const auto hold = w.first.Hold("h" + std::to_string(i), wallet, "1", absl::Seconds(1 + i % 2));
    REQUIRE(hold.ok());
    holds.push_back(hold->hold_id());
  }
  metrics::Registry metrics;
  HoldSweeper sweeper({}, w.first.wallets.core(), 0, metrics);
  HoldSweeper other_sweeper({}, w.second.wallets.core(), 0, metrics);
  std::atomic<int> captured{0};
  std::atomic<int> expired{0};
  Faults faults;
  std::atomic<int> running{4};
  // Those who capture go over all holds again and again, until each is either.
  InParallel(6, [&](int caller) {
    if (caller >= 4) {
      while (running > 0) {
        const auto swept = (caller == 4 ? sweeper : other_sweeper).RunOnce();
        if (!swept.ok()) faults.Add(swept.status());
      }
      return;
    }
    for (int i = caller; i < kHolds; i += 4) {
      // One after the other, so that some come before the expiry, some about it, some after it.
      const absl::Time at = absl::Now() + absl::Milliseconds(100);
      testing::Eventually(kPatience, [&] { return absl::Now() >= at; });
      const absl::Status status = w.of(i).Capture(
          "k" + std::to_string(i), holds[static_cast<size_t>(i)], "", i % 3 == 0 ? shop : "");
      if (status.ok()) {
        ++captured;
      } else if (Reason(status) == "HOLD_EXPIRED") {
        ++expired;
      } else {
        faults.Add(status);
      }
    }
    --running;
  });
  CHECK(testing::Eventually(kPatience, [&] {
    return sweeper.RunOnce().ok() &&
           w.Number("SELECT count(*) FROM wallet_holds WHERE state = 'open'") == 0;
  }));
  CHECK(faults.Text() == "");
  CHECK(captured + expired == kHolds);
  CHECK(w.Number("SELECT count(*) FROM wallet_holds WHERE state = 'captured'") == captured);
  CHECK(w.Number("SELECT count(*) FROM wallet_holds WHERE state = 'expired'") == expired);
  // Counted by the one of two that gave it back.
  CHECK_THAT(metrics.Text(),
             Catch::Contains("saldo_wallet_holds_expired_total " + std::to_string(expired) + "\n"));
  // What expired is back, once.
  CHECK(*Decimal::Parse(w.first.Balance(wallet)) == Decimal::FromInteger(expired));
  CHECK(Imbalance(w.databases) == "");
}

TEST_CASE("an expired hold cannot be captured before it is swept either") {
  TwoServers w;
  const std::string wallet = *w.first.Create("a");
  REQUIRE(w.first.TopUp("t", wallet, "5").ok());
  const auto hold = w.first.Hold("h", wallet, "5", absl::Seconds(1));
  REQUIRE(hold.ok());
  REQUIRE(testing::Eventually(kPatience, [&] {
    return w.first.GetHold(hold->hold_id()).state() == v1::HOLD_STATE_EXPIRED;
  }));
  CHECK(w.Number("SELECT count(*) FROM wallet_holds WHERE state = 'open'") == 1);
  CHECK(Reason(w.first.Capture("k", hold->hold_id())) == "HOLD_EXPIRED");
  CHECK(w.first.Balance(wallet) == "0.00");
  metrics::Registry metrics;
  HoldSweeper sweeper({}, w.first.wallets.core(), 0, metrics);
  REQUIRE(sweeper.RunOnce().ok());
  REQUIRE(sweeper.RunOnce().ok());
  CHECK(w.first.Balance(wallet) == "5.00");
  CHECK(metrics.Text().find("saldo_wallet_holds_expired_total 1\n") != std::string::npos);
  CHECK(Reason(w.first.Capture("k", hold->hold_id())) == "HOLD_EXPIRED");
  CHECK(Reason(w.first.Release("r", hold->hold_id())) == "HOLD_EXPIRED");
  const auto listed = w.first.Transactions(wallet);
  CHECK(listed.transactions(0).kind() == v1::WALLET_EVENT_KIND_HOLD_EXPIRY);
  CHECK(Imbalance(w.databases) == "");
}

TEST_CASE("of many ends of one hold one happens") {
  TwoServers w;
  const std::string wallet = *w.first.Create("a");
  REQUIRE(w.first.TopUp("t", wallet, "20").ok());
  for (int round = 0; round < 10; ++round) {
    const auto hold = w.first.Hold("h" + std::to_string(round), wallet, "1");
    REQUIRE(hold.ok());
    std::atomic<int> done{0};
    Faults faults;
    InParallel(6, [&](int caller) {
      const std::string id = "e" + std::to_string(round) + "." + std::to_string(caller);
      const absl::Status status = caller < 3 ? w.of(caller).Capture(id, hold->hold_id())
                                             : w.of(caller).Release(id, hold->hold_id());
      if (status.ok()) {
        ++done;
      } else if (Reason(status) != "HOLD_NOT_OPEN") {
        faults.Add(status);
      }
    });
    CHECK(done == 1);
    CHECK(faults.Text() == "");
  }
  CHECK(Imbalance(w.databases) == "");
}

TEST_CASE("a wallet that is closed while others use it is closed empty") {
  TwoServers w;
  for (int round = 0; round < 15; ++round) {
    const std::string name = std::to_string(round);
    const std::string wallet = *w.first.Create("c" + name);
    REQUIRE(w.first.TopUp("t" + name, wallet, "1").ok());
    Faults faults;
    InParallel(5, [&](int caller) {
      const std::string id = name + "." + std::to_string(caller);
      absl::Status status;
      if (caller == 0) {
        // The whole balance is set aside: the account is at zero, but not empty.
        const auto hold = w.of(caller).Hold("h" + id, wallet, "1");
        status = hold.status();
        if (hold.ok() && round % 2 == 0) status = w.of(caller).Release("r" + id, hold->hold_id());
      } else if (caller == 1) {
        status = w.of(caller).Withdraw("w" + id, wallet, "1");
      } else if (caller == 2) {
        status = w.of(caller).TopUp("u" + id, wallet, "1");
      } else {
        for (int i = 0; i < 5; ++i) {
          status = w.of(caller).Close("x" + id + "." + std::to_string(i), wallet);
          if (status.ok()) break;
        }
      }
      const std::string reason = Reason(status);
      if (!status.ok() && reason != "WALLET_CLOSED" && reason != "WALLET_NOT_EMPTY" &&
          reason != "WALLET_HAS_HOLDS" && reason != "INSUFFICIENT_FUNDS") {
        faults.Add(status);
      }
    });
    CHECK(faults.Text() == "");
  }
  CHECK(w.Number("SELECT count(*) FROM wallets AS w JOIN wallet_holds AS h USING (wallet_id) "
                 "WHERE w.closed_at IS NOT NULL AND h.state = 'open'") == 0);
  CHECK(Imbalance(w.databases) == "");
}

TEST_CASE("nothing waits in a circle: wallets, their holds, and the accounts of WriteEvents") {
  INFO("SALDO_TEST_SEED=" << testing::Seed());
  TwoServers w;
  std::vector<std::string> wallets;
  std::vector<std::vector<std::string>> holds(4);
  for (int i = 0; i < 4; ++i) {
    const std::string name = std::to_string(i);
    wallets.push_back(*w.first.Create("c" + name, "RUB", "1000"));
    for (int j = 0; j < 30; ++j) {
      const auto hold = w.first.Hold("h" + name + "." + std::to_string(j), wallets.back(), "2");
      REQUIRE(hold.ok());
      holds[static_cast<size_t>(i)].push_back(hold->hold_id());
    }
  }
  const auto write_events = [](WalletServer& server, const std::string& id, bool forth) {
    v1::WriteEventsRequest request;
    request.set_request_id(id);
    for (const char* client : {forth ? "1" : "2", forth ? "2" : "1"}) {
      v1::NewEvent& event = *request.add_events();
      event.mutable_account()->set_type("client_wallet");
      (*event.mutable_account()->mutable_key())["client_id"] = client;
      (*event.mutable_account()->mutable_key())["currency"] = "RUB";
      (*event.mutable_attributes())["source"] = "card";
      event.set_side(v1::SIDE_CREDIT);
      event.set_amount("1");
    }
    v1::WriteEventsResponse response;
    grpc::ClientContext context;
    return rpc::FromGrpcStatus(server.accounts->WriteEvents(&context, request, &response));
  };
  Faults faults;
  InParallel(8, [&](int caller) {
    std::mt19937_64 random(testing::Seed() + static_cast<uint64_t>(caller));
    const auto pick = [&random](size_t below) { return static_cast<size_t>(random() % below); };
    for (int i = 0; i < 30; ++i) {
      const std::string id = std::to_string(caller) + "." + std::to_string(i);
      WalletServer& server = w.of(caller);
      const size_t from = pick(4);
      const size_t to = (from + 1 + pick(3)) % 4;
      const std::string& hold = holds[from][pick(holds[from].size())];
      absl::Status status;
      switch (pick(6)) {
        case 0:
          status = server.Transfer("m" + id, wallets[from], wallets[to], "1");
          break;
        case 1:
          status = server.Capture("k" + id, hold, "1", wallets[to]);
          break;
        case 2:
          status = server.Release("r" + id, hold);
          break;
        case 3:
          status = server.Hold("n" + id, wallets[from], "1").status();
          break;
        case 4:
          status = server.Close("x" + id, wallets[from]);
          break;
        default:
          status = write_events(server, "e" + id, random() % 2 == 0);
      }
      const std::string reason = Reason(status);
      if (!status.ok() && reason != "HOLD_NOT_OPEN" && reason != "WALLET_HAS_HOLDS")
        faults.Add(status);
    }
  });
  CHECK(faults.Text() == "");
  CHECK(Imbalance(w.databases) == "");
  // A session tells its numbers when it ends.
  w.first.Stop();
  w.second.Stop();
  CHECK(w.Number("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()") == 0);
}

TEST_CASE("of many that create a wallet for one external id, one does") {
  TwoServers w;
  std::atomic<int> made{0};
  std::atomic<int> exists{0};
  InParallel(8, [&](int caller) {
    const auto wallet = w.of(caller).Create("c" + std::to_string(caller),
                                            caller % 3 == 0 ? "USD" : "RUB", "", "the one");
    if (wallet.ok()) ++made;
    if (Reason(wallet.status()) == "WALLET_EXISTS") ++exists;
  });
  CHECK(made == 1);
  CHECK(exists == 7);
  CHECK(w.Number("SELECT count(*) FROM wallets") == 1);
  CHECK(w.Number("SELECT count(*) FROM accounts") == 1);
}

}  // namespace
}  // namespace saldo::wallets
