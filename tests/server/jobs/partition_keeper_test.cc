#include "server/jobs/partition_keeper.h"

#include <catch2/catch.hpp>

#include "common/runtime/stop_signal.h"
#include "common/runtime/thread.h"
#include "server/jobs/sequencer.h"
#include "tests/server/jobs/jobs_test_util.h"
#include "tests/support/test_env.h"

namespace saldo::jobs {
namespace {

using testing::Eventually;

constexpr absl::Duration kLong = absl::Seconds(30);

std::string Bounds(const Database& database, const std::string& parent) {
  return database.Query(
      "SELECT coalesce(string_agg(lower_bound || '-' || upper_bound, ' ' ORDER BY lower_bound), "
      "'') FROM partitions WHERE parent = '" +
      parent + "'");
}

// The list of partitions is that of the tables there are, but for request ids, whose epochs are
// kept elsewhere.
void CheckListed(const Database& database) {
  CHECK(
      database.Query(
          "SELECT count(*) FROM (SELECT parent || '_' || lower_bound AS name FROM partitions) AS "
          "p FULL JOIN (SELECT inhrelid::regclass::text AS name FROM pg_inherits JOIN pg_class ON "
          "oid = inhrelid WHERE relkind = 'r' AND inhparent <> 'write_requests'::regclass) AS t "
          "USING (name) WHERE p.name IS NULL OR t.name "
          "IS NULL") == "0");
}

}  // namespace

TEST_CASE("partitions are kept ahead of the highest id in use") {
  Database database;
  database.Narrow(10);
  PartitionKeeper keeper({.ahead = 3}, database.pool(), database.registry());
  REQUIRE_FALSE(keeper.RunOnce().value());
  CHECK(Bounds(database, "batches") == "0-10 10-20 20-30 30-40");
  for (int i = 0; i < 15; ++i) REQUIRE(database.Append().ok());
  REQUIRE_FALSE(keeper.RunOnce().value());
  CHECK(Bounds(database, "batches") == "0-10 10-20 20-30 30-40 40-50");
  CHECK(Bounds(database, "outbox") == Bounds(database, "batches"));
  CHECK(Bounds(database, "sequenced_batches") == "0-10 10-20 20-30 30-40");  // nothing is sequenced
  CheckListed(database);
  REQUIRE_FALSE(keeper.RunOnce().value());
  CHECK(Bounds(database, "batches") == "0-10 10-20 20-30 30-40 40-50");

  // It was away, and the partitions ran out.
  while (database.Append().ok()) continue;
  CHECK(database.Query("SELECT last_value FROM batch_id_seq") == "50");
  REQUIRE_FALSE(keeper.RunOnce().value());
  CHECK(Bounds(database, "batches") == "0-10 10-20 20-30 30-40 40-50 50-60 60-70 70-80 80-90");
  CHECK(database.Append().ok());
  CheckListed(database);
}

TEST_CASE("only what is settled and passed by every cursor is dropped") {
  Database database;
  database.Narrow(10);
  PartitionKeeper keeper({.ahead = 1}, database.pool(), database.registry());
  for (int i = 0; i < 29; ++i) REQUIRE(database.Append().ok());
  REQUIRE(keeper.RunOnce().ok());
  const std::string all = "0-10 10-20 20-30 30-40";
  CHECK(Bounds(database, "batches") == all);  // no batch has its seq yet

  // Half of them are sequenced, but batch 15 is waited for; then batch 5.
  database.Query(
      "INSERT INTO sequenced_batches SELECT batch_id, batch_id, created_at, messages, "
      "message_bytes, batch_id - 1 FROM batches WHERE batch_id <> 5 AND batch_id < 25");
  database.Query("UPDATE sequencer SET last_seq = 24, scanned_to = 24, gaps = '{5, 15}'");
  REQUIRE(keeper.RunOnce().ok());
  CHECK(Bounds(database, "batches") == all);
  database.Query("UPDATE sequencer SET gaps = '{15, 22}'");
  REQUIRE(keeper.RunOnce().ok());
  CHECK(Bounds(database, "batches") == "10-20 20-30 30-40");
  database.Query("UPDATE sequencer SET gaps = '{}'");
  REQUIRE(keeper.RunOnce().ok());
  CHECK(Bounds(database, "batches") == "20-30 30-40");
  // The outbox is the relay's to drop.
  CHECK(Bounds(database, "outbox") == all);

  // Seqs go when the slowest consumer has passed them.
  CHECK(Bounds(database, "sequenced_batches") == all);
  database.Query("UPDATE cursors SET seq = 24");
  database.Query("INSERT INTO cursors (consumer, seq) VALUES ('other', 9)");
  REQUIRE(keeper.RunOnce().ok());
  CHECK(Bounds(database, "sequenced_batches") == all);
  database.Query("UPDATE cursors SET seq = 19 WHERE consumer = 'other'");
  REQUIRE(keeper.RunOnce().ok());
  CHECK(Bounds(database, "sequenced_batches") == "10-20 20-30 30-40");
  // The row of a cursor itself stays: it tells how many messages were before.
  database.Query("UPDATE cursors SET seq = 24 WHERE consumer = 'other'");
  REQUIRE(keeper.RunOnce().ok());
  CHECK(Bounds(database, "sequenced_batches") == "20-30 30-40");
  CHECK(database.Query("SELECT count(*) FROM sequenced_batches JOIN cursors USING (seq) "
                       "WHERE consumer IN ('relay', 'other')") == "2");
  CheckListed(database);
}

TEST_CASE("a drop gives up soon while someone holds the table, and writers go on") {
  Database database;
  database.Narrow(100);
  PartitionKeeper keeper({.ahead = 50}, database.pool(), database.registry());
  REQUIRE(keeper.RunOnce().ok());
  for (int i = 0; i < 120; ++i) REQUIRE(database.Append().ok());
  database.Query("UPDATE sequencer SET scanned_to = 120");
  const auto holder = *postgres::Connection::Open({.dsn = database.dsn()}, Soon());
  REQUIRE(holder
              ->ExecuteScript(Soon(),
                              "BEGIN; INSERT INTO batches VALUES (nextval('batch_id_seq'), "
                              "DEFAULT, 0, 0)")
              .ok());
  {
    runtime::StopSignal stop;
    absl::Duration slowest;
    int written = 0;
    runtime::Thread writer("writer", [&] {
      while (stop.WaitFor(absl::Milliseconds(5))) {
        const absl::Time begin = absl::Now();
        MustBeOk(database.Append());
        slowest = std::max(slowest, absl::Now() - begin);
        ++written;
      }
    });
    const absl::Time begin = absl::Now();
    for (int i = 0; i < 3; ++i) {
      const absl::StatusOr<bool> more = keeper.RunOnce();
      INFO(more.status().ToString());
      REQUIRE(more.ok());
      CHECK_FALSE(*more);
    }
    const absl::Duration took = absl::Now() - begin;
    stop.Stop();
    writer.Join();
    INFO("took " << took << ", the slowest write " << slowest);
    CHECK(took < absl::Seconds(15));
    CHECK(slowest < absl::Seconds(5));
    CHECK(written > 0);
  }
  CHECK(Bounds(database, "batches").starts_with("0-100 "));
  REQUIRE(holder->ExecuteScript(Soon(), "COMMIT").ok());
  REQUIRE(keeper.RunOnce().ok());
  CHECK(Bounds(database, "batches").starts_with("100-200 "));
  CheckListed(database);
}

TEST_CASE("writers, the sequencer, a consumer and two keepers work at once") {
  Database database;
  constexpr int kWidth = 100;
  database.Narrow(kWidth);
  SequencerOptions often;
  often.poll_interval = absl::Milliseconds(1);
  Sequencer sequencer(often, {.dsn = database.dsn()}, database.registry());
  REQUIRE(sequencer.Start().ok());
  PartitionKeeperOptions options;
  options.interval = absl::Milliseconds(1);
  options.ahead = 25;  // enough for all, should the machine be slow
  PartitionKeeper one(options, database.pool(), database.registry());
  PartitionKeeper other(options, database.pool(), database.registry());
  REQUIRE(one.RunOnce().ok());
  REQUIRE(one.Start().ok());
  REQUIRE(other.Start().ok());
  constexpr int kWriters = 4, kEach = 500;
  {
    std::vector<runtime::Thread> writers;
    for (int i = 0; i < kWriters; ++i) {
      writers.emplace_back("writer", [&] {
        for (int n = 0; n < kEach; ++n) MustBeOk(database.Append());
      });
    }
    // Reads everything, and never finds that something was dropped under it.
    int64_t read = 0;
    REQUIRE(Eventually(absl::Minutes(1), [&] {
      const int64_t next = read + 1;
      read += database.Number("SELECT count(*) FROM sequenced_batches WHERE seq >= " +
                              std::to_string(next));
      database.Query("UPDATE cursors SET seq = " + std::to_string(read));
      return read == kWriters * kEach;
    }));
  }
  const std::string last = std::to_string(kWriters * kEach / kWidth * kWidth);
  CHECK(Eventually(kLong, [&] {
    return Bounds(database, "batches").starts_with(last + "-") &&
           Bounds(database, "sequenced_batches").starts_with(last + "-");
  }));
  CHECK(database.Query("SELECT count(*) FROM outbox") == std::to_string(kWriters * kEach));
  one.Stop();
  other.Stop();
  CheckListed(database);
}

}  // namespace saldo::jobs
