#include "server/accounts/aggregation/aggregation.h"

#include <catch2/catch.hpp>
#include <random>

#include "common/runtime/thread.h"
#include "tests/server/accounts/aggregation/ledger_database.h"

namespace saldo::accounts {
namespace {

Decimal Amount(const char* text) { return Decimal::Parse(text).value(); }

// So many batches of one event each, a minute apart.
void WriteBatches(const LedgerDatabase& database, int32_t type, int64_t subaccount, int count) {
  for (int i = 0; i < count; ++i) {
    database.Write({{.type = type,
                     .subaccount = subaccount,
                     .at = Utc("2026-02-27 23:50:00") + absl::Minutes(i),
                     .credit = i % 3 == 0,
                     .amount = Amount("1.25")}});
  }
}

int64_t Cursor(const LedgerDatabase& database) {
  return database.Number("SELECT seq FROM cursors WHERE consumer = 'aggregation'");
}

std::string Pending(const LedgerDatabase& database) {
  return database.Query("SELECT pending FROM aggregation");
}

std::string Metric(LedgerDatabase& database, const std::string& name) {
  const std::string text = database.registry().Text();
  const size_t at = text.find("\n" + name + " ");
  if (at == std::string::npos) return "none";
  const size_t value = at + name.size() + 2;
  return text.substr(value, text.find('\n', value) - value);
}

}  // namespace

TEST_CASE("events are added to the turnovers of their day, month and year") {
  LedgerDatabase database("Europe/Moscow");
  const int32_t type = database.AddType("wallet");
  const int64_t one = database.Subaccount(type, "1");
  const int64_t two = database.Subaccount(type, "2");
  const absl::Time at = Utc("2025-12-31 21:00:00");  // the year's start in Moscow
  database.Write({{type, one, at, true, Amount("10")}, {type, two, at, false, Amount("0.5")}});
  database.Write({{type, one, at - absl::Microseconds(1), false, Amount("3.25")},
                  {type, one, at, true, Amount("1")}});
  Aggregation aggregation({}, database.pool(), database.registry());
  CHECK_FALSE(aggregation.RunOnce().value());  // nothing has a seq yet
  CHECK(Cursor(database) == 0);
  CHECK(Pending(database) == "{[1,)}");

  database.Sequence();
  CHECK_FALSE(aggregation.RunOnce().value());
  CHECK(Cursor(database) == 2);
  CHECK(Pending(database) == "{[3,)}");
  CHECK(database.Query("SELECT * FROM turnovers_day ORDER BY 1, 2") ==
        "1|2025-12-31|3.25|0\n1|2026-01-01|0|11\n2|2026-01-01|0.5|0");
  CHECK(database.Query("SELECT * FROM turnovers_month ORDER BY 1, 2") ==
        "1|2025-12-01|3.25|0\n1|2026-01-01|0|11\n2|2026-01-01|0.5|0");
  CHECK(database.Query("SELECT * FROM turnovers_year ORDER BY 1, 2") ==
        "1|2025-01-01|3.25|0\n1|2026-01-01|0|11\n2|2026-01-01|0.5|0");
  CHECK_FALSE(aggregation.RunOnce().value());
  CHECK(database.WrongTurnovers() == "");
  CHECK(Metric(database, "saldo_aggregation_events_total") == "4");
}

TEST_CASE("a run is bounded by batches and by events") {
  LedgerDatabase database;
  const int32_t type = database.AddType("wallet");
  const int64_t subaccount = database.Subaccount(type, "1");
  WriteBatches(database, type, subaccount, 10);
  database.Sequence();
  Aggregation by_batches({.batch_limit = 3}, database.pool(), database.registry());
  CHECK(by_batches.RunOnce().value());
  CHECK(Cursor(database) == 3);
  CHECK(Pending(database) == "{[4,)}");
  CHECK(database.WrongTurnovers() == "");
  CHECK(Metric(database, "saldo_aggregation_lag_batches") == "7");
  CHECK(Metric(database, "saldo_aggregation_lag_seconds") != "0");
  Aggregation by_events({.event_limit = 4}, database.pool(), database.registry());
  CHECK(by_events.RunOnce().value());
  CHECK(Cursor(database) == 7);
  CHECK(by_batches.RunOnce().value() == false);
  CHECK(Cursor(database) == 10);
  CHECK(database.WrongTurnovers() == "");
  CHECK(Metric(database, "saldo_aggregation_lag_batches") == "0");
  CHECK(Metric(database, "saldo_aggregation_lag_seconds") == "0");

  // A batch that is larger than the limit goes alone.
  std::vector<TestEvent> many(9, TestEvent{type, subaccount, absl::Now(), true, Amount("1")});
  database.Write(many);
  database.Write(many);
  database.Sequence();
  CHECK(by_events.RunOnce().value());
  CHECK(Cursor(database) == 11);
  CHECK_FALSE(by_events.RunOnce().value());
  CHECK(database.WrongTurnovers() == "");
}

TEST_CASE("ids of open transactions stay pending, those of rolled back ones are forgotten") {
  LedgerDatabase database;
  const int32_t type = database.AddType("wallet");
  const int64_t subaccount = database.Subaccount(type, "1");
  const std::vector<TestEvent> event = {
      {type, subaccount, Utc("2020-01-01 00:00:00"), true, Amount("2")}};
  Aggregation aggregation({}, database.pool(), database.registry());
  OpenBatch commits(database.dsn(), event), rolls_back(database.dsn(), event);
  database.Write(event);
  database.Sequence();
  REQUIRE_FALSE(aggregation.RunOnce().value());
  CHECK(Pending(database) == "{[1,3),[4,)}");
  CHECK(database.Query("SELECT credit FROM turnovers_day") == "2");
  commits.Commit();
  database.Sequence();
  REQUIRE_FALSE(aggregation.RunOnce().value());
  CHECK(Pending(database) == "{[2,3),[4,)}");
  CHECK(database.Query("SELECT credit FROM turnovers_day") == "4");
  rolls_back.Rollback();
  jobs::Sequencer sequencer({}, postgres::ConnectionOptions{.dsn = database.dsn()},
                            database.registry());
  MustBeOk(sequencer.Start());
  REQUIRE(testing::Eventually(
      absl::Seconds(30), [&] { return database.Query("SELECT gaps FROM sequencer") == "{}"; }));
  REQUIRE_FALSE(aggregation.RunOnce().value());
  CHECK(Pending(database) == "{[4,)}");
  CHECK(database.WrongTurnovers() == "");
}

TEST_CASE("a day is the accounting day whatever the clocks do") {
  for (const char* zone :
       {"America/St_Johns", "America/Havana", "Asia/Kathmandu", "Pacific/Apia", "Europe/Moscow"}) {
    LedgerDatabase database(zone);
    const int32_t type = database.AddType("wallet");
    const int64_t subaccount = database.Subaccount(type, "1");
    std::vector<TestEvent> events;
    const auto add = [&](absl::Time at) {
      events.push_back({type, subaccount, at, events.size() % 2 == 0, Amount("0.01")});
    };
    // About the days on which clocks are changed somewhere, and about those of this year.
    for (const char* day : {"2006-04-02 00:00:00", "2006-10-29 00:00:00", "2011-12-30 00:00:00",
                            "2024-03-10 00:00:00", "2024-11-03 00:00:00"}) {
      for (int i = -144; i < 144; ++i) {
        add(Utc(day) + absl::Minutes(20 * i));
        add(Utc(day) + absl::Minutes(20 * i) - absl::Microseconds(1));
      }
    }
    for (int i = 0; i < 400; ++i) add(absl::Now() - absl::Hours(22 * i));
    database.Write(events);
    database.Sequence();
    Aggregation aggregation({}, database.pool(), database.registry());
    REQUIRE_FALSE(aggregation.RunOnce().value());
    INFO(zone);
    CHECK(database.WrongTurnovers() == "");
    CHECK(database.Number("SELECT sum(debit + credit) * 100 FROM turnovers_year") ==
          static_cast<int64_t>(events.size()));
  }
}

TEST_CASE("several that run at once add nothing twice") {
  INFO("SALDO_TEST_SEED=" << testing::Seed());
  std::mt19937_64 random(testing::Seed());
  LedgerDatabase database;
  const int32_t types[] = {database.AddType("wallet"), database.AddType("reward")};
  std::vector<int64_t> subaccounts;
  for (int i = 0; i < 6; ++i)
    subaccounts.push_back(database.Subaccount(types[i % 2], std::to_string(i)));
  jobs::Sequencer sequencer({}, postgres::ConnectionOptions{.dsn = database.dsn()},
                            database.registry());
  MustBeOk(sequencer.Start());
  std::vector<std::unique_ptr<Aggregation>> several;
  for (int i = 0; i < 3; ++i) {
    several.push_back(std::make_unique<Aggregation>(
        AggregationOptions{.interval = absl::Milliseconds(5), .batch_limit = 1 + i * 3},
        database.pool(), database.registry()));
    MustBeOk(several.back()->Start());
  }
  for (int i = 0; i < 40; ++i) {
    std::vector<TestEvent> events;
    for (size_t e = 0; e <= random() % 5; ++e) {
      const size_t at = random() % 6;
      events.push_back({types[at % 2], subaccounts[at],
                        Utc("2026-01-01 00:00:00") - absl::Minutes(random() % 3'000'000),
                        random() % 2 == 0, Amount("0.07")});
    }
    database.Write(events);
    if (i % 10 == 0) REQUIRE(database.WrongTurnovers() == "");
  }
  runtime::StopSignal stop;
  REQUIRE(testing::Eventually(
      absl::Seconds(30), [&] { return database.Query("SELECT last_seq FROM sequencer") == "40"; }));
  REQUIRE(several[0]->CatchUp(stop).ok());
  CHECK(Cursor(database) == 40);
  for (auto& one : several) one->Stop();
  CHECK(database.WrongTurnovers() == "");
  CHECK(Metric(database, "saldo_aggregation_batches_total") == "40");
}

TEST_CASE("who finds another at work does not wait, unless to catch up") {
  LedgerDatabase database;
  const int32_t type = database.AddType("wallet");
  WriteBatches(database, type, database.Subaccount(type, "1"), 3);
  database.Sequence();
  Aggregation aggregation({.batch_limit = 1}, database.pool(), database.registry());
  const auto other = *postgres::Connection::Open({.dsn = database.dsn()}, Soon());
  MustBeOk(other->ExecuteScript(Soon(), "BEGIN; SELECT FROM cursors FOR UPDATE"));
  CHECK_FALSE(aggregation.RunOnce().value());
  CHECK(Cursor(database) == 0);
  runtime::StopSignal stopped;
  stopped.Stop();
  CHECK(absl::IsCancelled(aggregation.CatchUp(stopped)));

  runtime::StopSignal stop;
  absl::Status caught_up = absl::UnknownError("not yet");
  runtime::Thread thread("catch_up", [&] { caught_up = aggregation.CatchUp(stop); });
  MustBeOk(other->ExecuteScript(Soon(), "COMMIT"));
  thread.Join();
  CHECK(caught_up.ok());
  CHECK(Cursor(database) == 3);
}

TEST_CASE("balanced writes that do not sum up to zero are shown") {
  LedgerDatabase database;
  const int32_t type = database.AddType("wallet");
  const int64_t from = database.Subaccount(type, "1"), to = database.Subaccount(type, "2");
  const int64_t dollars = database.Subaccount(type, "3", "p", "r", "USD");
  const absl::Time at = Utc("2026-01-01 00:00:00");
  database.Write({{type, from, at, false, Amount("7"), true},
                  {type, to, at, true, Amount("7"), true},
                  {type, dollars, at, true, Amount("9"), false}});
  database.Sequence();
  Aggregation aggregation({}, database.pool(), database.registry());
  REQUIRE_FALSE(aggregation.RunOnce().value());
  CHECK(database.Query("SELECT * FROM imbalances") == "RUB|0");
  CHECK(Metric(database, "saldo_ledger_imbalanced_assets") == "0");
  database.Write({{type, dollars, at, false, Amount("1.5"), true}});
  database.Sequence();
  REQUIRE_FALSE(aggregation.RunOnce().value());
  CHECK(database.Query("SELECT * FROM imbalances ORDER BY 1") == "RUB|0\nUSD|-1.5");
  CHECK(Metric(database, "saldo_ledger_imbalanced_assets") == "1");
}

TEST_CASE("a database without a ledger lets batches pass") {
  LedgerDatabase database;
  database.Query("DELETE FROM ledger");
  database.Write({});
  database.Sequence();
  Aggregation aggregation({}, database.pool(), database.registry());
  runtime::StopSignal stop;
  REQUIRE(aggregation.CatchUp(stop).ok());
  CHECK(Cursor(database) == 1);
}

}  // namespace saldo::accounts
