// Changes of states through the ledger's writer, one after the other.
#include "server/states/part.h"

#include <catch2/catch.hpp>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/synchronization/blocking_counter.h"
#include "common/base/status_macros.h"
#include "common/runtime/thread.h"
#include "server/states/store.h"
#include "tests/server/states/states_fixture.h"
#include "tests/support/test_env.h"

namespace saldo::states {
namespace {

using Details = std::map<std::string, std::string>;

TEST_CASE("a state is made, replaced and removed, each as expected or not at all") {
  const StateLedger ledger;
  TestServer server(ledger);
  const auto make = [&](const std::string& id, Change change) {
    return server.Make(id, std::move(change));
  };
  const auto* type = server.progress;
  // Not there yet.
  CHECK(InfoOf(make("1", Put(type, "7", "{}", 5)).status()) ==
        Details{{"reason", "STATE_VERSION_MISMATCH"},
                {"type", "progress"},
                {"key", "client_id=7"},
                {"expected", "5"},
                {"current", "0"}});
  CHECK(make("2", Delete(type, "7", 5)).status().code() == absl::StatusCode::kAborted);
  REQUIRE(make("3", Delete(type, "7")).ok());
  CHECK_FALSE(server.Read(type, "7").has_value());

  const auto first = make("4", Put(type, "7", "{\"b\": 1,  \"a\": 2}", 0));
  REQUIRE(first.ok());
  REQUIRE(server.Read(type, "7").has_value());
  CHECK(server.Read(type, "7")->document == "{\"b\": 1,  \"a\": 2}");
  CHECK(server.Read(type, "7")->version == *first);
  CHECK(absl::AbsDuration(absl::Now() - server.Read(type, "7")->updated_at) < absl::Minutes(1));
  CHECK(InfoOf(make("5", Put(type, "7", "1", 0)).status())["current"] == std::to_string(*first));

  const auto second = make("6", Put(type, "7", "[2]", *first));
  REQUIRE(second.ok());
  CHECK(*second > *first);
  CHECK(make("7", Delete(type, "7", *first)).status().code() == absl::StatusCode::kAborted);
  const auto third = make("8", Put(type, "7", "3"));
  REQUIRE(third.ok());
  REQUIRE(make("9", Delete(type, "7", *third)).ok());
  CHECK_FALSE(server.Read(type, "7").has_value());
  CHECK(ledger.Number("SELECT count(*) FROM states") == 0);
  const auto again = make("10", Put(type, "7", "4"));
  REQUIRE(again.ok());
  CHECK(*again > *third);

  std::string told;
  int64_t last = 0;
  for (const v1::StateEvent& event : ledger.Events()) {
    CHECK(event.type() == "progress");
    CHECK(event.key().at("client_id") == "7");
    CHECK(event.version() > last);
    last = event.version();
    told += event.request_id() + ":" + (event.deleted() ? "deleted" : event.document()) + " ";
  }
  CHECK(told == "4:{\"b\": 1,  \"a\": 2} 6:[2] 8:3 9:deleted 10:4 ");
  CHECK(ledger.database.Query(
            "SELECT DISTINCT convert_from(key, 'UTF8') || ' ' || type FROM outbox") ==
        "progress/7 saldo.v1.StateEvent");
  CHECK(server.registry.Text().find("saldo_state_changes_total{operation=\"put\"} 4") !=
        std::string::npos);
  CHECK(server.registry.Text().find("saldo_state_changes_total{operation=\"delete\"} 1") !=
        std::string::npos);
  CHECK(server.registry.Text().find("saldo_state_conflicts_total 4") != std::string::npos);
}

TEST_CASE("a type without a topic tells nobody") {
  const StateLedger ledger;
  TestServer server(ledger);
  REQUIRE(server.Make("1", Put(server.note, "x", "null")).ok());
  REQUIRE(server.Make("2", Delete(server.note, "x")).ok());
  CHECK(ledger.Number("SELECT count(*) FROM outbox") == 0);
}

TEST_CASE("a repeated change gets the first version, also after later changes") {
  const StateLedger ledger;
  TestServer first(ledger);
  TestServer second(ledger);
  const auto version = first.Make("a", Put(first.progress, "1", "1", 0));
  REQUIRE(version.ok());
  REQUIRE(second.Make("b", Put(first.progress, "1", "2", *version)).ok());
  CHECK(second.Make("a", Put(first.progress, "1", "1", 0)).value_or(-1) == *version);
  REQUIRE(first.Make("c", Delete(first.progress, "1")).ok());
  REQUIRE(first.Make("d", Put(first.progress, "1", "3")).ok());
  // The removal is not made again.
  CHECK(second.Make("c", Delete(first.progress, "1")).ok());
  CHECK(first.Read(first.progress, "1")->document == "3");
  CHECK(ledger.Events().size() == 4);

  const auto reused = [&](Change change) {
    return InfoOf(first.Make("a", std::move(change)).status());
  };
  const Details expected{{"reason", "REQUEST_ID_REUSED"}, {"request_id", "a"}};
  CHECK(reused(Put(first.progress, "1", "2", 0)) == expected);
  CHECK(reused(Put(first.progress, "1", "1", 1)) == expected);
  CHECK(reused(Put(first.progress, "1", "1")) == expected);
  CHECK(reused(Put(first.progress, "2", "1", 0)) == expected);
  CHECK(reused(Put(first.note, "1", "1", 0)) == expected);
  CHECK(reused(Delete(first.progress, "1", 0)) == expected);
}

TEST_CASE("changes of one state that come together each get a batch, in their order") {
  const StateLedger ledger;
  TestServer server(ledger);
  constexpr int kChanges = 60;
  absl::BlockingCounter answered(kChanges);
  absl::Mutex mutex;
  std::map<int64_t, int> changes;  // version -> change
  int failed = 0;
  for (int i = 1; i <= kChanges; ++i) {
    server.SubmitChange(
        "r" + std::to_string(i),
        i % 7 == 0 ? Delete(server.progress, "1") : Put(server.progress, "1", std::to_string(i)),
        [&, i](absl::StatusOr<accounts::Written> written) {
          {
            absl::MutexLock lock(&mutex);
            if (written.ok()) changes[written->batch_id] = i;
            if (!written.ok()) ++failed;
          }
          answered.DecrementCount();
        });
  }
  answered.Wait();
  CHECK(failed == 0);
  REQUIRE(changes.size() == kChanges);
  int next = 1;
  for (const auto& [version, change] : changes) CHECK(change == next++);
  CHECK(server.Read(server.progress, "1")->document == std::to_string(kChanges));
  CHECK(ledger.Events().size() == kChanges);
}

TEST_CASE("of two servers that make one state, one does when it must not be there") {
  const StateLedger ledger;
  TestServer first(ledger);
  TestServer second(ledger);
  constexpr int kStates = 30;
  constexpr int kTries = 4;
  absl::BlockingCounter answered(kStates * kTries);
  std::atomic<int> made{0};
  std::atomic<int> refused{0};
  for (int i = 0; i < kStates; ++i) {
    for (int t = 0; t < kTries; ++t) {
      TestServer& server = t % 2 == 0 ? first : second;
      server.SubmitChange(std::to_string(i) + "/" + std::to_string(t),
                          Put(server.progress, std::to_string(i), std::to_string(t), 0),
                          [&](absl::StatusOr<accounts::Written> written) {
                            if (written.ok()) ++made;
                            if (InfoOf(written.status())["reason"] == "STATE_VERSION_MISMATCH")
                              ++refused;
                            answered.DecrementCount();
                          });
    }
  }
  answered.Wait();
  CHECK(made == kStates);
  CHECK(refused == kStates * (kTries - 1));
  CHECK(ledger.Number("SELECT count(*) FROM states") == kStates);
}

constexpr absl::Duration kPatience = absl::Seconds(30);

// Whether somebody waits for a lock of the ledger's database.
bool SomebodyWaits(const StateLedger& ledger) {
  return testing::Eventually(kPatience, [&] {
    return ledger.Number(
               "SELECT count(*) FROM pg_locks JOIN pg_database AS d ON d.oid = database "
               "WHERE datname = current_database() AND NOT granted") > 0 ||
           ledger.Number(
               "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' "
               "AND datname = current_database()") > 0;
  });
}

TEST_CASE("who finds no state may make it before all others, so that versions grow") {
  const StateLedger ledger;
  TestServer first(ledger);
  TestServer second(ledger);
  absl::StatusOr<int64_t> later = absl::UnknownError("not answered");
  runtime::Thread other;
  int64_t version = 0;
  const absl::Status status = first.pool.Transact(
      CallContext::WithTimeout(absl::Seconds(60)), {.name = "test.make", .max_attempts = 1},
      [&](postgres::Transaction& tx) -> absl::Status {
        const std::vector<Name> names = {{"progress", "1"}};
        SALDO_RETURN_IF_ERROR(LockStates(tx, names, names).status());
        static constexpr postgres::Statement kNext{"test.next", "SELECT nextval('batch_id_seq')"};
        SALDO_RETURN_IF_ERROR(tx.Defer(kNext));
        SALDO_ASSIGN_OR_RETURN(auto results, tx.Send());
        SALDO_ASSIGN_OR_RETURN(const auto next, std::move(results.back()).One<int64_t>());
        version = std::get<0>(next);
        SALDO_ASSIGN_OR_RETURN(
            const Before before,
            TakeLocked(absl::MakeSpan(results).subspan(0, results.size() - 1), names, names));
        if (!before.versions.empty()) return absl::InternalError("the state is there");
        other = runtime::Thread(
            "other", [&] { later = second.Make("later", Put(second.progress, "1", "2")); });
        if (!SomebodyWaits(ledger)) return absl::InternalError("the other does not wait");
        return Write(tx, version,
                     {.made = {.types = {"progress"}, .keys = {"1"}, .documents = {"1"}},
                      .replaced = {},
                      .removed = {}});
      });
  other.Join();
  INFO(status.ToString());
  REQUIRE(status.ok());
  REQUIRE(later.ok());
  CHECK(*later > version);
  CHECK(first.Read(first.progress, "1")->document == "2");
}

TEST_CASE("a state that goes while its change waits for it is made anew, or expected in vain") {
  const StateLedger ledger;
  TestServer server(ledger);
  REQUIRE(server.Make("1", Put(server.progress, "1", "1")).ok());
  const bool expects = GENERATE(false, true);
  const int64_t version = server.Read(server.progress, "1")->version;
  absl::StatusOr<int64_t> made = absl::UnknownError("not answered");
  runtime::Thread other;
  const absl::Status status = server.pool.Transact(
      CallContext::WithTimeout(absl::Seconds(60)), {.name = "test.remove", .max_attempts = 1},
      [&](postgres::Transaction& tx) -> absl::Status {
        static constexpr postgres::Statement kRemove{"test.remove", "DELETE FROM states"};
        SALDO_RETURN_IF_ERROR(tx.Query(kRemove).status());
        other = runtime::Thread("other", [&] {
          made = server.Make(
              "2", Put(server.progress, "1", "2", expects ? std::optional(version) : std::nullopt));
        });
        return SomebodyWaits(ledger) ? absl::OkStatus() : absl::InternalError("nobody waits");
      });
  other.Join();
  INFO(status.ToString());
  REQUIRE(status.ok());
  if (expects) {
    CHECK(InfoOf(made.status())["current"] == "0");
  } else {
    REQUIRE(made.ok());
    CHECK(*made > version);
    CHECK(server.Read(server.progress, "1")->document == "2");
  }
}

TEST_CASE("a type that was redefined elsewhere is not written by its old definition") {
  const StateLedger ledger;
  TestServer server(ledger);
  ledger.database.Query("UPDATE keyed_types SET redefinition = 1 WHERE name = 'note'");
  CHECK(server.Make("1", Put(server.note, "x", "1")).status().code() ==
        absl::StatusCode::kUnavailable);
  CHECK(server.Make("2", Put(server.progress, "1", "1")).ok());
  CHECK(ledger.database.Query(std::string(kStateUse.used_names.sql)) == "progress");
}

}  // namespace
}  // namespace saldo::states
