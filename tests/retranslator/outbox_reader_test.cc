// Reading the outbox of a real PostgreSQL.
#include "retranslator/outbox_reader.h"

#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "tests/retranslator/relay_database.h"
#include "tests/support/test_env.h"

namespace saldo::retranslator {
namespace {

struct Reader {
  explicit Reader(const RelayDatabase& database) : connection(database.Connect()) {}

  BatchList List(int64_t after, const ReadLimits& limits) {
    auto list = reader.List(Soon(), after, limits);
    REQUIRE(list.status() == absl::OkStatus());
    return *std::move(list);
  }
  std::shared_ptr<Chunk> Fetch(const BatchList& list) {
    auto chunk = reader.Fetch(Soon(), list);
    REQUIRE(chunk.status() == absl::OkStatus());
    return *std::move(chunk);
  }

  std::unique_ptr<postgres::Connection> connection;
  OutboxReader reader{*connection};
};

std::vector<int64_t> Seqs(const BatchList& list) {
  std::vector<int64_t> seqs;
  for (const BatchList::Item& item : list.items) seqs.push_back(item.seq);
  return seqs;
}

std::vector<std::string> Payloads(const Chunk& chunk) {
  std::vector<std::string> payloads;
  for (const OutboxRow& row : chunk.rows) payloads.emplace_back(row.payload);
  return payloads;
}

using Numbers = std::vector<int64_t>;
using Texts = std::vector<std::string>;

TEST_CASE("whole batches are listed, as many as the limits allow") {
  RelayDatabase database;
  // Messages 2, 3, 0, 4, 1; ten bytes each.
  const int messages[] = {2, 3, 0, 4, 1};
  for (int i = 0; i < 5; ++i) database.AddBatch(i + 1, messages[i]);
  database.Sequence({1, 2, 3, 4, 5});
  Reader reader(database);
  struct Row {
    int64_t after;
    ReadLimits limits;
    Numbers seqs;
    size_t messages;
    size_t bytes;
  };
  const Row rows[] = {
      {0, {.messages = 100, .bytes = 1000}, {1, 2, 3, 4, 5}, 10, 100},
      {0, {.messages = 9, .bytes = 1000}, {1, 2, 3, 4}, 9, 90},
      {0, {.messages = 8, .bytes = 1000}, {1, 2, 3}, 5, 50},
      {0, {.messages = 100, .bytes = 90}, {1, 2, 3, 4}, 9, 90},
      {0, {.messages = 100, .bytes = 89}, {1, 2, 3}, 5, 50},
      // One that is larger than the limits comes alone.
      {0, {.messages = 1, .bytes = 1000}, {1}, 2, 20},
      {0, {.messages = 100, .bytes = 1}, {1}, 2, 20},
      {3, {.messages = 100, .bytes = 1}, {4}, 4, 40},
      {3, {.messages = 4, .bytes = 1000}, {4}, 4, 40},
      // An empty one adds nothing, so it fits.
      {1, {.messages = 3, .bytes = 30}, {2, 3}, 3, 30},
      {4, {.messages = 100, .bytes = 1000}, {5}, 1, 10},
      {5, {.messages = 100, .bytes = 1000}, {}, 0, 0},
  };
  for (const Row& row : rows) {
    INFO("after " << row.after << ", " << row.limits.messages << " messages, " << row.limits.bytes
                  << " bytes");
    const BatchList list = reader.List(row.after, row.limits);
    CHECK(Seqs(list) == row.seqs);
    CHECK(list.messages == row.messages);
    CHECK(list.bytes == row.bytes);
    const auto chunk = reader.Fetch(list);
    CHECK(chunk->rows.size() == row.messages);
    CHECK(chunk->batches.size() == row.seqs.size());
    CHECK(chunk->bytes == row.bytes);
  }
}

TEST_CASE("a message is read as it was written") {
  RelayDatabase database;
  database.Execute(
      "INSERT INTO batches VALUES (3, '2026-01-02 03:04:05.678901+00', 2, 8);"
      "INSERT INTO outbox VALUES"
      " (3, 1, 'orders', '\\x00ff', '\\x0a00', 'saldo.Order', 'trace', 'id-1'),"
      " (3, 2, 'other', '', '', '', NULL, NULL)");
  database.Sequence({3});
  Reader reader(database);
  const auto chunk = reader.Fetch(reader.List(0, {}));
  REQUIRE(chunk->rows.size() == 2);
  const OutboxRow& first = chunk->rows[0];
  CHECK(first.seq == 1);
  CHECK(first.batch_id == 3);
  CHECK(first.ordinal == 1);
  CHECK(first.created_at == absl::FromUnixMicros(1'767'323'045'678'901));
  CHECK(first.topic == "orders");
  CHECK(first.key == std::string_view("\0\xff", 2));
  CHECK(first.payload == std::string_view("\n\0", 2));
  CHECK(first.type == "saldo.Order");
  CHECK(first.traceparent == std::optional<std::string_view>("trace"));
  CHECK(first.message_id == std::optional<std::string_view>("id-1"));
  const OutboxRow& second = chunk->rows[1];
  CHECK(second.ordinal == 2);
  CHECK(second.key.empty());
  CHECK_FALSE(second.traceparent.has_value());
  CHECK_FALSE(second.message_id.has_value());
}

TEST_CASE("the order is that of seqs, also when a long transaction's batch lies far back in ids") {
  RelayDatabase database;
  for (const int64_t id : {7, 5'000, 5'001, 5'002, 400'000}) database.AddBatch(id, 2);
  database.Sequence({5'001, 5'000, 400'000, 7, 5'002});
  Reader reader(database);
  const auto chunk = reader.Fetch(reader.List(0, {}));
  CHECK(Payloads(*chunk) == Texts{"5001.1", "5001.2", "5000.1", "5000.2", "400000.1", "400000.2",
                                  "7.1", "7.2", "5002.1", "5002.2"});
  Numbers seqs;
  for (const auto& batch : chunk->batches) seqs.push_back(batch.seq);
  CHECK(seqs == Numbers{1, 2, 3, 4, 5});
}

TEST_CASE("more ranges than one round trip holds are read all the same") {
  RelayDatabase database;
  database.Execute(
      "INSERT INTO batches (batch_id, messages, message_bytes) SELECT n * 100, 1, 1 FROM "
      "generate_series(1, 1100) AS n;"
      "INSERT INTO outbox (batch_id, ordinal, topic, key, payload, type) SELECT n * 100, 1, 't', "
      "'k', n::text::bytea, 'type' FROM generate_series(1, 1100) AS n;"
      "INSERT INTO sequenced_batches SELECT n, n * 100, now(), 1, 1, n - 1 FROM generate_series(1, "
      "1100) AS n");
  Reader reader(database);
  const auto chunk = reader.Fetch(reader.List(0, {}));
  REQUIRE(chunk->rows.size() == 1'100);
  for (int64_t i = 0; i < 1'100; ++i) REQUIRE(chunk->rows[i].payload == std::to_string(i + 1));
}

TEST_CASE("batches in between that have no seq, or were passed before, are left out") {
  RelayDatabase database;
  for (int64_t id = 10; id <= 15; ++id) database.AddBatch(id, 1);
  database.Sequence({12, 10, 14});  // 11, 13 and 15 have none yet
  Reader reader(database);
  CHECK(Payloads(*reader.Fetch(reader.List(0, {}))) == Texts{"12.1", "10.1", "14.1"});
  CHECK(Payloads(*reader.Fetch(reader.List(1, {}))) == Texts{"10.1", "14.1"});
}

TEST_CASE("a batch whose messages are not all there is an error, and nothing is taken") {
  RelayDatabase database;
  for (int64_t id = 1; id <= 3; ++id) database.AddBatch(id, 3);
  database.Sequence({1, 2, 3});
  Reader reader(database);
  const BatchList list = reader.List(0, {});
  const std::string damage = GENERATE(values<std::string>({
      "DELETE FROM outbox WHERE batch_id = 2 AND ordinal = 2",
      "DELETE FROM outbox WHERE batch_id = 2",
      "INSERT INTO outbox VALUES (2, 9, 't', '', '', '')",
  }));
  INFO(damage);
  database.Execute(damage);
  const absl::Status status = reader.reader.Fetch(Soon(), list).status();
  CHECK(status.code() == absl::StatusCode::kDataLoss);
  CHECK(std::string(status.message()).find("batch 2 has 3 messages") != std::string::npos);
}

TEST_CASE("the lock is of one connection at a time, and goes with it") {
  RelayDatabase database;
  Reader first(database), second(database);
  CHECK(first.reader.TryLock(Soon()).value());
  CHECK_FALSE(second.reader.TryLock(Soon()).value());
  first.connection.reset();
  CHECK(testing::Eventually(absl::Seconds(10),
                            [&] { return second.reader.TryLock(Soon()).value(); }));
}

TEST_CASE("the cursor is read, and the sequencer's signal ends a wait") {
  RelayDatabase database;
  Reader reader(database);
  CHECK(reader.reader.Cursor(Soon()).value() == 0);
  database.Execute("UPDATE cursors SET seq = 7 WHERE consumer = 'relay'");
  CHECK(reader.reader.Cursor(Soon()).value() == 7);
  REQUIRE(reader.reader.Prepare(Soon()).ok());
  CHECK_FALSE(reader.connection->WaitForNotification(absl::ZeroDuration()).value());
  database.Execute("NOTIFY saldo_sequenced");
  CHECK(reader.connection->WaitForNotification(absl::Seconds(10)).value());
}

}  // namespace
}  // namespace saldo::retranslator
