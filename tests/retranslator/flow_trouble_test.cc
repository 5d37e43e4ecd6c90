// The whole relay while its servers stop, break and come back under load.
#include <catch2/catch.hpp>
#include <random>
#include <string>

#include "tests/retranslator/world.h"

namespace saldo::retranslator {
namespace {

using testing::TestKafka;
using testing::TestPostgres;

TEST_CASE("Kafka goes and comes back: nothing is lost, and what waits is bounded") {
  INFO("SALDO_TEST_SEED=" << testing::Seed());
  World world;
  RetranslatorConfig config = world.Config();
  config.relay.read.messages = 50;
  config.relay.window_messages_max = 300;
  Relay relay(config);
  Load load(world);
  REQUIRE(load.AwaitMore(300));
  TestKafka().Stop();
  REQUIRE(load.AwaitMore(2'000));
  const auto waiting = [&] {
    return relay.Metric("logistic_package_api_retranslator_events_processing");
  };
  CHECK(testing::Eventually(kWait, [&] { return waiting() > 200; }));
  CHECK(waiting() <= 300);
  CHECK(
      testing::Eventually(kWait, [&] { return relay.Metric("saldo_relay_lag_messages") > 1'000; }));
  CHECK(relay.Metric("saldo_relay_oldest_seconds") > 0);
  REQUIRE(TestKafka().Restart() == absl::OkStatus());
  REQUIRE(load.AwaitMore(300));
  load.Stop();
  REQUIRE(world.AwaitDrained());
  load.Check();
  CHECK(world.Number("SELECT count(*) FROM dead_letters") == 0);
  CHECK(relay.Metric("saldo_relay_restarts_total") == 0);
}

TEST_CASE("the relay's connections to PostgreSQL are killed again and again") {
  INFO("SALDO_TEST_SEED=" << testing::Seed());
  World world;
  Relay relay(world.Config());
  REQUIRE(relay.AwaitActive());
  Load load(world);
  std::mt19937_64 random(testing::Seed());
  const std::string whose[] = {"= 'saldo-relay'", "= 'saldo-retranslator'", "LIKE 'saldo-%'"};
  for (int round = 0; round < 8; ++round) {
    REQUIRE(load.AwaitMore(50 + static_cast<int64_t>(random() % 150)));
    world.database().Query(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE pid <> "
        "pg_backend_pid() AND datname = current_database() AND application_name " +
        whose[random() % 3] + (random() % 2 == 0 ? "" : " AND random() < 0.5"));
  }
  world.database().Query(
      "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = "
      "current_database() AND application_name = 'saldo-relay'");
  CHECK(testing::Eventually(kWait, [&] { return relay.Metric("saldo_relay_restarts_total") > 0; }));
  REQUIRE(load.AwaitMore(100));
  load.Stop();
  REQUIRE(world.AwaitDrained());
  load.Check();
  CHECK(world.Number("SELECT count(*) FROM dead_letters") == 0);
}

TEST_CASE("PostgreSQL restarts, in order or by a crash, under load") {
  const bool crash = GENERATE(false, true);
  INFO("SALDO_TEST_SEED=" << testing::Seed());
  World world;
  Relay relay(world.Config());
  Load load(world);
  REQUIRE(load.AwaitMore(300));
  if (crash) {
    TestPostgres().Kill();
  } else {
    TestPostgres().Stop();
  }
  REQUIRE(TestPostgres().Restart() == absl::OkStatus());
  REQUIRE(load.AwaitMore(300));
  load.Stop();
  REQUIRE(world.AwaitDrained());
  load.Check();
  CHECK(world.Number("SELECT count(*) FROM dead_letters") == 0);
}

TEST_CASE("a relay that is stopped while Kafka is away loses nothing; the next one goes on") {
  INFO("SALDO_TEST_SEED=" << testing::Seed());
  World world;
  Load load(world);
  RetranslatorConfig config = world.Config();
  config.relay.flush_timeout = absl::Milliseconds(200);
  {
    Relay relay(config);
    REQUIRE(relay.AwaitActive());
    REQUIRE(load.AwaitMore(300));
    TestKafka().Stop();
    REQUIRE(load.AwaitMore(300));
    const absl::Time start = absl::Now();
    relay.Stop();
    CHECK(absl::Now() - start < absl::Seconds(5));
  }
  CHECK_FALSE(world.Drained());
  Relay next(config);
  REQUIRE(TestKafka().Restart() == absl::OkStatus());
  REQUIRE(load.AwaitMore(100));
  load.Stop();
  REQUIRE(world.AwaitDrained());
  load.Check();
}

TEST_CASE("messages for a topic that does not exist become dead letters, and others flow") {
  INFO("SALDO_TEST_SEED=" << testing::Seed());
  testing::TempDir dir;
  auto strict = devstack::KafkaBroker::Start(
      {.dir = dir.File("kafka"), .auto_create_topics = false, .heap_mb = 256});
  REQUIRE(strict.status() == absl::OkStatus());
  World world(/*create_topic=*/false);
  RetranslatorConfig config = world.Config();
  config.kafka.connection.brokers = (*strict)->bootstrap_servers();
  auto admin = kafka::Admin::Create({.brokers = (*strict)->bootstrap_servers()});
  REQUIRE(admin.ok());
  REQUIRE((*admin)->CreateTopic({.name = "there"}, Soon()) == absl::OkStatus());
  Relay relay(config);
  for (int i = 0; i < 20; ++i) {
    const std::string text = std::to_string(i);
    REQUIRE(world.Append({{"gone", text, text, "t"}, {"there", text, text, "t"}}).ok());
  }
  REQUIRE(world.AwaitDrained());
  CHECK(world.Number("SELECT count(*) FROM dead_letters WHERE topic = 'gone'") == 20);
  CHECK(world.Number("SELECT count(*) FROM dead_letters WHERE topic = 'there'") == 0);
  CHECK(world.Number("SELECT max(attempts) FROM dead_letters") == 3);
  CHECK(world.Number("SELECT count(*) FROM dead_letters WHERE error LIKE '%UNKNOWN_TOPIC%'") == 20);
  CHECK(world.Number("SELECT count(*) FROM dead_letters AS d JOIN batches AS b USING (batch_id) "
                     "WHERE d.ordinal = 1 AND d.key = d.payload AND d.type = 't' AND d.created_at "
                     "= b.created_at AND d.message_id = '0-' || batch_id || '-1'") == 20);
  CHECK(relay.Metric("saldo_relay_messages_dead_total") == 20);
  CHECK(testing::Eventually(kWait, [&] { return relay.Metric("saldo_relay_dead_letters") == 20; }));
  CHECK(relay.Metric("saldo_relay_messages_sent_total") == 20);
}

}  // namespace
}  // namespace saldo::retranslator
