// What a server on several shards starts with, and what it refuses.
#include <catch2/catch.hpp>
#include <functional>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/devstack/child_process.h"
#include "common/devstack/files.h"
#include "tests/server/shards/sharded_app.h"
#include "tests/support/capture_log.h"

namespace saldo::server {
namespace {

absl::Status StartWith(const std::vector<shards::ShardConfig>& shards) {
  ServerConfig config = LoopbackConfig("");
  config.shards = shards;
  config.database_start_timeout = absl::Milliseconds(300);
  return App(config).Start();
}

void CheckRefused(const absl::Status& status, const std::string& part) {
  CHECK(status.code() == absl::StatusCode::kFailedPrecondition);
  CHECK_THAT(std::string(status.message()), Catch::Contains(part));
}

constexpr const char* kNobody = "host=127.0.0.1 port=1 user=saldo dbname=saldo";

}  // namespace

TEST_CASE("ranges that leave a gap are a clear refusal to start") {
  std::vector<shards::ShardConfig> shards = TwoShards(kNobody, "host=127.0.0.1 port=2");
  shards[1].from = "81";
  const absl::Status status = StartWith(shards);
  CHECK(status.code() == absl::StatusCode::kInvalidArgument);
  CHECK(status.message() ==
        "shards: no shard owns the hashes 8000000000000000-80ffffffffffffff, between shards "
        "\"south\" and \"north\"; together the shards must own all of them");
}

TEST_CASE("a program says what is wrong with its shards, and ends") {
  const testing::TempDir folder;
  const std::string file = folder.File("saldo.yaml");
  REQUIRE(devstack::WriteFile(file,
                              "shards:\n"
                              "  - {name: south, to: 7f, dsn: host=a}\n"
                              "  - {name: north, from: 7f, dsn: host=b}\n")
              .ok());
  auto child = devstack::ChildProcess::Start(
      {.argv = {*devstack::SiblingProgram("saldo-server"), "--config=" + file},
       .log_file = folder.File("log")});
  REQUIRE(child.ok());
  const auto ended = (*child)->Wait(kPatience);
  REQUIRE(ended.ok());
  CHECK(ended->code == 1);
  CHECK_THAT(*devstack::ReadFile(folder.File("log")),
             Catch::Contains("shards \"south\" and \"north\" both own the hashes "
                             "7f00000000000000-7fffffffffffffff"));
}

TEST_CASE("of several shards, lines of the log name theirs") {
  testing::CaptureLog capture;
  {
    ShardedApp app;
    app.north.Query("ALTER TABLE cursors RENAME TO gone");
    app.north.Query("ALTER TABLE sequencer RENAME TO gone_too");
    app.north.Query(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()");
    const auto fails = [&] {
      return app.HasSample("saldo_sequencer_active{shard=\"north\"} 0") &&
             !app.HasSample("saldo_aggregation_failures_total{shard=\"north\"} 0");
    };
    CHECK(testing::Eventually(kPatience, fails));
  }
  const std::string log = capture.Text();
  CAPTURE(log);
  for (const char* shard : {"south", "north"}) {
    const std::string named = absl::StrCat(" shard=", shard, "\n");
    CHECK(testing::CountOf(log, "the sequencer works last_seq=0" + named) == 1);
  }
  int lines = 0;
  for (const absl::string_view line : absl::StrSplit(log, '\n')) {
    const bool of_jobs = absl::StrContains(line, "job failed, will try again") ||
                         absl::StrContains(line, "the sequencer starts over");
    if (!of_jobs) continue;
    ++lines;
    CHECK_THAT(std::string(line), Catch::EndsWith(" shard=north"));
  }
  CHECK(lines >= 2);
  CHECK_THAT(log, Catch::Contains(" stopped part=sequencer ") && Catch::Contains(" shard=south\n"));
}

TEST_CASE("an only shard needs no name in the log") {
  testing::CaptureLog capture;
  { TestApp app; }
  const std::string log = capture.Text();
  CAPTURE(log);
  CHECK_THAT(log, Catch::Contains("the sequencer works last_seq=0\n"));
  CHECK_THAT(log, !Catch::Contains("shard="));
}

TEST_CASE("a database keeps the shard that it was first started as") {
  testing::MigratedDatabase south, north;
  {
    App app(ShardedConfig(south.dsn(), north.dsn()));
    REQUIRE(app.Start().ok());
  }
  CHECK(south.Query("SELECT name, range_first, range_last FROM shard") ==
        "south|0000000000000000|7fffffffffffffff");
  CHECK(north.Query("SELECT name, range_first, range_last FROM shard") ==
        "north|8000000000000000|ffffffffffffffff");
  // Each other's place.
  CheckRefused(StartWith(TwoShards(north.dsn(), south.dsn())), "is configured as shard");
  // Another border.
  std::vector<shards::ShardConfig> moved = TwoShards(south.dsn(), north.dsn());
  moved[0].to = "8";
  moved[1].from = "9";
  CheckRefused(StartWith(moved), "shard \"");
  // A part as a whole.
  CheckRefused(
      App(LoopbackConfig(south.dsn())).Start(),
      "the database is shard \"south\" with the hashes 0000000000000000-7fffffffffffffff, "
      "but is configured as shard \"0\" with the hashes 0000000000000000-ffffffffffffffff");
  // In the same order or another one it is the same.
  std::vector<shards::ShardConfig> swapped = TwoShards(south.dsn(), north.dsn());
  std::swap(swapped[0], swapped[1]);
  CHECK(StartWith(swapped).ok());
}

TEST_CASE("an unsharded ledger is not taken for a shard of several") {
  testing::MigratedDatabase whole, other;
  {
    App app(LoopbackConfig(whole.dsn()));
    REQUIRE(app.Start().ok());
  }
  CHECK(whole.Query("SELECT name FROM shard") == "0");
  CheckRefused(StartWith(TwoShards(whole.dsn(), other.dsn())),
               "shard \"south\": the database holds a whole, unsharded ledger");
  // One that no server with shards has met.
  whole.Query(
      "DELETE FROM shard; INSERT INTO accounts (account_id, type_id, key, asset) "
      "VALUES (1, 1, 'k', 'p')");
  CheckRefused(StartWith(TwoShards(other.dsn(), whole.dsn())),
               "shard \"north\": the database holds accounts of a whole, unsharded ledger");
  CHECK(App(LoopbackConfig(whole.dsn())).Start().ok());
}

TEST_CASE("a shard that does not fit is named, and the server does not start") {
  testing::MigratedDatabase south;
  const testing::TestDatabase empty;
  CheckRefused(StartWith(TwoShards(south.dsn(), empty.dsn())), "shard \"north\": ");
}

TEST_CASE("without any shard the server gives up, and says why") {
  const absl::Status status = StartWith(TwoShards(kNobody, "host=127.0.0.1 port=2 user=saldo"));
  CHECK(status.code() == absl::StatusCode::kUnavailable);
  CHECK_THAT(std::string(status.message()),
             Catch::Contains("the database of any shard did not answer within 300ms") &&
                 Catch::Contains("shard \"south\"") && Catch::Contains("shard \"north\""));
}

TEST_CASE("on SIGHUP all shards take the new types, and one that cannot keeps the old ones") {
  const testing::TempDir folder;
  const std::string file = folder.File("types.yaml");
  const auto write = [&](const std::string& key) {
    REQUIRE(devstack::WriteFile(file, "types:\n  - {name: points, key: [" + key +
                                          "], asset_constant: p, sharding: [id]}\n")
                .ok());
  };
  write("{name: id}");
  std::function<void()> reload;
  testing::MigratedDatabase south, north;
  ServerConfig config = ShardedConfig(south.dsn(), north.dsn());
  config.ledger.ledger.types_file = file;
  App app(config, {.on_reload = [&](std::function<void()> given) { reload = std::move(given); }});
  REQUIRE(app.Start().ok());
  const std::string keys = "SELECT key_attributes FROM account_types WHERE name = 'points'";
  write("{name: id}, {name: kind}");
  reload();
  CHECK(south.Query(keys) == "{\"id string\",\"kind string\"}");
  CHECK(north.Query(keys) == "{\"id string\",\"kind string\"}");
  // The home shard has an account by now.
  south.Query(
      "INSERT INTO accounts (account_id, type_id, key, asset) "
      "SELECT 1, type_id, 'k', 'p' FROM account_types WHERE name = 'points'");
  write("{name: id}");
  reload();
  CHECK(south.Query(keys) == "{\"id string\",\"kind string\"}");
  CHECK(north.Query(keys) == "{\"id string\"}");
  const std::string metrics = app.registry().Text();
  CHECK_THAT(metrics, Catch::Contains("saldo_account_types_reloads_total{result=\"refused\","
                                      "shard=\"south\"} 1"));
  CHECK_THAT(metrics, Catch::Contains("saldo_account_types_reloads_total{result=\"ok\","
                                      "shard=\"north\"} 2"));
}

}  // namespace saldo::server
