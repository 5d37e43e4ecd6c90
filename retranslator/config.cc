#include "retranslator/config.h"

#include "common/kafka/config.h"
#include "common/observability/config.h"
#include "common/postgres/config.h"

namespace saldo::retranslator {
namespace {

void Bind(config::Binder& binder, RetryOptions& o) {
  binder.Int(
      "attempts_max", &o.attempts_max, {.min = 2, .max = 1000},
      "How often a message is sent before it becomes a dead letter, the first time included");
  binder.Duration("backoff_min", &o.backoff_min,
                  {.min = absl::Milliseconds(1), .max = absl::Minutes(10)},
                  "The pause before the second try; doubles with each further one");
  binder.Duration("backoff_max", &o.backoff_max,
                  {.min = absl::Milliseconds(1), .max = absl::Hours(1)}, "The longest pause");
  binder.Check([&o] {
    if (o.backoff_min <= o.backoff_max) return absl::OkStatus();
    return absl::InvalidArgumentError("backoff_min must not exceed backoff_max");
  });
}

void Bind(config::Binder& binder, CleanerOptions& o) {
  binder.Duration("interval", &o.interval, {.min = absl::Milliseconds(1), .max = absl::Minutes(1)},
                  "From one move of the cursor to the next: what a crash may send twice");
  binder.Duration("drop_interval", &o.drop_interval,
                  {.min = absl::Milliseconds(10), .max = absl::Hours(24)},
                  "How often passed partitions of the outbox are dropped");
  binder.Duration("lag_interval", &o.lag_interval,
                  {.min = absl::Milliseconds(10), .max = absl::Hours(1)},
                  "How often the lag is measured");
}

void Bind(config::Binder& binder, PipelineOptions& o) {
  binder.Int("read_messages_max", &o.read.messages, {.min = 1, .max = 100'000},
             "Messages read at once; a single batch may be larger");
  binder.Bytes("read_bytes_max", &o.read.bytes, {.min = config::kKiB, .max = 256 * config::kMiB},
               "Bytes of messages read at once; a single batch may be larger");
  binder.Duration("poll_interval", &o.poll_interval,
                  {.min = absl::Milliseconds(1), .max = absl::Minutes(1)},
                  "How long new batches may stay unnoticed when the sequencer's signal is lost");
  binder.Duration("takeover_interval", &o.takeover_interval,
                  {.min = absl::Milliseconds(10), .max = absl::Minutes(1)},
                  "How often a stand-by tries to take over");
  binder.Int("window_messages_max", &o.window_messages_max, {.min = 16'384, .max = 10'000'000},
             "Messages read and not yet acknowledged: with the next, the bound of memory while "
             "Kafka is away, of each shard");
  binder.Bytes("window_bytes_max", &o.window_bytes_max,
               {.min = config::kMiB, .max = 16 * config::kGiB},
               "Bytes of messages read and not yet acknowledged, of each shard");
  binder.Check([&o] {
    if (o.read.messages <= o.window_messages_max && o.read.bytes <= o.window_bytes_max)
      return absl::OkStatus();
    return absl::InvalidArgumentError(
        "read_messages_max and read_bytes_max must not exceed window_messages_max and "
        "window_bytes_max");
  });
  binder.Int("producers", &o.producers, {.min = 1, .max = 64},
             "Threads that encode messages, of each shard");
  binder.Int("chunks_max", &o.chunks_max, {.min = 1, .max = 1000},
             "Reads that may wait in front of each producer");
  binder.Duration("flush_timeout", &o.flush_timeout,
                  {.min = absl::ZeroDuration(), .max = absl::Minutes(10)},
                  "How long a stop waits for what Kafka has not acknowledged");
  binder.Duration("restart_wait", &o.restart_wait,
                  {.min = absl::Milliseconds(10), .max = absl::Minutes(10)},
                  "The pause after a failure before the relay starts over");
  binder.String("source", &o.encoder.source, {.min = 1, .max = 256},
                "The CloudEvents source of every message");
  binder.Section("retry", [&](config::Binder& b) { Bind(b, o.retry); });
  binder.Section("cleaner", [&](config::Binder& b) { Bind(b, o.cleaner); });
}

}  // namespace

RetranslatorConfig::RetranslatorConfig() {
  log.service = "saldo-retranslator";
  metrics.port = 9101;
  status.port = 8001;
  postgres.max_connections = 4;
  postgres.connection.application_name = "saldo-retranslator";
  kafka.connection.client_id = "saldo-retranslator";
  kafka.topic_wait = absl::Seconds(5);
  kafka.queue_messages_max = 50'000;
}

void Bind(config::Binder& binder, RetranslatorConfig& config) {
  binder.Section("log", [&](config::Binder& b) { log::Bind(b, config.log); });
  binder.Section("metrics", [&](config::Binder& b) { http::Bind(b, config.metrics); });
  binder.Section("status", [&](config::Binder& b) { http::Bind(b, config.status); });
  binder.Section("postgres", [&](config::Binder& b) {
    postgres::Bind(b, config.postgres, postgres::Dsn::kOptional);
    b.Duration("start_timeout", &config.database_start_timeout,
               {.min = absl::ZeroDuration(), .max = absl::Hours(1)},
               "How long a start waits for a database that is away, or for any of several");
  });
  shards::Bind(binder, config.shards, config.postgres.connection.dsn);
  binder.Section("kafka", [&](config::Binder& b) { kafka::Bind(b, config.kafka); });
  binder.Section("relay", [&](config::Binder& b) { Bind(b, config.relay); });
}

}  // namespace saldo::retranslator
