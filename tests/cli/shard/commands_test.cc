// How all commands are told their databases, and what they do with several.
#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "common/postgres/connection.h"
#include "common/postgres/transaction.h"
#include "server/outbox/outbox.h"
#include "tests/cli/shard/two_shards.h"

namespace saldo::cli {
namespace {

using Catch::Contains;

TEST_CASE("migrate goes through all shards, whichever of them fail") {
  const TwoShards<testing::TestDatabase> shards;
  Outcome outcome = shards.Run({"migrate", "status"});
  INFO(outcome.text);
  CHECK(outcome.code == 1);
  CHECK_THAT(outcome.text, Contains("saldo migrate: shard a: ") && Contains("shard b: "));

  CHECK(shards.Run({"migrate", "up", "--shard=b"}).code == 0);
  outcome = shards.Run({"migrate", "status"});
  CHECK(outcome.code == 1);
  CHECK_THAT(outcome.text,
             Contains("saldo migrate: shard a: ") && !Contains("saldo migrate: shard b"));
  outcome = shards.Run({"migrate", "up"});
  INFO(outcome.text);
  CHECK(outcome.code == 0);
  CHECK_THAT(outcome.text, Contains("shard a\napplied 0001_batches") &&
                               Contains("shard b\nnothing to do: the schema is current\n"));
  CHECK(shards.Run({"migrate", "status"}).code == 0);

  const testing::TestDatabase empty;
  const ShardsFile away(kNobody, empty.dsn());
  outcome = Saldo({"migrate", "up", away.option()});
  CHECK(outcome.code == 1);
  CHECK_THAT(outcome.text,
             Contains("saldo migrate: shard a: ") && Contains("shard b\napplied 0001_batches"));
}

TEST_CASE("a database that is another shard is not taken for this one") {
  const TwoShards<testing::MigratedDatabase> shards;
  shards.b.Query(
      "INSERT INTO shard (name, range_first, range_last) VALUES ('a', '0000000000000000', "
      "'7fffffffffffffff')");
  for (const std::vector<std::string>& command : std::vector<std::vector<std::string>>{
           {"migrate", "status"}, {"outbox", "status"}, {"verify"}}) {
    const Outcome outcome = shards.Run(command);
    INFO(outcome.text);
    CHECK(outcome.code == (command[0] == "verify" ? 2 : 1));
    CHECK_THAT(outcome.text, Contains("shard b: the database is shard \"a\""));
  }
}

TEST_CASE("the databases are named in one way for all commands") {
  const TwoShards<testing::MigratedDatabase> shards;
  const std::string dsn = "--postgres.dsn=" + shards.a.dsn();
  for (const std::vector<std::string>& command :
       std::vector<std::vector<std::string>>{{"migrate", "status"},
                                             {"outbox", "status"},
                                             {"task", "list"},
                                             {"verify"},
                                             {"shard", "status"}}) {
    const auto run = [&](const std::vector<std::string>& more,
                         std::vector<std::pair<std::string, std::string>> env = {}) {
      std::vector<std::string> arguments = command;
      arguments.insert(arguments.end(), more.begin(), more.end());
      Outcome outcome = Saldo(arguments, std::move(env));
      UNSCOPED_INFO(command[0] << ": " << outcome.code << " " << outcome.text);
      return outcome;
    };
    CHECK(run({dsn}).code == 0);
    CHECK(run({shards.file.option()}).code == 0);
    CHECK(run({}, {{"SALDO_SHARDS_FILE", shards.file.path()}}).code == 0);
    CHECK(run({}, {{"SALDO_POSTGRES_DSN", shards.a.dsn()}}).code == 0);
    // The option counts.
    CHECK(run({dsn}, {{"SALDO_SHARDS_FILE", "/none"}}).code == 0);

    CHECK_THAT(run({}).text, Contains("which database? give --postgres.dsn=DSN or --shards.file"));
    CHECK_THAT(run({dsn, shards.file.option()}).text, Contains("exclude each other"));
    const Outcome both = run({shards.file.option()}, {{"SALDO_POSTGRES_DSN", shards.a.dsn()}});
    CHECK(both.code == 2);
    CHECK_THAT(both.text, Contains("must not be given together with shards"));
    const Outcome none = run({"--shards.file=/none"});
    CHECK(none.code == 2);
    CHECK_THAT(none.text, Contains("/none: cannot read the configuration file"));
  }
}

TEST_CASE("a file of shards is checked, and variables complete it") {
  const TwoShards<testing::MigratedDatabase> shards;
  testing::TempDir dir;
  const auto run = [&](const std::string& yaml,
                       std::vector<std::pair<std::string, std::string>> env = {}) {
    std::ofstream(dir.File("file.yaml")) << yaml;
    return Saldo({"shard", "status", "--shards.file=" + dir.File("file.yaml")}, std::move(env));
  };
  Outcome outcome = run("shards: [{name: a, to: 7f, dsn: x}, {name: b, from: 90, dsn: y}]");
  INFO(outcome.text);
  CHECK(outcome.code == 2);
  CHECK_THAT(outcome.text, Contains("no shard owns the hashes 8000000000000000-8fffffffffffffff"));
  outcome = run("shards: [{name: a, to: 7f}, {name: b, from: 80, dsm: y}]");
  CHECK(outcome.code == 2);
  CHECK_THAT(outcome.text, Contains("shards.1.dsm: unknown key"));
  CHECK(run("{log: {level: info}, shards: [{name: a, to: 7f}, {name: b, from: 80}]}",
            {{"SALDO_SHARDS_0_DSN", shards.a.dsn()}, {"SALDO_SHARDS_1_DSN", shards.b.dsn()}})
            .code == 0);
  // A server without shards has such a file, too.
  outcome = run("postgres: {dsn: \"" + shards.a.dsn() + "\", max_connections: 9}");
  CHECK(outcome.code == 0);
  CHECK_THAT(outcome.text, Contains("0      0000000000000000-ffffffffffffffff"));
  CHECK(run("log: {level: info}").code == 2);
}

void Append(const std::string& dsn) {
  const CallContext soon = CallContext::WithTimeout(absl::Seconds(30));
  const auto connection = postgres::Connection::Open({.dsn = dsn}, soon);
  REQUIRE(connection.ok());
  REQUIRE(postgres::RunTransaction(
              **connection, soon, {.name = "test.append"},
              [&](postgres::Transaction& tx) {
                return outbox::Outbox().Append(tx, {{"topic", "key", "payload", "type"}});
              })
              .ok());
}

void AddDead(const testing::TestDatabase& database, int count) {
  database.Query(
      "INSERT INTO dead_letters (batch_id, ordinal, topic, key, payload, type, message_id, "
      "created_at, attempts, error) SELECT 1000 + n, 2, 'topic', convert_to('" +
      database.name() +
      "' || n, 'UTF8'), '', 'type', 'id' || n, now(), 5, 'no' FROM "
      "generate_series(1, " +
      std::to_string(count) + ") AS n");
}

TEST_CASE("outbox names the shard, and each has ids of its own") {
  const TwoShards<testing::MigratedDatabase> shards;
  Append(shards.b.dsn());
  AddDead(shards.a, 3);
  AddDead(shards.b, 2);
  Outcome outcome = shards.Run({"outbox", "status"});
  INFO(outcome.text);
  CHECK(outcome.code == 0);
  const size_t b = outcome.text.find("shard b\n");
  REQUIRE(b != std::string::npos);
  CHECK_THAT(outcome.text.substr(0, b), Catch::StartsWith("shard a\n") &&
                                            Contains("unsequenced    nothing") &&
                                            Contains("dead letters   3 wait"));
  CHECK_THAT(outcome.text.substr(b), Contains("unsequenced    1 messages in 1 batches") &&
                                         Contains("dead letters   2 wait"));
  CHECK_THAT(shards.Run({"outbox", "status", "--shard=a"}).text,
             Contains("3 wait") && !Contains("2 wait"));
  outcome = shards.Run({"outbox", "status", "--json"});
  CHECK_THAT(outcome.text, Catch::StartsWith(R"({"shards": [{"shard": "a", "error": null, )"
                                             R"("status": {"last_seq": 0, )") &&
                               Contains(R"({"shard": "b", "error": null)"));
  outcome = shards.Run({"outbox", "dead"});
  CHECK_THAT(outcome.text, Contains("3 of 3 that wait") && Contains("2 of 2 that wait"));

  outcome = shards.Run({"outbox", "redrive", "1"});
  CHECK(outcome.code == 2);
  CHECK_THAT(outcome.text, Contains("takes --shard=NAME"));
  CHECK_THAT(shards.Run({"outbox", "redrive", "1", "--shard=b"}).text,
             Contains("1 message is sent anew"));
  CHECK(shards.b.Query("SELECT count(*) FROM dead_letters WHERE redriven_at IS NULL") == "1");
  CHECK(shards.a.Query("SELECT count(*) FROM dead_letters WHERE redriven_at IS NULL") == "3");
  // The limit is of all together.
  outcome = shards.Run({"outbox", "redrive", "--all", "--limit=2"});
  CHECK(outcome.text == "shard a\n2 messages are sent anew\n\nshard b\n0 messages are sent anew\n");
  outcome = shards.Run({"outbox", "redrive", "--all"});
  CHECK(outcome.text == "shard a\n1 message is sent anew\n\nshard b\n1 message is sent anew\n");
  outcome = shards.Run({"outbox", "status", "--shard=c"});
  CHECK(outcome.code == 2);
  CHECK_THAT(outcome.text, Contains("there is no shard 'c'; there are a, b"));

  const ShardsFile away(kNobody, shards.b.dsn());
  outcome = Saldo({"outbox", "status", "--json", away.option()});
  CHECK(outcome.code == 1);
  CHECK_THAT(outcome.text, Contains(R"("status": null})") && Contains(R"("last_seq": 0)"));
}

TEST_CASE("tasks are those of the home shard") {
  const TwoShards<testing::MigratedDatabase> shards;
  shards.a.Query(
      "INSERT INTO task_kinds (kind, about, schedule, max_attempts, timeout_seconds) VALUES "
      "('sweep', "
      "'of a', '', 3, 60)");
  CHECK_THAT(shards.Run({"task", "kinds"}).text, Contains("sweep"));
  CHECK(shards.Run({"task", "run", "sweep"}).code == 0);
  CHECK(shards.a.Query("SELECT count(*) FROM tasks") == "1");
  CHECK(shards.b.Query("SELECT count(*) FROM tasks") == "0");
  const Outcome outcome = Saldo({"task", "list", ShardsFile(kNobody, shards.b.dsn()).option()});
  CHECK(outcome.code == 1);
  CHECK_THAT(outcome.text, Contains("saldo task: shard a: "));
}

}  // namespace
}  // namespace saldo::cli
