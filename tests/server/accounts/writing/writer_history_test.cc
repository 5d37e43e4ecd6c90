// Several writers on one database at once, as several servers are, under random load.
#include <atomic>
#include <catch2/catch.hpp>
#include <map>
#include <random>
#include <set>
#include <string>

#include "absl/synchronization/blocking_counter.h"
#include "common/rpc/errors.h"
#include "tests/server/accounts/writing/ledger_fixture.h"
#include "tests/support/test_env.h"

namespace saldo::accounts {
namespace {

TEST_CASE("two servers on one database keep limits, ids and sums under load") {
  const LedgerDatabase ledger;
  TestWriter first(ledger);
  TestWriter second(ledger);
  std::mt19937 random(testing::Seed());
  const auto pick = [&random](int low, int high) {
    return std::uniform_int_distribution<int>(low, high)(random);
  };
  constexpr int kRequests = 3000;
  absl::BlockingCounter answered(kRequests);
  std::atomic<int> accepted = 0;
  std::atomic<int> rejected = 0;
  std::atomic<int> failed = 0;
  absl::Mutex mutex;
  std::map<std::string, std::set<int64_t>> batches_of;  // request id -> batches that answered it
  for (int i = 0; i < kRequests; ++i) {
    // A third of the ids come twice, perhaps at both servers.
    const std::string id = "r" + std::to_string(pick(0, kRequests * 2 / 3));
    std::mt19937 content(static_cast<uint32_t>(std::hash<std::string>()(id)));
    std::vector<v1::NewEvent> events;
    for (int n = std::uniform_int_distribution<int>(1, 3)(content); n > 0; --n) {
      const int client = std::uniform_int_distribution<int>(1, 8)(content);
      const int cents = std::uniform_int_distribution<int>(-30'000, 30'000)(content);
      if (cents == 0) continue;
      const std::string sign = cents < 0 ? "-" : "";
      const int size = std::abs(cents);
      events.push_back(Event(n == 3 ? "fee" : "wallet", client,
                             sign + std::to_string(size / 100) + "." +
                                 std::to_string(size % 100 / 10) + std::to_string(size % 10)));
    }
    if (events.empty()) events.push_back(Event("fee", 1, "1"));
    TestWriter& writer = pick(0, 1) == 0 ? first : second;
    writer.Submit(Request(id, std::move(events)), [&, id](absl::StatusOr<Written> answer) {
      if (answer.ok()) {
        ++accepted;
        absl::MutexLock lock(&mutex);
        batches_of[id].insert(answer->batch_id);
      } else if (absl::IsFailedPrecondition(answer.status())) {
        ++rejected;
      } else {
        ++failed;
        UNSCOPED_INFO(answer.status().ToString());
      }
      answered.DecrementCount();
    });
  }
  answered.Wait();
  CHECK(failed == 0);
  CHECK(accepted > 300);
  CHECK(rejected > 100);
  // An id is one batch, whoever answered it, and exactly once in the database.
  for (const auto& [id, batches] : batches_of) REQUIRE(batches.size() == 1);
  CHECK(ledger.Number("SELECT count(*) FROM write_requests") ==
        static_cast<int64_t>(batches_of.size()));
  CHECK(ledger.Number(
            "SELECT count(*) FROM account_balances WHERE balance < 0 OR balance > 1000") == 0);
  // Each stored balance is the sum of its events.
  CHECK(ledger.Number(
            "SELECT count(*) FROM account_balances AS b JOIN ("
            "  SELECT account_id, sum(CASE WHEN is_credit THEN amount ELSE -amount END) AS total"
            "  FROM events JOIN subaccounts USING (subaccount_id) WHERE type_id = 2"
            "  GROUP BY account_id) AS e USING (account_id) WHERE b.balance <> e.total") == 0);
  // The balance after each event follows from the one before, in the order of batches.
  CHECK(ledger.Number("SELECT count(*) FROM ("
                      "  SELECT balance_after - CASE WHEN is_credit THEN amount ELSE -amount END"
                      "    - coalesce(lag(balance_after) OVER (PARTITION BY subaccount_id"
                      "        ORDER BY batch_id, ordinal), 0) AS gap"
                      "  FROM events WHERE type_id = 2) AS steps WHERE gap <> 0") == 0);
  CHECK(ledger.Number("SELECT count(*) FROM (SELECT type_id, key FROM accounts "
                      "GROUP BY 1, 2 HAVING count(*) > 1) AS twice") == 0);
  CHECK(ledger.Number("SELECT count(*) FROM events") ==
        ledger.Number("SELECT sum(messages) FROM batches"));
}

}  // namespace
}  // namespace saldo::accounts
