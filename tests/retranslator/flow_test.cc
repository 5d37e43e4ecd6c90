// The whole relay between a real PostgreSQL and a real Kafka, in calm weather.
#include <catch2/catch.hpp>
#include <map>
#include <string>
#include <vector>

#include "server/jobs/partition_keeper.h"
#include "tests/retranslator/world.h"

namespace saldo::retranslator {
namespace {

class FakeSink : public trace::Sink {
 public:
  void Take(trace::SpanData span) override {
    absl::MutexLock lock(&mutex_);
    spans_.push_back(std::move(span));
  }
  std::vector<trace::SpanData> spans() const {
    absl::MutexLock lock(&mutex_);
    return spans_;
  }

 private:
  mutable absl::Mutex mutex_;
  std::vector<trace::SpanData> spans_;
};

TEST_CASE("in calm weather everything arrives once, in order, and is counted") {
  INFO("SALDO_TEST_SEED=" << testing::Seed());
  World world;
  Relay relay(world.Config());
  Load load(world);
  REQUIRE(load.AwaitMore(2'000));
  load.Stop();
  REQUIRE(world.AwaitDrained());
  CHECK(load.Check() == 0);
  CHECK(relay.active());
  CHECK(relay.Metric("saldo_relay_active") == 1);
  const double sent = static_cast<double>(load.acknowledged());
  CHECK(relay.Metric("saldo_relay_messages_sent_total") == sent);
  CHECK(relay.Metric("saldo_relay_messages_dead_total") == 0);
  CHECK(relay.Metric("saldo_relay_restarts_total") == 0);
  CHECK(relay.Metric("saldo_relay_commit_to_ack_seconds_count") == sent);
  CHECK(relay.Metric("saldo_relay_commit_to_ack_seconds_sum") > 0);
  CHECK(testing::Eventually(kWait, [&] {
    return relay.Metric("saldo_relay_lag_messages") == 0 &&
           relay.Metric("logistic_package_api_retranslator_events_processing") == 0;
  }));
}

TEST_CASE("a message carries its id, type, time and key") {
  World world;
  Relay relay(world.Config());
  REQUIRE(world.Append({{world.topic(), "key", "payload", "a.Type"},
                        {world.topic(), "key", "", "b.Type"}}) == absl::OkStatus());
  REQUIRE(world.AwaitDrained());
  const auto received = world.Received();
  REQUIRE(received.size() == 2);
  const std::string batch = world.database().Query("SELECT batch_id FROM batches");
  CHECK(*received[0].key == "key");
  CHECK(*received[0].value == "payload");
  CHECK(*received[0].FindHeader("ce_id") == "0-" + batch + "-1");
  CHECK(*received[0].FindHeader("ce_type") == "a.Type");
  CHECK(*received[0].FindHeader("ce_source") == "/saldo");
  CHECK(*received[0].FindHeader("ce_specversion") == "1.0");
  CHECK(*received[0].FindHeader("content-type") == "application/protobuf");
  CHECK(*received[0].FindHeader("ce_time") ==
        world.database().Query("SELECT to_char(created_at AT TIME ZONE 'UTC', "
                               "'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') FROM batches"));
  CHECK(*received[1].FindHeader("ce_id") == "0-" + batch + "-2");
  CHECK(received[1].value == std::string());
  CHECK(received[1].FindHeader("traceparent") == nullptr);
}

TEST_CASE("a change's trace goes on through the send to the consumer") {
  World world;
  FakeSink sink;
  const trace::Tracer tracer(&sink, 1.0);
  metrics::Registry registry;
  RelayMetrics metrics(registry);
  const RetranslatorConfig config = world.Config();
  trace::SpanContext change;
  {
    const trace::Span span(tracer, "change", trace::Kind::kServer, std::nullopt);
    change = span.context();
    REQUIRE(world.Append({{world.topic(), "k", "1", "t"}}) == absl::OkStatus());
  }
  Pipeline pipeline({.name = "0", .range = {}}, config.relay, config.kafka, world.pool(), tracer,
                    metrics);
  REQUIRE(pipeline.Start().ok());
  REQUIRE(world.AwaitDrained());
  pipeline.Stop();
  const auto received = world.Received();
  REQUIRE(received.size() == 1);
  const auto spans = sink.spans();
  const auto send = std::find_if(spans.begin(), spans.end(), [](const trace::SpanData& span) {
    return span.kind == trace::Kind::kProducer;
  });
  REQUIRE(send != spans.end());
  CHECK(send->context.trace_id == change.trace_id);
  CHECK(send->parent_span_id == change.span_id);
  CHECK(*received[0].FindHeader("traceparent") == send->context.ToTraceparent());
}

TEST_CASE("a stop sends everything that was read") {
  INFO("SALDO_TEST_SEED=" << testing::Seed());
  World world;
  Load load(world, absl::ZeroDuration());
  for (int round = 0; round < 3; ++round) {
    Relay relay(world.Config());
    REQUIRE(relay.AwaitActive());
    REQUIRE(load.AwaitMore(500));
    relay.Stop();
    // What was sent has been passed: the next relay repeats nothing.
    CHECK(static_cast<int64_t>(relay.Metric("saldo_relay_messages_sent_total")) > 0);
  }
  load.Stop();
  Relay relay(world.Config());
  REQUIRE(world.AwaitDrained());
  CHECK(load.Check() == 0);
}

TEST_CASE("of two relays one works, and the other takes over when it goes") {
  INFO("SALDO_TEST_SEED=" << testing::Seed());
  World world;
  Load load(world);
  auto first = std::make_unique<Relay>(world.Config());
  REQUIRE(first->AwaitActive());
  Relay second(world.Config());
  REQUIRE(load.AwaitMore(500));
  CHECK(first->active());
  CHECK_FALSE(second.active());
  CHECK(second.Metric("saldo_relay_active") == 0);
  CHECK(second.Metric("saldo_relay_messages_sent_total") == 0);
  first.reset();
  CHECK(second.AwaitActive(absl::Seconds(3)));
  REQUIRE(load.AwaitMore(200));
  load.Stop();
  REQUIRE(world.AwaitDrained());
  CHECK(load.Check() == 0);
}

TEST_CASE("partitions of the outbox are dropped behind the cursor") {
  INFO("SALDO_TEST_SEED=" << testing::Seed());
  World world;
  world.database().Query(
      "DO $$ DECLARE p record; BEGIN FOR p IN SELECT * FROM partitions LOOP EXECUTE "
      "format('DROP TABLE %I', p.parent || '_' || p.lower_bound); END LOOP; "
      "DELETE FROM partitions; UPDATE partitioned_tables SET width = 200; "
      "PERFORM extend_partitions(parent, 0, 20) FROM partitioned_tables; END $$");
  metrics::Registry registry;
  jobs::PartitionKeeper keeper({.interval = absl::Milliseconds(50), .ahead = 20}, world.pool(),
                               registry);
  REQUIRE(keeper.Start().ok());
  RetranslatorConfig config = world.Config();
  config.relay.cleaner.drop_interval = absl::Milliseconds(20);
  Relay relay(config);
  Load load(world);
  REQUIRE(load.AwaitMore(2'000));
  load.Stop();
  REQUIRE(world.AwaitDrained());
  const int64_t last = world.Number("SELECT last_value FROM batch_id_seq");
  REQUIRE(last > 1'000);
  CHECK(testing::Eventually(kWait, [&] {
    return world.Number("SELECT min(lower_bound) FROM partitions WHERE parent = 'outbox'") >=
           last / 200 * 200 - 200;
  }));
  CHECK(relay.Metric("saldo_relay_partitions_dropped_total") >= 4);
  CHECK(relay.Metric("saldo_relay_restarts_total") == 0);
  keeper.Stop();
  CHECK(load.Check() == 0);
}

}  // namespace
}  // namespace saldo::retranslator
