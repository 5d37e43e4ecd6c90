// The relay of one database: consumer -> producers -> sender -> cleaner.
//
// It holds a session advisory lock while it works; another instance stands by and takes over when
// the lock is free. A session begins at the stored cursor and ends with a stop or a failure; a
// failure starts the next one. What was sent and not yet passed by the cursor is then sent again:
// at least once.
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/kafka/producer.h"
#include "common/observability/trace.h"
#include "common/postgres/pool.h"
#include "common/runtime/service.h"
#include "common/runtime/stop_signal.h"
#include "common/runtime/thread.h"
#include "common/shards/identity.h"
#include "retranslator/cleaner.h"
#include "retranslator/encoder.h"
#include "retranslator/outbox_reader.h"
#include "retranslator/relay_metrics.h"
#include "retranslator/retry_lanes.h"

namespace saldo::retranslator {

struct PipelineOptions {
  ReadLimits read;
  // How long new batches may stay unnoticed when the sequencer's signal is lost.
  absl::Duration poll_interval = absl::Milliseconds(100);
  // How often a stand-by tries to take over, and the longest that the loss of the own lock stays
  // unnoticed.
  absl::Duration takeover_interval = absl::Milliseconds(500);
  // Bounds of what is read and not yet acknowledged, in memory: about 1 KiB a message on top of its
  // bytes.
  int window_messages_max = 50'000;
  int64_t window_bytes_max = int64_t{32} << 20;
  int producers = 2;
  // Chunks that may wait in front of each producer.
  int chunks_max = 4;
  RetryOptions retry;
  // How long a stop waits for what Kafka has not acknowledged.
  absl::Duration flush_timeout = absl::Seconds(10);
  // The pause after a failed session.
  absl::Duration restart_wait = absl::Milliseconds(500);
  EncoderOptions encoder;
  CleanerOptions cleaner;
};

class Pipeline : public runtime::Service {
 public:
  // `identity` is that of the shard: a database of another one is never relayed. `pool` serves the
  // cleaner; the consumer and the cursor have connections of their own, made with the pool's
  // options. All outlive the pipeline.
  Pipeline(const shards::Identity& identity, const PipelineOptions& options,
           const kafka::ProducerOptions& kafka, postgres::Pool& pool, const trace::Tracer& tracer,
           RelayMetrics& metrics);
  ~Pipeline() override { Stop(); }

  std::string_view name() const override { return "relay"; }
  absl::Status Start() override;
  // In the order that forgets nothing delivered and passes nothing undelivered: consumer,
  // producers, sender, cleaner.
  void Stop() override;

  // Begins to stop, and returns at once.
  void Interrupt() { stop_.Stop(); }

  // Whether this one holds the lock.
  bool active() const { return active_.load(std::memory_order_relaxed); }

 private:
  struct Session;

  void Run();
  // Waits for the lock, then works. OK after a stop.
  absl::Status RunSession();
  absl::StatusOr<bool> WaitForLock(OutboxReader& reader);
  absl::Status Consume(postgres::Connection& connection, OutboxReader& reader, Session& session,
                       int64_t cursor);
  absl::StatusOr<bool> WaitForRoom(postgres::Connection& connection, Session& session,
                                   const BatchList& list);

  const shards::Identity identity_;
  const PipelineOptions options_;
  const kafka::ProducerOptions kafka_options_;
  postgres::Pool& pool_;
  const trace::Tracer& tracer_;
  RelayMetrics& metrics_;
  const Encoder encoder_;

  std::atomic<bool> active_{false};
  runtime::StopSignal stop_;
  runtime::Thread thread_;
};

}  // namespace saldo::retranslator
