// `saldo outbox` as a user meets it, and what its status says about a real database.
#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "cli/outbox/store.h"
#include "common/devstack/child_process.h"
#include "common/devstack/files.h"
#include "common/postgres/transaction.h"
#include "server/jobs/sequencer.h"
#include "server/outbox/outbox.h"
#include "tests/cli/outbox/outbox_test_util.h"
#include "tests/support/test_env.h"

namespace saldo::cli::outbox {
namespace {

using testing::Eventually;

void Append(Database& database, int messages) {
  const std::vector<saldo::outbox::Message> list(messages, {"topic", "key", "payload", "type"});
  REQUIRE(postgres::RunTransaction(
              *database.connection, Database::Soon(), {.name = "test.append"},
              [&](postgres::Transaction& tx) { return saldo::outbox::Outbox().Append(tx, list); })
              .ok());
}

Status Read(Database& database) {
  absl::StatusOr<Status> status = ReadStatus(*database.connection, Database::Soon());
  INFO(status.status().ToString());
  REQUIRE(status.ok());
  return *std::move(status);
}

struct Outcome {
  int code;
  std::string text;
};

Outcome Saldo(std::vector<std::string> arguments) {
  testing::TempDir dir;
  devstack::ChildOptions options;
  options.argv = {*devstack::SiblingProgram("saldo"), "outbox"};
  options.argv.insert(options.argv.end(), arguments.begin(), arguments.end());
  options.log_file = dir.File("log");
  auto child = devstack::ChildProcess::Start(std::move(options));
  REQUIRE(child.ok());
  const auto ended = (*child)->Wait(absl::Seconds(60));
  REQUIRE(ended.ok());
  return {ended->code, *devstack::ReadFile(dir.File("log"))};
}

}  // namespace

TEST_CASE("the status follows messages on their way") {
  Database database;
  Status status = Read(database);
  CHECK(status.last_seq == 0);
  CHECK(status.unsequenced.batches == 0);
  CHECK_FALSE(status.unsequenced.oldest.has_value());
  CHECK(status.holders.empty());
  REQUIRE(status.cursors.size() == 2);
  CHECK(status.cursors[0].consumer == "aggregation");
  CHECK(status.cursors[1].consumer == "relay");
  CHECK(status.cursors[0].lag.batches == 0);
  CHECK_FALSE(status.cursors[0].lag.oldest.has_value());
  CHECK(status.partitions.size() == 12);
  CHECK(status.partitions[0].parent == "batches");
  CHECK(status.partitions[0].upper_bound == 1'000'000);
  CHECK(status.partitions[0].bytes > 0);

  Append(database, 2);
  Append(database, 3);
  status = Read(database);
  CHECK(status.unsequenced.batches == 2);
  CHECK(status.unsequenced.messages == 5);
  CHECK(status.unsequenced.oldest.value() < absl::Minutes(1));

  metrics::Registry registry;
  jobs::Sequencer sequencer({}, {.dsn = database.dsn()}, registry);
  REQUIRE(sequencer.Start().ok());
  const auto sequenced = [&] {
    return Eventually(absl::Seconds(30), [&] { return Read(database).unsequenced.batches == 0; });
  };
  REQUIRE(sequenced());
  Append(database, 4);
  REQUIRE(sequenced());
  database.Query("UPDATE cursors SET seq = 1");
  database.Query("DELETE FROM cursors WHERE consumer = 'aggregation'");
  database.Query("INSERT INTO cursors (consumer, seq) VALUES ('late', 0), ('done', 3)");
  database.Query("UPDATE sequenced_batches SET created_at = now() - interval '1 hour' * seq");
  status = Read(database);
  CHECK(status.last_seq == 3);
  CHECK(status.last_message == 9);
  REQUIRE(status.cursors.size() == 3);
  CHECK(status.cursors[0].consumer == "done");
  CHECK(status.cursors[0].lag.messages == 0);
  CHECK(status.cursors[1].consumer == "late");
  CHECK(status.cursors[1].lag.batches == 3);
  CHECK(status.cursors[1].lag.messages == 9);
  CHECK(status.cursors[2].lag.batches == 2);
  CHECK(status.cursors[2].lag.messages == 7);
  const absl::Duration oldest = status.cursors[2].lag.oldest.value();
  CHECK(oldest > absl::Minutes(119));
  CHECK(oldest < absl::Minutes(122));
  REQUIRE(status.holders.size() == 1);
  CHECK(status.holders[0].lock == "sequencer");
  CHECK(status.holders[0].application == "saldo-sequencer");
  CHECK(status.holders[0].pid > 0);
}

TEST_CASE("batches in gaps count as unsequenced, and dead letters that wait are counted") {
  Database database;
  for (int i = 0; i < 4; ++i) Append(database, 1);
  database.Query("UPDATE sequencer SET scanned_to = 3, gaps = '{2, 9}'");
  database.AddDead(1, 5);
  database.Query("UPDATE dead_letters SET redriven_at = now() WHERE id <= 2");
  const Status status = Read(database);
  CHECK(status.gaps == std::vector<int64_t>{2, 9});
  CHECK(status.unsequenced.batches == 2);
  CHECK(status.dead_waiting == 3);
  CHECK(status.dead_oldest.value() < absl::Minutes(1));
}

TEST_CASE("who holds the relay's lock is seen, in this database only") {
  Database database, other;
  const auto lock = [](Database& in) {
    REQUIRE(in.connection
                ->ExecuteScript(Database::Soon(), "SELECT pg_advisory_lock(x'72656c6179'::int8)")
                .ok());
  };
  lock(other);
  CHECK(Read(database).holders.empty());
  lock(database);
  const Status status = Read(database);
  REQUIRE(status.holders.size() == 1);
  CHECK(status.holders[0].lock == "relay");
  CHECK(status.holders[0].pid == database.connection->backend_pid());
}

TEST_CASE("the commands work from end to end") {
  Database database;
  const std::string dsn = "--postgres.dsn=" + database.dsn();
  database.AddDead(1, 30);

  Outcome outcome = Saldo({"status", dsn});
  INFO(outcome.text);
  CHECK(outcome.code == 0);
  CHECK_THAT(outcome.text, Catch::Contains("dead letters   30 wait") && Catch::Contains("NOBODY"));
  outcome = Saldo({"status", "--json", dsn});
  CHECK(outcome.code == 0);
  CHECK_THAT(outcome.text, Catch::StartsWith("{") && Catch::Contains(R"("waiting": 30)"));

  outcome = Saldo({"dead", dsn});
  CHECK(outcome.code == 0);
  CHECK_THAT(outcome.text, Catch::Contains("the broker said no") && Catch::Contains("key20") &&
                               !Catch::Contains("key21") && Catch::Contains("20 of 30 that wait"));
  CHECK_THAT(Saldo({"dead", "--limit=2", dsn}).text, Catch::Contains("2 of 30 that wait"));

  outcome = Saldo({"redrive", "7", "8", dsn});
  CHECK(outcome.code == 0);
  CHECK(outcome.text == "2 messages are sent anew\n");
  outcome = Saldo({"redrive", "7", "9", dsn});
  CHECK(outcome.code == 1);
  CHECK_THAT(outcome.text, Catch::Contains("under 7:"));
  CHECK(Saldo({"redrive", "--all", "--limit=1", dsn}).text == "1 message is sent anew\n");
  CHECK(Saldo({"redrive", "--all", "--limit=9", dsn}).text == "9 messages are sent anew\n");
  CHECK(Saldo({"redrive", "--all", dsn}).text == "18 messages are sent anew\n");
  CHECK(database.Query("SELECT count(*) FROM outbox") == "30");
  CHECK(Saldo({"dead", dsn}).text == "no dead letter waits\n");
}

TEST_CASE("what is typed wrong is refused before the database is asked") {
  const std::string dsn = "--postgres.dsn=host=/nowhere";
  for (const auto& arguments :
       std::vector<std::vector<std::string>>{{},
                                             {"walk"},
                                             {"status", "1"},
                                             {"status", "--limit=1"},
                                             {"status", "--all"},
                                             {"dead", "--json"},
                                             {"dead", "--limit=0"},
                                             {"redrive"},
                                             {"redrive", "x"},
                                             {"redrive", "0"},
                                             {"redrive", "1", "--all"},
                                             {"redrive", "1", "--limit=1"},
                                             {"redrive", "--all", "--json"}}) {
    std::vector<std::string> all = arguments;
    all.push_back(dsn);
    const Outcome outcome = Saldo(all);
    INFO(outcome.text);
    CHECK(outcome.code == 2);
  }
  CHECK(Saldo({"status", dsn}).code == 1);
}

TEST_CASE("a database without the schema is told what to run") {
  testing::TestDatabase empty;
  const Outcome outcome = Saldo({"status", "--postgres.dsn=" + empty.dsn()});
  CHECK(outcome.code == 1);
  CHECK_THAT(outcome.text, Catch::Contains("saldo migrate up"));
}

}  // namespace saldo::cli::outbox
