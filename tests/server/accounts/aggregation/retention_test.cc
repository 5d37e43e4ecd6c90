#include "server/accounts/aggregation/retention.h"

#include <catch2/catch.hpp>

#include "server/accounts/aggregation/aggregation.h"
#include "tests/server/accounts/aggregation/ledger_database.h"

namespace saldo::accounts {
namespace {

// A type with partitions of ten batches, of which so many are written, one event each.
class Ten {
 public:
  explicit Ten(int batches) : type_(database_.AddType("wallet", "1 hour")) {
    database_.Narrow(type_, 10);
    subaccount_ = database_.Subaccount(type_, "1");
    Write(batches);
  }
  void Write(int batches) {
    for (int i = 0; i < batches; ++i) {
      database_.Write({{type_, subaccount_, Utc("2026-01-01 12:00:00") + absl::Minutes(i), true,
                        Decimal::FromInteger(1)}});
    }
  }
  void Aggregate() {
    database_.Sequence();
    Aggregation aggregation({}, database_.pool(), database_.registry());
    REQUIRE_FALSE(aggregation.RunOnce().value());
  }
  void Ship() {
    database_.Query(
        "UPDATE cursors SET seq = (SELECT last_seq FROM sequencer) "
        "WHERE consumer = 'relay'");
  }
  void Keep(int64_t width_min = 10, int64_t width_max = 10) {
    EventRetention retention({.width_min = width_min, .width_max = width_max}, database_.pool(),
                             database_.registry());
    REQUIRE_FALSE(retention.RunOnce().value());
  }
  std::string Bounds() const { return database_.Bounds(type_); }
  LedgerDatabase& database() { return database_; }
  int32_t type() const { return type_; }

 private:
  LedgerDatabase database_;
  int32_t type_;
  int64_t subaccount_ = 0;
};

}  // namespace

TEST_CASE("event partitions are kept ahead, and marked when they are filled") {
  Ten ten(5);
  CHECK(ten.Bounds() == "0-10 10-20 20-30 30-40");
  ten.Keep();
  CHECK(ten.Bounds() == "0-10 10-20 20-30 30-40");
  ten.Write(4);
  ten.Keep();  // the last id is 9
  CHECK(ten.Bounds() == "0-10 10-20 20-30 30-40");
  ten.Write(1);
  ten.Keep();
  CHECK(ten.Bounds() == "0-10! 10-20 20-30 30-40 40-50");
  ten.Keep();
  CHECK(ten.Bounds() == "0-10! 10-20 20-30 30-40 40-50");
}

TEST_CASE("a partition is dropped when it is old, aggregated and shipped, not before") {
  Ten ten(25);
  const std::string all = "0-10! 10-20! 20-30 30-40 40-50 50-60";
  ten.Aggregate();
  ten.Ship();
  ten.Keep();
  CHECK(ten.Bounds() == all);  // not old
  ten.database().AgePartitions(ten.type(), "2 hours");

  ten.database().Query("UPDATE aggregation SET pending = '{[5,6),[26,)}'");
  ten.Keep();
  CHECK(ten.Bounds() == all);
  ten.database().Query("UPDATE aggregation SET pending = '{[26,)}'");
  ten.database().Query("UPDATE cursors SET seq = 4 WHERE consumer = 'relay'");
  ten.Keep();
  CHECK(ten.Bounds() == all);
  ten.Ship();
  ten.database().Query("UPDATE sequencer SET gaps = '{7, 12}'");
  ten.Keep();
  CHECK(ten.Bounds() == all);
  CHECK(ten.database().Query("SELECT kept_since FROM account_types") == "-infinity");

  ten.database().Query("UPDATE sequencer SET gaps = '{12}'");
  const std::string filled_at = ten.database().Query(
      "SELECT filled_at FROM partitions WHERE lower_bound = 0 AND parent LIKE 'events%'");
  ten.Keep();
  CHECK(ten.Bounds() == "10-20! 20-30 30-40 40-50 50-60");
  CHECK(ten.database().Query("SELECT kept_since FROM account_types") == filled_at);
  ten.database().Query("UPDATE sequencer SET gaps = '{}'");
  ten.database().Query("UPDATE cursors SET seq = 19 WHERE consumer = 'relay'");
  ten.Keep();
  CHECK(ten.Bounds() == "20-30 30-40 40-50 50-60");
  CHECK(ten.database().Query("SELECT count(*), min(batch_id) FROM events") == "6|20");
}

TEST_CASE("what is held locked is dropped later, and does not hold up the rest") {
  Ten ten(12);
  ten.Aggregate();
  ten.Ship();
  ten.Keep();
  ten.database().AgePartitions(ten.type(), "2 hours");
  const auto reader = *postgres::Connection::Open({.dsn = ten.database().dsn()}, Soon());
  MustBeOk(reader->ExecuteScript(Soon(), "BEGIN; SELECT count(*) FROM events"));
  ten.Keep();
  CHECK(ten.Bounds() == "0-10! 10-20 20-30 30-40 40-50");
  CHECK(ten.database().Query("SELECT kept_since FROM account_types") == "-infinity");
  MustBeOk(reader->ExecuteScript(Soon(), "COMMIT"));
  ten.Keep();
  CHECK(ten.Bounds() == "10-20 20-30 30-40 40-50");
}

TEST_CASE("new partitions are as wide as what a twelfth of the retention needs") {
  Ten ten(10);
  ten.Keep(2, 1000);
  // Ten ids in half a minute; a twelfth of an hour is ten times as long.
  ten.database().AgePartitions(ten.type(), "30 seconds");
  ten.Write(10);
  ten.Keep(2, 1000);
  const int64_t width =
      ten.database().Number("SELECT width FROM partitioned_tables WHERE parent LIKE 'events%'");
  CHECK(width <= 100);
  CHECK(width >= 50);  // the writes took some time
  ten.database().Query("UPDATE partitioned_tables SET width = 7 WHERE parent LIKE 'events%'");
  ten.Keep(2, 1000);
  CHECK(ten.database().Query("SELECT width FROM partitioned_tables WHERE parent LIKE 'events%'") ==
        "7");  // nothing was filled since
  ten.Write(10);
  ten.Keep(2, 60);
  CHECK(ten.database().Query("SELECT width FROM partitioned_tables WHERE parent LIKE 'events%'") ==
        "60");  // the bound
}

TEST_CASE("idempotency keys are turned over when their epoch is old") {
  LedgerDatabase database;
  EventRetention retention({.request_retention = absl::Hours(1)}, database.pool(),
                           database.registry());
  REQUIRE(retention.RunOnce().ok());
  CHECK(database.Query("SELECT epoch FROM write_request_epoch") == "1");
  database.Query("UPDATE write_request_epoch SET began_at = now() - interval '61 minutes'");
  REQUIRE(retention.RunOnce().ok());
  CHECK(database.Query("SELECT epoch FROM write_request_epoch") == "2");
  database.Query("UPDATE write_request_epoch SET began_at = now() - interval '61 minutes'");
  const auto writer = *postgres::Connection::Open({.dsn = database.dsn()}, Soon());
  MustBeOk(writer->ExecuteScript(Soon(), "BEGIN; SELECT pg_advisory_xact_lock_shared(2003985777)"));
  REQUIRE(retention.RunOnce().ok());  // a writer is at work: later
  CHECK(database.Query("SELECT epoch FROM write_request_epoch") == "2");
  MustBeOk(writer->ExecuteScript(Soon(), "COMMIT"));
  REQUIRE(retention.RunOnce().ok());
  CHECK(database.Query("SELECT epoch FROM write_request_epoch") == "3");
}

TEST_CASE("two that keep at once get along") {
  Ten ten(35);
  ten.Aggregate();
  ten.Ship();
  ten.Keep();
  ten.database().AgePartitions(ten.type(), "2 hours");
  EventRetention one({.interval = absl::Milliseconds(1), .width_min = 10, .width_max = 10},
                     ten.database().pool(), ten.database().registry());
  EventRetention two({.interval = absl::Milliseconds(1), .width_min = 10, .width_max = 10},
                     ten.database().pool(), ten.database().registry());
  MustBeOk(one.Start());
  MustBeOk(two.Start());
  CHECK(testing::Eventually(absl::Seconds(30),
                            [&] { return ten.Bounds() == "30-40 40-50 50-60 60-70"; }));
  one.Stop();
  two.Stop();
  CHECK(ten.Bounds() == "30-40 40-50 50-60 60-70");
}

}  // namespace saldo::accounts
