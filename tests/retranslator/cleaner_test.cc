// Moving the cursor, keeping dead letters and dropping partitions in a real PostgreSQL.
#include "retranslator/cleaner.h"

#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "common/runtime/thread.h"
#include "tests/retranslator/relay_database.h"
#include "tests/support/test_env.h"

namespace saldo::retranslator {
namespace {

struct Fixture {
  // One batch of one message for each seq.
  void Append(int64_t first_seq, int count) {
    std::vector<DeliveryWindow::Batch> batches;
    for (int i = 0; i < count; ++i) batches.push_back({first_seq + i, 1});
    window.Append(batches, 1, nullptr);
  }
  DeadLetter Letter(int64_t seq, int64_t batch_id) const {
    return {.seq = seq,
            .batch_id = batch_id,
            .ordinal = 2,
            .topic = "orders",
            .key = std::string("\0k", 2),
            .payload = std::string("\xff\0", 2),
            .type = "saldo.Order",
            .traceparent = std::nullopt,
            .message_id = "0-1-2",
            .created_at = absl::FromUnixSeconds(1'700'000'000),
            .attempts = 3,
            .error = "too large"};
  }

  RelayDatabase database;
  DeliveryWindow window{1000, 1 << 20, 0};
  DeadLetterBox box;
  RelayMetrics metrics{database.registry()};
  Cleaner cleaner{{}, database.Connect("cleaner"), database.pool(), window, box, metrics};
};

std::string Letters(const Fixture& f) {
  return f.database.Query("SELECT batch_id, ordinal FROM dead_letters ORDER BY id");
}

TEST_CASE("the cursor goes where the window has passed, and never backwards") {
  Fixture f;
  REQUIRE(f.cleaner.MoveCursor() == absl::OkStatus());
  CHECK(f.database.Cursor() == 0);
  f.Append(1, 4);
  f.window.Complete({0, 1, 3});
  REQUIRE(f.cleaner.MoveCursor() == absl::OkStatus());
  CHECK(f.database.Cursor() == 2);
  // Another relay took over and went further.
  f.database.Execute("UPDATE cursors SET seq = 10 WHERE consumer = 'relay'");
  f.window.Complete({2});
  REQUIRE(f.cleaner.MoveCursor() == absl::OkStatus());
  CHECK(f.database.Cursor() == 10);
}

TEST_CASE("only the relay's own cursor is moved") {
  Fixture f;
  f.database.Execute("INSERT INTO cursors (consumer, seq) VALUES ('other', 1)");
  f.Append(1, 4);
  f.window.Complete({0, 1, 2, 3});
  REQUIRE(f.cleaner.MoveCursor() == absl::OkStatus());
  CHECK(f.database.Number("SELECT seq FROM cursors WHERE consumer = 'other'") == 1);
}

TEST_CASE("a dead letter is kept when the cursor passes it, whole, and once") {
  Fixture f;
  f.Append(1, 3);
  f.box.Add(f.Letter(2, 20));
  DeadLetter traced = f.Letter(3, 30);
  traced.traceparent = "00-trace";
  f.box.Add(traced);
  f.window.Complete({1, 2});
  REQUIRE(f.cleaner.MoveCursor() == absl::OkStatus());
  CHECK(Letters(f).empty());
  f.window.Complete({0});
  REQUIRE(f.cleaner.MoveCursor() == absl::OkStatus());
  CHECK(f.database.Cursor() == 3);
  CHECK(f.database.Query(
            "SELECT batch_id, ordinal, topic, key, payload, type, traceparent, message_id, "
            "extract(epoch FROM created_at)::int8, attempts, error, redriven_at, "
            "failed_at > now() - interval '1 minute' FROM dead_letters ORDER BY batch_id") ==
        "20|2|orders|\\x006b|\\xff00|saldo.Order||0-1-2|1700000000|3|too large||t\n"
        "30|2|orders|\\x006b|\\xff00|saldo.Order|00-trace|0-1-2|1700000000|3|too large||t");
  CHECK(f.box.UpTo(100).empty());
}

TEST_CASE("the cursor and its dead letters are stored together, or neither") {
  Fixture f;
  f.database.Execute("ALTER TABLE cursors ADD CONSTRAINT stuck CHECK (seq < 1)");
  f.Append(1, 1);
  f.box.Add(f.Letter(1, 10));
  f.window.Complete({0});
  CHECK_FALSE(f.cleaner.MoveCursor().ok());
  CHECK(Letters(f).empty());
  CHECK(f.database.Cursor() == 0);
  CHECK(f.box.UpTo(100).size() == 1);

  f.database.Execute("ALTER TABLE cursors DROP CONSTRAINT stuck");
  f.database.Execute("ALTER TABLE dead_letters ADD CONSTRAINT stuck CHECK (batch_id < 1)");
  CHECK_FALSE(f.cleaner.MoveCursor().ok());
  CHECK(f.database.Cursor() == 0);

  f.database.Execute("ALTER TABLE dead_letters DROP CONSTRAINT stuck");
  REQUIRE(f.cleaner.MoveCursor() == absl::OkStatus());
  CHECK(Letters(f) == "10|2");
  CHECK(f.database.Cursor() == 1);
}

TEST_CASE("a message that dies again after a crash is kept once") {
  Fixture f;
  f.Append(1, 1);
  f.box.Add(f.Letter(1, 10));
  f.window.Complete({0});
  REQUIRE(f.cleaner.MoveCursor() == absl::OkStatus());
  // The crash took the cursor back, or the letter was stored and the cursor of a rival was not.
  f.database.Execute("UPDATE cursors SET seq = 0 WHERE consumer = 'relay'");
  DeliveryWindow window(1000, 1000, 0);
  DeadLetterBox box;
  Cleaner again({}, f.database.Connect(), f.database.pool(), window, box, f.metrics);
  window.Append({{1, 1}}, 1, nullptr);
  box.Add(f.Letter(1, 10));
  window.Complete({0});
  REQUIRE(again.MoveCursor() == absl::OkStatus());
  CHECK(Letters(f) == "10|2");
  CHECK(f.database.Cursor() == 1);
}

std::string OutboxPartitions(const Fixture& f) {
  return f.database.Query(
      "SELECT string_agg(lower_bound::text, ' ' ORDER BY lower_bound) FROM partitions WHERE parent "
      "= 'outbox'");
}

TEST_CASE("a partition is dropped only when all that is in it, or may come, is passed") {
  struct Row {
    const char* name;
    std::vector<int64_t> sequenced;
    std::vector<int64_t> gaps;
    int64_t cursor;
    int dropped;
    std::string left;
  };
  // Partitions of ten ids: 0, 10, 20, 30, 40. Batches 5, 15, 25, 35.
  const Row rows[] = {
      {"nothing is passed", {5, 15, 25}, {}, 0, 0, "0 10 20 30 40"},
      {"the first is passed", {5, 15, 25}, {}, 1, 1, "10 20 30 40"},
      {"two are", {5, 15, 25}, {}, 2, 2, "20 30 40"},
      // Ids up to 25 are settled; 26..29 may still come.
      {"all that have a seq", {5, 15, 25}, {}, 3, 2, "20 30 40"},
      {"a gap may still appear", {5, 15, 25}, {7}, 3, 0, "0 10 20 30 40"},
      {"a gap further on", {5, 15, 25}, {18, 24}, 3, 1, "10 20 30 40"},
      {"a batch far back came late", {15, 25, 5}, {}, 2, 0, "0 10 20 30 40"},
      {"and was passed", {15, 25, 5}, {}, 3, 2, "20 30 40"},
      {"nothing has a seq yet", {}, {}, 0, 0, "0 10 20 30 40"},
      {"everything", {5, 15, 25, 35}, {}, 4, 3, "30 40"},
  };
  for (const Row& row : rows) {
    INFO(row.name);
    Fixture f;
    f.database.Narrow(10, 4);
    REQUIRE(OutboxPartitions(f) == "0 10 20 30 40");
    for (const int64_t id : {5, 15, 25, 35}) f.database.AddBatch(id, 1);
    f.database.Sequence(row.sequenced, row.gaps);
    f.database.Execute("UPDATE cursors SET seq = " + std::to_string(row.cursor));
    const auto dropped = f.cleaner.DropPassedPartitions();
    REQUIRE(dropped.status() == absl::OkStatus());
    CHECK(*dropped == row.dropped);
    CHECK(OutboxPartitions(f) == row.left);
    CHECK(f.metrics.dropped_partitions.Value() == row.dropped);
  }
}

TEST_CASE("a partition that someone reads is dropped later") {
  Fixture f;
  f.database.Narrow(10, 4);
  f.database.AddBatch(5, 1);
  f.database.AddBatch(15, 1);
  f.database.Sequence({5, 15});
  f.database.Execute("UPDATE cursors SET seq = 2 WHERE consumer = 'relay'");
  auto reader = f.database.Connect();
  constexpr postgres::Statement kBegin{"test.begin", "BEGIN"}, kEnd{"test.end", "COMMIT"};
  constexpr postgres::Statement kRead{"test.read", "SELECT count(*) FROM outbox"};
  REQUIRE(reader->Query(Soon(), kBegin).ok());
  REQUIRE(reader->Query(Soon(), kRead).ok());
  CHECK(f.cleaner.DropPassedPartitions().value() == 0);
  CHECK(OutboxPartitions(f) == "0 10 20 30 40");
  REQUIRE(reader->Query(Soon(), kEnd).ok());
  CHECK(f.cleaner.DropPassedPartitions().value() == 1);
}

struct Lag {
  double messages;
  double batches;
  bool operator==(const Lag& other) const {
    return messages == other.messages && batches == other.batches;
  }
};
std::ostream& operator<<(std::ostream& out, const Lag& lag) {
  return out << lag.messages << " messages in " << lag.batches << " batches";
}
Lag Measure(Fixture& f) {
  REQUIRE(Cleaner::MeasureLag(f.database.pool(), f.metrics) == absl::OkStatus());
  return {f.metrics.lag_messages.Value(), f.metrics.lag_batches.Value()};
}

TEST_CASE("the lag counts what the cursor has not passed") {
  Fixture f;
  CHECK(Measure(f) == Lag{0, 0});
  CHECK(f.metrics.oldest_seconds.Value() == 0);
  for (int64_t id = 1; id <= 4; ++id) f.database.AddBatch(id, static_cast<int>(id));
  f.database.Execute("UPDATE batches SET created_at = now() - batch_id * interval '1 hour'");
  f.database.Sequence({1, 2, 3, 4});
  CHECK(Measure(f) == Lag{10, 4});
  CHECK(f.metrics.oldest_seconds.Value() == Approx(3600).margin(60));
  f.database.Execute("UPDATE cursors SET seq = 2 WHERE consumer = 'relay'");
  CHECK(Measure(f) == Lag{7, 2});
  CHECK(f.metrics.oldest_seconds.Value() == Approx(3 * 3600).margin(60));
  f.database.Execute("UPDATE cursors SET seq = 4 WHERE consumer = 'relay'");
  CHECK(Measure(f) == Lag{0, 0});
  CHECK(f.metrics.oldest_seconds.Value() == 0);
}

TEST_CASE("dead letters are counted until they are sent anew, up to a bound") {
  Fixture f;
  Measure(f);
  CHECK(f.metrics.dead_letters.Value() == 0);
  f.database.Execute(
      "INSERT INTO dead_letters (batch_id, ordinal, topic, key, payload, type, message_id,"
      " created_at, attempts, error) SELECT n, 1, 't', 'k', 'p', 'type', 'id', now(), 3, 'no' "
      "FROM generate_series(1, 10002) AS n");
  Measure(f);
  CHECK(f.metrics.dead_letters.Value() == 10'000);
  f.database.Execute("UPDATE dead_letters SET redriven_at = now() WHERE batch_id > 3");
  Measure(f);
  CHECK(f.metrics.dead_letters.Value() == 3);
  f.database.Execute("DELETE FROM dead_letters");
  Measure(f);
  CHECK(f.metrics.dead_letters.Value() == 0);
}

TEST_CASE("the lag shows a sequencer that stands still") {
  Fixture f;
  for (int64_t id = 1; id <= 5; ++id) f.database.AddBatch(id, 2);
  f.database.Execute(
      "UPDATE batches SET created_at = now() - interval '1 hour' WHERE batch_id > 2");
  f.database.Sequence({1, 2});
  f.database.Execute("UPDATE cursors SET seq = 1 WHERE consumer = 'relay'");
  CHECK(Measure(f) == Lag{8, 4});
  CHECK(f.metrics.oldest_seconds.Value() == Approx(3600).margin(60));
  f.database.Execute("UPDATE cursors SET seq = 2 WHERE consumer = 'relay'");
  CHECK(Measure(f) == Lag{6, 3});
  CHECK(f.metrics.oldest_seconds.Value() == Approx(3600).margin(60));
}

TEST_CASE("a gap that has been filled counts, one that has not does not") {
  Fixture f;
  f.database.AddBatch(1, 2);
  f.database.AddBatch(3, 2);
  f.database.Sequence({1, 3}, {2});
  f.database.Execute("UPDATE cursors SET seq = 2 WHERE consumer = 'relay'");
  CHECK(Measure(f) == Lag{0, 0});
  f.database.AddBatch(2, 5);
  CHECK(Measure(f) == Lag{5, 1});
}

TEST_CASE("the lag is right when what is passed has been dropped") {
  Fixture f;
  f.database.Narrow(10, 4);
  std::vector<int64_t> ids;
  for (int64_t id = 1; id <= 29; ++id) {
    f.database.AddBatch(id, 2);
    ids.push_back(id);
  }
  f.database.Sequence(ids);
  // As the partition keeper does: below the cursor all sequenced batches are gone.
  f.database.Execute("UPDATE cursors SET seq = 20 WHERE consumer = 'relay'");
  f.database.Execute("SELECT drop_partitions('sequenced_batches', 20)");
  CHECK(Measure(f) == Lag{18, 9});
  f.database.Execute("UPDATE cursors SET seq = 19 WHERE consumer = 'relay'");
  f.database.Execute("SELECT drop_partitions('batches', 30)");
  CHECK(Measure(f) == Lag{20, 10});
  // Nothing in Saldo drops further than the cursor; were it so, the figure must still not be wild.
  f.database.Execute("UPDATE cursors SET seq = 29 WHERE consumer = 'relay'");
  f.database.Execute("SELECT drop_partitions('sequenced_batches', 30)");
  CHECK(Measure(f) == Lag{0, 0});
}

TEST_CASE("the cleaner's thread works in its intervals, and once more at the end") {
  Fixture f;
  f.database.Narrow(10, 4);
  for (const int64_t id : {5, 15, 25}) f.database.AddBatch(id, 1);
  f.database.Sequence({5, 15, 25});
  Cleaner cleaner({.interval = absl::Milliseconds(5),
                   .drop_interval = absl::Milliseconds(20),
                   .lag_interval = absl::Milliseconds(20)},
                  f.database.Connect(), f.database.pool(), f.window, f.box, f.metrics);
  runtime::StopSignal stop;
  runtime::Thread thread("cleaner", [&] { cleaner.Run(stop); });
  f.Append(1, 3);
  f.window.Complete({0});
  CHECK(testing::Eventually(absl::Seconds(10), [&] {
    return f.database.Cursor() == 1 && OutboxPartitions(f) == "10 20 30 40" &&
           f.metrics.lag_messages.Value() == 2 && f.metrics.processing.Value() == 2;
  }));
  f.window.Complete({1, 2});
  stop.Stop();
  thread.Join();
  CHECK(f.database.Cursor() == 3);
  CHECK(f.metrics.processing.Value() == 0);
}

}  // namespace
// A crash may take seqs back, for the sequencer commits asynchronously, and give them to batches
// that were never sent.
TEST_CASE("a cursor that outlived the server's connections is not stored") {
  Fixture f;
  f.database.AddBatch(1, 1);
  f.database.Sequence({1});
  f.window.Append({{1, 1}}, 1, nullptr);
  f.window.Complete({0});
  f.database.Query(
      "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = "
      "current_database() "
      "AND pid <> pg_backend_pid()");
  CHECK_FALSE(f.cleaner.MoveCursor().ok());
  CHECK_FALSE(f.cleaner.failure().ok());
  CHECK_FALSE(f.cleaner.MoveCursor().ok());
  CHECK(f.database.Cursor() == 0);
}

}  // namespace saldo::retranslator
