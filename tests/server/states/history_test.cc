// Many callers over two servers on one database, as random histories.
#include <catch2/catch.hpp>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "common/runtime/thread.h"
#include "tests/server/states/states_fixture.h"
#include "tests/support/test_env.h"

namespace saldo::states {
namespace {

TEST_CASE("a counter that many raise by its version counts the raises that were acknowledged") {
  const StateLedger ledger;
  TestServer first(ledger);
  TestServer second(ledger);
  constexpr int kThreads = 8;
  constexpr int kRaises = 25;  // of each thread, however many tries they take
  absl::Mutex mutex;
  std::set<int64_t> versions;
  int conflicts = 0;
  std::string failure;
  {
    std::vector<runtime::Thread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back("raise", [&, t] {
        TestServer& server = t % 2 == 0 ? first : second;
        int raised = 0;
        for (int n = 0; raised < kRaises; ++n) {
          const std::optional<State> state = server.Read(server.progress, "1");
          int value = 0;
          if (state.has_value() && !absl::SimpleAtoi(state->document, &value)) break;
          const std::string id = absl::StrCat(t, "/", n);
          const Change change = Put(server.progress, "1", std::to_string(value + 1),
                                    state.has_value() ? state->version : 0);
          auto version = server.Make(id, change);
          // A caller that crashed before it saw the answer asks again, another server perhaps.
          if (n % 3 == 0) {
            const auto again = (t % 2 == 0 ? second : first).Make(id, change);
            absl::MutexLock lock(&mutex);
            if (version.ok() != again.ok() || (version.ok() && *version != *again))
              failure = "a repeat got another answer";
          }
          absl::MutexLock lock(&mutex);
          if (version.ok()) {
            ++raised;
            if (state.has_value() && *version <= state->version) failure = "versions do not grow";
            if (!versions.insert(*version).second) failure = "a version was used twice";
          } else if (InfoOf(version.status())["reason"] == "STATE_VERSION_MISMATCH") {
            ++conflicts;
          } else {
            failure = version.status().ToString();
          }
          if (!failure.empty()) return;
        }
      });
    }
    for (runtime::Thread& thread : threads) thread.Join();
  }
  INFO(failure);
  CHECK(failure.empty());
  CHECK(conflicts > 0);
  CHECK(first.Read(first.progress, "1")->document == std::to_string(kThreads * kRaises));
  const auto events = ledger.Events();
  REQUIRE(events.size() == kThreads * kRaises);
  for (size_t i = 0; i < events.size(); ++i) {
    CHECK(events[i].document() == std::to_string(i + 1));
    CHECK(events[i].version() == *std::next(versions.begin(), static_cast<int>(i)));
  }
}

// One change as it was asked for and acknowledged.
struct Ask {
  Change change;
  std::set<int64_t> batches;  // one, however often it was asked
};

// Replays the acknowledged changes in the order of their batches, and checks that each was right.
void CheckHistory(const std::map<std::string, Ask>& asks, const StateLedger& ledger,
                  TestServer& server) {
  const auto events = ledger.Events();
  std::set<std::string> removals;
  for (const v1::StateEvent& event : events) {
    if (event.deleted()) removals.insert(event.request_id());
  }
  std::multimap<int64_t, const Ask*> by_batch;
  for (const auto& [id, ask] : asks) {
    INFO(id);
    if (ask.batches.empty()) continue;
    REQUIRE(ask.batches.size() == 1);
    // A removal that found nothing is no change, and its batch may be younger than what came next.
    if (!ask.change.document.has_value() && !removals.contains(id)) {
      CHECK_FALSE(ask.change.expected.has_value());
      continue;
    }
    by_batch.emplace(*ask.batches.begin(), &ask);
  }
  std::map<std::string, std::pair<int64_t, std::string>> model;  // key -> version, document
  std::map<std::string, int64_t> changed;                        // key -> the last batch
  std::vector<std::string> told;
  for (const auto& [batch, ask] : by_batch) {
    const std::string& key = ask->change.name.key;
    const auto current = model.find(key);
    const int64_t version = current == model.end() ? 0 : current->second.first;
    if (ask->change.expected.has_value()) CHECK(*ask->change.expected == version);
    if (!ask->change.document.has_value()) CHECK(version > 0);
    CHECK(changed[key] < batch);
    changed[key] = batch;
    told.push_back(absl::StrCat(key, "@", batch, ":", ask->change.document.value_or("gone")));
    if (ask->change.document.has_value()) {
      model[key] = {batch, *ask->change.document};
    } else {
      model.erase(key);
    }
  }
  for (int key = 0; key < 4; ++key) {
    const auto state = server.Read(server.progress, std::to_string(key));
    const auto expected = model.find(std::to_string(key));
    REQUIRE(state.has_value() == (expected != model.end()));
    if (!state.has_value()) continue;
    CHECK(state->version == expected->second.first);
    CHECK(state->document == expected->second.second);
  }
  std::multiset<std::string> heard;
  std::map<std::string, int64_t> last;
  for (const v1::StateEvent& event : events) {
    const std::string& key = event.key().at("client_id");
    CHECK(last[key] < event.version());
    last[key] = event.version();
    heard.insert(
        absl::StrCat(key, "@", event.version(), ":", event.deleted() ? "gone" : event.document()));
  }
  CHECK(heard == std::multiset<std::string>(told.begin(), told.end()));
}

TEST_CASE("random changes by many callers follow from one another in the order of their versions") {
  const StateLedger ledger;
  TestServer first(ledger);
  TestServer second(ledger);
  INFO("SALDO_TEST_SEED=" << testing::Seed());
  const auto seed = static_cast<uint32_t>(testing::Seed());
  constexpr int kThreads = 8;
  constexpr int kChanges = 120;  // of each thread
  absl::Mutex mutex;
  std::map<std::string, Ask> asks;
  std::vector<std::string> failures;
  int refused = 0;
  {
    std::vector<runtime::Thread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back("change", [&, t] {
        std::mt19937 random(seed + static_cast<uint32_t>(t));
        const auto pick = [&random](int most) {
          return std::uniform_int_distribution<int>(0, most)(random);
        };
        for (int n = 0; n < kChanges; ++n) {
          const std::string id = absl::StrCat(t, "/", n);
          const std::string key = std::to_string(pick(3));
          std::optional<int64_t> expected;
          const bool removes = pick(2) == 0;
          if (pick(1) == 0) {
            const auto state = first.Read(first.progress, key);
            expected = state.has_value() ? state->version : 0;
            if (removes && *expected == 0) expected.reset();
          }
          const Change change = removes ? Delete(first.progress, key, expected)
                                        : Put(first.progress, key, std::to_string(n), expected);
          {
            absl::MutexLock lock(&mutex);
            asks[id].change = change;
          }
          for (int tries = pick(3) == 0 ? 2 : 1; tries > 0; --tries) {
            const auto batch = (pick(1) == 0 ? first : second).Make(id, change);
            absl::MutexLock lock(&mutex);
            if (batch.ok()) {
              asks[id].batches.insert(*batch);
            } else if (InfoOf(batch.status())["reason"] == "STATE_VERSION_MISMATCH") {
              ++refused;
            } else {
              failures.push_back(batch.status().ToString());
            }
          }
        }
      });
    }
    for (runtime::Thread& thread : threads) thread.Join();
  }
  for (const std::string& failure : failures) UNSCOPED_INFO(failure);
  CHECK(failures.empty());
  CHECK(refused > 10);
  CheckHistory(asks, ledger, first);
}

// Each request moves money and a document that says how much has been moved.
TEST_CASE("documents that are written with events always tell their sum") {
  const StateLedger ledger;
  TestServer first(ledger);
  TestServer second(ledger);
  INFO("SALDO_TEST_SEED=" << testing::Seed());
  const auto seed = static_cast<uint32_t>(testing::Seed());
  constexpr int kThreads = 6;
  absl::Mutex mutex;
  std::map<std::string, int> outcomes;
  {
    std::vector<runtime::Thread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back("move", [&, t] {
        std::mt19937 random(seed + static_cast<uint32_t>(t));
        TestServer& server = t % 2 == 0 ? first : second;
        for (int n = 0; n < 60; ++n) {
          const int client = std::uniform_int_distribution<int>(1, 3)(random);
          const int amount = std::uniform_int_distribution<int>(-400, 500)(random);
          if (amount == 0) continue;
          const auto state = server.Read(server.progress, std::to_string(client));
          int total = 0;
          if (state.has_value() && !absl::SimpleAtoi(state->document, &total)) break;
          auto request = accounts::Request(
              absl::StrCat(t, "/", n), {accounts::Event("wallet", client, std::to_string(amount))});
          v1::StatePut* put = request.add_states();
          put->set_type("progress");
          (*put->mutable_key())["client_id"] = std::to_string(client);
          put->set_document(std::to_string(total + amount));
          put->set_expected_version(state.has_value() ? state->version : 0);
          auto written = server.WriteWithStates(request);
          if (n % 4 == 0 && written.ok())
            written = (t % 2 == 0 ? second : first).WriteWithStates(request);
          absl::MutexLock lock(&mutex);
          ++outcomes[written.ok() ? "OK" : InfoOf(written.status())["reason"]];
        }
      });
    }
    for (runtime::Thread& thread : threads) thread.Join();
  }
  for (const auto& [outcome, count] : outcomes) UNSCOPED_INFO(outcome << " " << count);
  CHECK(outcomes["OK"] > 20);
  CHECK(outcomes["STATE_VERSION_MISMATCH"] > 0);
  CHECK(outcomes["BALANCE_BELOW_MINIMUM"] + outcomes["BALANCE_ABOVE_MAXIMUM"] > 0);
  CHECK(outcomes.size() == 4);  // nothing else
  CHECK(ledger.Number("SELECT count(*) FROM events") == outcomes["OK"]);
  CHECK(ledger.Number("SELECT count(*) FROM states AS s JOIN accounts AS a "
                      "ON a.key = s.key || E'\\x1f' || 'RUB' "
                      "JOIN account_balances AS b USING (account_id) "
                      "WHERE b.balance <> s.document::numeric") == 0);
}

}  // namespace
}  // namespace saldo::states
