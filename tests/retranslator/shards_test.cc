// The relays of two shards between real databases and a real Kafka.
#include <catch2/catch.hpp>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "common/devstack/postgres_cluster.h"
#include "common/schema/migrator.h"
#include "tests/retranslator/world.h"
#include "tests/support/capture_log.h"
#include "tests/support/hung_server.h"

namespace saldo::retranslator {
namespace {

// What a server does on one shard: it writes messages, and gives their batches an order.
class Source {
 public:
  explicit Source(std::string dsn) : dsn_(std::move(dsn)) {}
  ~Source() { sequencer_.Stop(); }

  const std::string& dsn() const { return dsn_; }
  void Begin() { REQUIRE(sequencer_.Start().ok()); }
  // Messages "<prefix><n>", each in a batch of its own.
  void Append(const std::string& topic, const std::string& prefix, int count) {
    for (int i = 0; i < count; ++i) {
      const std::vector<outbox::Message> messages = {
          {.topic = topic, .key = prefix, .payload = prefix + std::to_string(i), .type = "test"}};
      // What failed, or may have, is written again.
      REQUIRE(testing::Eventually(kWait, [&] {
        return pool_
            .Transact(Soon(), {.name = "test.append"},
                      [&](postgres::Transaction& tx) { return outbox_.Append(tx, messages); })
            .ok();
      }));
    }
  }

 private:
  const std::string dsn_;
  metrics::Registry registry_;
  postgres::Pool pool_{{.connection = {.dsn = dsn_}, .max_connections = 2}, registry_};
  jobs::Sequencer sequencer_{{}, {.dsn = dsn_}, registry_};
  const outbox::Outbox outbox_{[this] { sequencer_.Wake(); }};
};

// A migrated database in a server of its own.
class OwnServer {
 public:
  OwnServer() {
    auto cluster = devstack::PostgresCluster::Start({.dir = dir_.path(), .durable = false});
    REQUIRE(cluster.status() == absl::OkStatus());
    cluster_ = *std::move(cluster);
    REQUIRE(cluster_->CreateDatabase("saldo").ok());
    const auto connection = postgres::Connection::Open({.dsn = dsn()}, Soon());
    REQUIRE(connection.ok());
    REQUIRE(schema::Up(**connection, Soon(), schema::AllMigrations(), [](const auto&) {}).ok());
  }
  std::string dsn() const { return cluster_->dsn("saldo"); }
  void Stop() { cluster_->Stop(); }
  void Restart() { REQUIRE(cluster_->Restart() == absl::OkStatus()); }
  void Freeze() { hung_.emplace(*cluster_, dir_.path()); }
  void Thaw() { hung_.reset(); }

 private:
  testing::TempDir dir_;
  std::unique_ptr<devstack::PostgresCluster> cluster_;
  std::optional<testing::HungServer> hung_;
};

RetranslatorConfig ConfigOf(const World& world, const std::string& dsn_a,
                            const std::string& dsn_b) {
  RetranslatorConfig config = world.Config();
  config.postgres.connection.dsn = "";
  config.shards = {{.name = "a", .from = "00", .to = "7f", .dsn = dsn_a},
                   {.name = "b", .from = "80", .to = "ff", .dsn = dsn_b}};
  return config;
}

// Whether each of these was received: "a0", "a1", ...
bool Arrived(const World& world, const std::string& prefix, int count) {
  std::set<std::string> missing;
  for (int i = 0; i < count; ++i) missing.insert(prefix + std::to_string(i));
  return testing::Eventually(kWait, [&] {
    for (const kafka::ReceivedMessage& message : world.Received()) missing.erase(*message.value);
    return missing.empty();
  });
}

TEST_CASE("the messages of both shards arrive, under ids of their own") {
  World world;  // for its topic
  const testing::MigratedDatabase database_a, database_b;
  Source a(database_a.dsn()), b(database_b.dsn());
  a.Begin();
  b.Begin();
  Relay relay(ConfigOf(world, a.dsn(), b.dsn()));
  a.Append(world.topic(), "a", 40);
  b.Append(world.topic(), "b", 50);
  REQUIRE(Arrived(world, "a", 40));
  REQUIRE(Arrived(world, "b", 50));
  std::set<std::string> ids;
  for (const kafka::ReceivedMessage& message : world.Received()) {
    const std::string id = *message.FindHeader("ce_id");
    CHECK(id.starts_with(message.value->substr(0, 1) + "-"));
    ids.insert(id);
  }
  CHECK(ids.size() == 90);
  CHECK(relay.active(0));
  CHECK(relay.active(1));
  CHECK(testing::Eventually(kWait, [&] {
    return relay.Metric("saldo_relay_messages_sent_total", "a") == 40 &&
           relay.Metric("saldo_relay_messages_sent_total", "b") == 50;
  }));
  CHECK(relay.Metric("saldo_shard_up", "a") == 1);
  CHECK(relay.Metric("saldo_relay_active", "b") == 1);
  CHECK(relay.Readiness().body == "ok\n");
}

TEST_CASE("a shard's database that is away leaves the other relay working") {
  World world;
  OwnServer server;
  const testing::MigratedDatabase database;
  Source a(database.dsn()), b(server.dsn());
  a.Begin();
  b.Begin();
  b.Append(world.topic(), "early", 10);
  server.Stop();

  // At the start.
  Relay relay(ConfigOf(world, a.dsn(), b.dsn()));
  a.Append(world.topic(), "one", 20);
  CHECK(Arrived(world, "one", 20));
  CHECK(relay.Readiness().code == 200);
  CHECK(relay.Readiness().body == "ok\nshard b: away\n");
  CHECK(relay.Metric("saldo_shard_up", "a") == 1);
  CHECK(relay.Metric("saldo_shard_up", "b") == 0);
  server.Restart();
  CHECK(Arrived(world, "early", 10));
  const auto ready = [&] { return relay.Readiness().body == "ok\n"; };
  CHECK(testing::Eventually(kWait, ready));

  // And later.
  server.Stop();
  a.Append(world.topic(), "two", 20);
  CHECK(Arrived(world, "two", 20));
  CHECK(
      testing::Eventually(kWait, [&] { return relay.Readiness().body == "ok\nshard b: away\n"; }));
  CHECK(relay.Readiness().code == 200);
  CHECK(relay.Metric("saldo_relay_restarts_total", "a") == 0);
  testing::TestPostgres().Stop();
  CHECK(testing::Eventually(kWait, [&] { return relay.Readiness().code == 503; }));
  CHECK(relay.Readiness().body ==
        "shards: UNAVAILABLE: no shard works\nshard a: away\nshard b: away\n");
  REQUIRE(testing::TestPostgres().Restart() == absl::OkStatus());
  server.Restart();
  a.Append(world.topic(), "three", 20);
  b.Append(world.topic(), "four", 20);
  CHECK(Arrived(world, "three", 20));
  CHECK(Arrived(world, "four", 20));
  CHECK(testing::Eventually(kWait, ready));
}

TEST_CASE("a shard that hangs is noticed in seconds, and worked on when it goes on") {
  World world;
  OwnServer server;
  const testing::MigratedDatabase database;
  Source a(database.dsn()), b(server.dsn());
  a.Begin();
  b.Begin();
  Relay relay(ConfigOf(world, a.dsn(), b.dsn()));
  REQUIRE(testing::Eventually(kWait, [&] { return relay.active(0) && relay.active(1); }));
  server.Freeze();
  const absl::Time frozen = absl::Now();
  CHECK(testing::Eventually(kWait, [&] { return relay.Metric("saldo_shard_up", "b") == 0; }));
  const absl::Duration took = absl::Now() - frozen;
  a.Append(world.topic(), "a", 20);
  CHECK(Arrived(world, "a", 20));
  server.Thaw();
  CHECK(took < absl::Seconds(10));  // 5 or 6 where nothing else runs
  b.Append(world.topic(), "b", 20);
  CHECK(Arrived(world, "b", 20));
  CHECK(relay.Metric("saldo_shard_up", "b") == 1);
}

TEST_CASE("a connection that is lost is no shard that is away, and jobs name their shard") {
  World world;
  const testing::MigratedDatabase database_a, database_b;
  testing::CaptureLog capture;
  {
    Relay relay(ConfigOf(world, database_a.dsn(), database_b.dsn()));
    REQUIRE(testing::Eventually(kWait, [&] { return relay.active(0) && relay.active(1); }));
    const auto holder = postgres::Connection::Open({.dsn = database_b.dsn()}, Soon());
    REQUIRE(holder.ok());
    const std::string watch =
        " FROM pg_stat_activity WHERE datname = current_database() "
        "AND application_name = 'saldo-retranslator-watch' ";
    const std::string waiting = watch + "AND wait_event_type = 'Lock'";
    const std::string answered = watch + "AND state = 'idle' AND query LIKE '%FROM shard%'";
    for (int i = 0; i < 3; ++i) {
      // Lost while it asks, for what is lost while it rests is seen before.
      REQUIRE((*holder)->ExecuteScript(Soon(), "BEGIN; LOCK TABLE shard").ok());
      const auto asks = [&] { return database_b.Query("SELECT count(*)" + waiting) == "1"; };
      REQUIRE(testing::Eventually(kWait, asks));
      REQUIRE(database_b.Query("SELECT pg_terminate_backend(pid, 5000)" + waiting) == "t");
      REQUIRE((*holder)->ExecuteScript(Soon(), "COMMIT").ok());
      // The second try, which is not to be lost as well.
      const auto again = [&] { return database_b.Query("SELECT count(*)" + answered) == "1"; };
      REQUIRE(testing::Eventually(kWait, again));
    }
  }
  const std::string log = capture.Text();
  CAPTURE(log);
  CHECK_THAT(log, !Catch::Contains("waiting for the database"));
  CHECK(testing::CountOf(log, "the relay works cursor=0 shard=a\n") == 1);
  CHECK(testing::CountOf(log, "the relay works cursor=0 shard=b\n") == 1);
}

TEST_CASE("a start without any shard, or with the wrong one, says so") {
  World world;
  const testing::MigratedDatabase database;
  const std::string nobody = "host=127.0.0.1 port=1";
  const auto start = [&](const std::string& dsn_a, const std::string& dsn_b) {
    RetranslatorConfig config = ConfigOf(world, dsn_a, dsn_b);
    config.database_start_timeout = absl::Milliseconds(500);
    App app(config);
    return app.Start();
  };
  const absl::Status away = start(nobody, nobody + " ");
  CHECK(away.code() == absl::StatusCode::kUnavailable);
  CHECK_THAT(std::string(away.message()),
             Catch::Contains("the database of any shard did not answer within 500ms") &&
                 Catch::Contains("shard \"a\": ") && Catch::Contains("shard \"b\": "));
  database.Query(
      "INSERT INTO shard (name, range_first, range_last) VALUES ('b', '8000000000000000', "
      "'ffffffffffffffff')");
  CHECK(start(nobody, database.dsn()) == absl::OkStatus());
  const absl::Status wrong = start(database.dsn(), nobody);
  CHECK(wrong.code() == absl::StatusCode::kFailedPrecondition);
  CHECK_THAT(std::string(wrong.message()),
             Catch::Contains("shard \"a\": the database is shard \"b\""));
  const testing::TestDatabase empty;
  const absl::Status behind = start(empty.dsn(), database.dsn());
  CHECK(behind.code() == absl::StatusCode::kFailedPrecondition);
  CHECK_THAT(std::string(behind.message()), Catch::Contains("saldo migrate up"));
}

TEST_CASE("a database that a server makes another shard later is not shipped under this name") {
  World world;
  const testing::MigratedDatabase database_a, database_b;
  Source a(database_a.dsn()), b(database_b.dsn());
  a.Begin();
  b.Begin();
  // Before any server: nothing says that the two are swapped.
  Relay relay(ConfigOf(world, b.dsn(), a.dsn()));
  REQUIRE(testing::Eventually(kWait, [&] { return relay.active(0) && relay.active(1); }));
  database_b.Query(
      "INSERT INTO shard (name, range_first, range_last) VALUES ('b', '8000000000000000', "
      "'ffffffffffffffff')");
  b.Append(world.topic(), "b", 3);
  CHECK(testing::Eventually(
      kWait, [&] { return relay.Readiness().body == "ok\nshard a: does not fit\n"; }));
  CHECK(testing::Eventually(kWait,
                            [&] { return relay.Metric("saldo_relay_restarts_total", "a") >= 2; }));
  CHECK(world.Received().empty());
}

}  // namespace
}  // namespace saldo::retranslator
