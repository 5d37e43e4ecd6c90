// A random history over two shards through the API, and the same as a list in memory: every answer
// equals the naive sum, every refusal the naive rule.
#include <atomic>
#include <catch2/catch.hpp>
#include <map>
#include <random>
#include <set>

#include "absl/strings/str_format.h"
#include "common/rpc/timestamps.h"
#include "common/runtime/thread.h"
#include "tests/server/shards/sharded_app.h"

namespace saldo::server {
namespace {

struct ModelEvent {
  int client;
  bool wallet;  // else a commission
  std::string attribute;
  absl::Time at;
  int64_t cents;  // above 0 for a credit
};

std::string Text(int64_t cents, bool wallet) {
  return absl::StrFormat("%s%d.%02d%s", cents < 0 ? "-" : "", std::abs(cents) / 100,
                         std::abs(cents) % 100, wallet ? "" : "00");
}

v1::NewEvent ToRequest(const ModelEvent& event) {
  const std::string amount = Text(event.cents, true);
  v1::NewEvent result =
      event.wallet ? Wallet(event.client, amount) : Commission(event.client, amount);
  (*result.mutable_attributes())[event.wallet ? "source" : "product"] = event.attribute;
  *result.mutable_occurred_at() = rpc::ToTimestamp(event.at);
  return result;
}

class History {
 public:
  explicit History(ShardedApp& app, uint64_t seed) : app_(app), random_(seed) {
    for (const size_t shard : {kSouth, kNorth}) {
      for (int i = 0; i < 3; ++i) clients_.push_back({ClientOn(shard, i), shard});
    }
  }

  void Write() {
    const size_t count = 1 + Below(4);
    // Half of the requests stay on one shard by intent, others as it comes.
    const bool together = Below(4) != 0;
    const size_t shard = Below(2);
    std::vector<ModelEvent> events;
    std::set<size_t> shards;
    while (events.size() < count) {
      const Client& client = clients_[Below(clients_.size())];
      if (together && client.shard != shard) continue;
      shards.insert(client.shard);
      events.push_back({.client = client.id,
                        .wallet = Below(2) == 0,
                        .attribute = Below(2) == 0 ? "a" : "b",
                        .at = AnyTime(),
                        .cents = static_cast<int64_t>(1 + Below(5000)) * (Below(2) == 0 ? 1 : -1)});
    }
    v1::WriteEventsRequest request = Request("h" + std::to_string(requests_++), {});
    for (const ModelEvent& event : events) *request.add_events() = ToRequest(event);
    request.set_dry_run(Below(10) == 0);
    INFO("request " << request.ShortDebugString());
    const absl::Status status = app_.client->Write(request);
    INFO(status);
    if (shards.size() > 1) {
      ++across_;
      REQUIRE(status.code() == absl::StatusCode::kInvalidArgument);
    } else if (!Allowed(events)) {
      ++below_;
      REQUIRE(InfoOf(status)["reason"] == "BALANCE_BELOW_MINIMUM");
    } else {
      REQUIRE(status.ok());
      if (!request.dry_run()) {
        events_.insert(events_.end(), events.begin(), events.end());
        // A repetition changes nothing.
        if (Below(5) == 0) REQUIRE(app_.client->Write(request).ok());
      }
    }
  }

  void Ask() {
    AskBalances();
    AskTurnover();
    AskEvents();
  }

  void CheckCoverage() const {
    CHECK(across_ > 0);
    CHECK(below_ > 0);
    CHECK(events_.size() > 100);
  }

 private:
  struct Client {
    int id;
    size_t shard;
  };

  size_t Below(size_t bound) { return random_() % bound; }
  absl::Time AnyTime() {
    const absl::Time now = absl::FromUnixMicros(absl::ToUnixMicros(absl::Now()));
    if (Below(3) == 0 && !events_.empty())
      return events_[Below(events_.size())].at + absl::Microseconds(Below(2));
    return now - absl::Minutes(Below(2) == 0 ? Below(3 * 24 * 60) : Below(800 * 24 * 60));
  }
  static v1::AccountKey KeyOf(int client, bool wallet) {
    return wallet ? Wallet(client, "1").account() : Commission(client, "1").account();
  }

  template <typename Wanted>
  int64_t Sum(int client, bool wallet, Wanted wanted) const {
    int64_t sum = 0;
    for (const ModelEvent& event : events_) {
      if (event.client == client && event.wallet == wallet && wanted(event)) sum += event.cents;
    }
    return sum;
  }
  // A wallet may not end below zero.
  bool Allowed(const std::vector<ModelEvent>& events) const {
    std::map<int, int64_t> changes;
    for (const ModelEvent& event : events) {
      if (event.wallet) changes[event.client] += event.cents;
    }
    for (const auto& [client, change] : changes) {
      const int64_t before = Sum(client, true, [](const ModelEvent&) { return true; });
      if (before + change < 0 && change < 0) return false;
    }
    return true;
  }

  void AskBalances() {
    const bool wallet = Below(2) == 0;
    const absl::Time at = AnyTime();
    v1::BatchGetBalancesRequest request;
    *request.mutable_at()->mutable_time() = rpc::ToTimestamp(at);
    std::vector<int> asked;
    for (size_t i = 1 + Below(8); i > 0; --i) asked.push_back(clients_[Below(clients_.size())].id);
    for (const int client : asked) *request.add_accounts() = KeyOf(client, wallet);
    INFO("balances " << request.ShortDebugString());
    v1::BatchGetBalancesResponse response;
    REQUIRE(app_.client->Balances(request, &response).ok());
    REQUIRE(response.accounts_size() == static_cast<int>(asked.size()));
    for (size_t i = 0; i < asked.size(); ++i) {
      CHECK(response.accounts(static_cast<int>(i)).balances(0).balance() ==
            Text(Sum(asked[i], wallet, [&](const ModelEvent& event) { return event.at < at; }),
                 wallet));
    }
  }

  void AskTurnover() {
    const bool wallet = Below(2) == 0;
    const int client = clients_[Below(clients_.size())].id;
    absl::Time from = AnyTime(), to = AnyTime();
    if (from > to) std::swap(from, to);
    v1::GetTurnoverRequest request;
    *request.mutable_account() = KeyOf(client, wallet);
    *request.mutable_from()->mutable_time() = rpc::ToTimestamp(from);
    *request.mutable_to()->mutable_time() = rpc::ToTimestamp(to);
    INFO("turnover " << request.ShortDebugString());
    v1::GetTurnoverResponse response;
    ClientCall call;
    REQUIRE(app_.client->accounts->GetTurnover(&call.context, request, &response).ok());
    const auto within = [&](bool credit) {
      return std::abs(Sum(client, wallet, [&](const ModelEvent& event) {
        return event.at >= from && event.at < to && (event.cents > 0) == credit;
      }));
    };
    const v1::Turnover& found = response.turnovers(0);
    CHECK(found.opening_balance() ==
          Text(Sum(client, wallet, [&](const ModelEvent& event) { return event.at < from; }),
               wallet));
    CHECK(found.credit() == Text(within(true), wallet));
    CHECK(found.debit() == Text(within(false), wallet));
    CHECK(
        found.closing_balance() ==
        Text(Sum(client, wallet, [&](const ModelEvent& event) { return event.at < to; }), wallet));
  }

  void AskEvents() {
    const bool wallet = Below(2) == 0;
    const int client = clients_[Below(clients_.size())].id;
    const absl::Time from = AnyTime();
    v1::ListEventsRequest request;
    *request.mutable_account() = KeyOf(client, wallet);
    *request.mutable_from()->mutable_time() = rpc::ToTimestamp(from);
    request.set_page_size(static_cast<int>(1 + Below(20)));
    INFO("events " << request.ShortDebugString());
    std::multiset<std::string> expected, found;
    for (const ModelEvent& event : events_) {
      if (event.client == client && event.wallet == wallet && event.at >= from)
        expected.insert(
            absl::StrFormat("%d %s", absl::ToUnixMicros(event.at), Text(event.cents, wallet)));
    }
    do {
      v1::ListEventsResponse response;
      ClientCall call;
      REQUIRE(app_.client->accounts->ListEvents(&call.context, request, &response).ok());
      for (const v1::Event& event : response.events()) {
        found.insert(absl::StrFormat(
            "%d %s%s",
            event.occurred_at().seconds() * 1'000'000 + event.occurred_at().nanos() / 1000,
            event.side() == v1::SIDE_DEBIT ? "-" : "", event.amount()));
      }
      request.set_page_token(response.next_page_token());
    } while (!request.page_token().empty() && found.size() <= expected.size());
    CHECK(found == expected);
  }

  ShardedApp& app_;
  std::mt19937_64 random_;
  std::vector<Client> clients_;
  std::vector<ModelEvent> events_;  // that were written
  int requests_ = 0;
  int across_ = 0;
  int below_ = 0;
};

// The stored balances of a shard that are not the sum of their events.
const char kWrongBalances[] =
    "SELECT count(*) FROM account_balances AS b JOIN ("
    "  SELECT account_id, sum(CASE WHEN is_credit THEN amount ELSE -amount END) AS total"
    "  FROM events JOIN subaccounts USING (subaccount_id) GROUP BY account_id) AS e "
    "USING (account_id) WHERE b.balance <> e.total OR b.balance < 0";

}  // namespace

TEST_CASE("answers over two shards equal the naive sum, whatever has been aggregated") {
  INFO("SALDO_TEST_SEED=" << testing::Seed());
  ShardedApp app([](ServerConfig& config) {
    // Always somewhere in between.
    config.ledger.aggregation.options.interval = absl::Milliseconds(20);
    config.ledger.aggregation.options.batch_limit = 3;
    config.ledger.aggregation.options.event_limit = 7;
  });
  History history(app, testing::Seed());
  for (int step = 0; step < 250; ++step) {
    INFO("step " << step);
    history.Write();
    history.Ask();
  }
  history.CheckCoverage();
  for (const size_t shard : {kSouth, kNorth}) {
    CHECK(app.database(shard).Query("SELECT count(*) > 10 FROM events") == "t");
    CHECK(app.database(shard).Query(kWrongBalances) == "0");
  }
}

TEST_CASE("two servers on two shards keep limits, ids and sums under load") {
  INFO("SALDO_TEST_SEED=" << testing::Seed());
  ShardedApp first;
  App second(ShardedConfig(first.south.dsn(), first.north.dsn()));
  REQUIRE(second.Start().ok());
  const ShardsClient other(second.grpc_port());
  constexpr int kThreads = 16, kRequests = 60;
  std::atomic<int> accepted{0}, rejected{0}, failed{0};
  std::array<std::atomic<int64_t>, 2> credited{};
  {
    std::vector<runtime::Thread> callers;
    for (int t = 0; t < kThreads; ++t) {
      callers.emplace_back("caller", [&, t] {
        std::mt19937_64 random(testing::Seed() + static_cast<uint64_t>(t));
        for (int i = 0; i < kRequests; ++i) {
          const size_t shard = random() % 2;
          const int64_t cents = static_cast<int64_t>(random() % 2000) - 1000;
          if (cents == 0) continue;
          const int client = ClientOn(shard, static_cast<int>(random() % 2));
          const auto request =
              Request(absl::StrFormat("%d-%d", t, i), {Wallet(client, Text(cents, true))});
          const bool twice = random() % 4 == 0;
          const absl::Status status = (random() % 2 == 0 ? *first.client : other).Write(request);
          if (status.ok()) {
            ++accepted;
            credited[shard] += cents;
            if (twice && !other.Write(request).ok()) ++failed;
          } else if (absl::IsFailedPrecondition(status)) {
            ++rejected;
          } else {
            ++failed;
          }
        }
      });
    }
  }
  CHECK(failed == 0);
  CHECK(accepted > 100);
  CHECK(rejected > 10);
  for (const size_t shard : {kSouth, kNorth}) {
    CHECK(first.database(shard).Query(kWrongBalances) == "0");
    CHECK(
        first.database(shard).Query("SELECT (100 * sum(balance))::bigint FROM account_balances") ==
        std::to_string(credited[shard]));
    CHECK(first.database(shard).Query("SELECT count(*) = count(DISTINCT request_id) "
                                      "FROM write_requests") == "t");
  }
}

}  // namespace saldo::server
