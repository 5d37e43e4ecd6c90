#include "retranslator/pipeline.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/observability/log.h"
#include "retranslator/producer_pool.h"
#include "retranslator/sender.h"

namespace saldo::retranslator {
namespace {

constexpr absl::Duration kCallTimeout = absl::Seconds(30);

CallContext Call() { return CallContext::WithTimeout(kCallTimeout); }

}  // namespace

// What lives from taking the lock to losing it. Members are destroyed in reverse order, each after
// those that use it.
struct Pipeline::Session {
  Session(const PipelineOptions& options, const Encoder& encoder, postgres::Pool& pool,
          const trace::Tracer& tracer, RelayMetrics& metrics,
          std::unique_ptr<kafka::Producer> producer,
          std::unique_ptr<postgres::Connection> cursor_connection, int64_t cursor)
      : window(options.window_messages_max, options.window_bytes_max, cursor),
        slots(options.window_messages_max),
        kafka(std::move(producer)),
        sender({*kafka, slots, window, dead_letters, encoder, tracer, metrics}, options.retry,
               options.window_messages_max),
        producers(options.producers, options.chunks_max, encoder, *kafka, slots, sender),
        cleaner(options.cleaner, std::move(cursor_connection), pool, window, dead_letters, metrics),
        sender_thread("sender", [this] { sender.Run(); }),
        cleaner_thread("cleaner", [this] { cleaner.Run(cleaner_stop); }) {}

  // Orderly: what was read is encoded, what was encoded is sent, what was sent is awaited until
  // `deadline`, what is then delivered is passed.
  void Finish(absl::Time deadline) {
    producers.Finish();
    sender.Finish(deadline);
    sender_thread.Join();
    cleaner_stop.Stop();
    cleaner_thread.Join();
  }

  // Why the session must end, or OK.
  absl::Status Failure() const {
    const absl::Status sending = sender.failure();
    return sending.ok() ? cleaner.failure() : sending;
  }

  DeliveryWindow window;
  DeadLetterBox dead_letters;
  MessageSlots slots;
  std::unique_ptr<kafka::Producer> kafka;
  Sender sender;
  ProducerPool producers;
  Cleaner cleaner;
  runtime::StopSignal cleaner_stop;
  runtime::Thread sender_thread;
  runtime::Thread cleaner_thread;
};

Pipeline::Pipeline(const shards::Identity& identity, const PipelineOptions& options,
                   const kafka::ProducerOptions& kafka, postgres::Pool& pool,
                   const trace::Tracer& tracer, RelayMetrics& metrics)
    : identity_(identity),
      options_(options),
      kafka_options_(kafka),
      pool_(pool),
      tracer_(tracer),
      metrics_(metrics),
      encoder_(options.encoder, identity.name) {}

absl::Status Pipeline::Start() {
  thread_ = runtime::Thread("relay-consumer", [this] { Run(); });
  return absl::OkStatus();
}

void Pipeline::Stop() {
  stop_.Stop();
  thread_.Join();
}

void Pipeline::Run() {
  while (!stop_.stopped()) {
    const absl::Status status = RunSession();
    active_.store(false, std::memory_order_relaxed);
    metrics_.active.Set(0);
    if (status.ok()) continue;
    metrics_.restarts.Increment();
    log::Warning("the relay starts over", {{"reason", status}});
    stop_.WaitFor(options_.restart_wait);
  }
}

absl::StatusOr<bool> Pipeline::WaitForLock(OutboxReader& reader) {
  bool told = false;
  while (true) {
    SALDO_ASSIGN_OR_RETURN(const bool locked, reader.TryLock(Call()));
    if (locked) return true;
    if (!std::exchange(told, true)) log::Info("another relay works; this one stands by");
    // Its process shows the same lag, so that operators may ask either.
    Cleaner::MeasureLag(pool_, metrics_).IgnoreError();
    if (!stop_.WaitFor(options_.takeover_interval)) return false;
  }
}

absl::Status Pipeline::RunSession() {
  postgres::ConnectionOptions connecting = pool_.options().connection;
  connecting.application_name = "saldo-relay";
  SALDO_ASSIGN_OR_RETURN(const std::unique_ptr<postgres::Connection> connection,
                         postgres::Connection::Open(connecting, Call()));
  // Both before anything is read: see Cleaner.
  SALDO_ASSIGN_OR_RETURN(std::unique_ptr<postgres::Connection> cursor_connection,
                         postgres::Connection::Open(connecting, Call()));
  // It may be another database than that of the last session.
  SALDO_RETURN_IF_ERROR(shards::CheckIdentity(*connection, Call(), identity_));
  OutboxReader reader(*connection);
  SALDO_ASSIGN_OR_RETURN(const bool locked, WaitForLock(reader));
  if (!locked) return absl::OkStatus();
  SALDO_RETURN_IF_ERROR(reader.Prepare(Call()));
  SALDO_ASSIGN_OR_RETURN(const int64_t cursor, reader.Cursor(Call()));
  SALDO_ASSIGN_OR_RETURN(std::unique_ptr<kafka::Producer> producer,
                         kafka::Producer::Create(kafka_options_));
  Session session(options_, encoder_, pool_, tracer_, metrics_, std::move(producer),
                  std::move(cursor_connection), cursor);
  active_.store(true, std::memory_order_relaxed);
  metrics_.active.Set(1);
  log::Info("the relay works", {{"cursor", cursor}});
  const absl::Status status = Consume(*connection, reader, session, cursor);
  // With the lock gone another relay may be sending the same messages already: what is still queued
  // here must not come behind them.
  if (!connection->Usable()) session.sender.Abandon();
  session.Finish(status.ok() ? absl::Now() + options_.flush_timeout : absl::Now());
  return status;
}

absl::Status Pipeline::Consume(postgres::Connection& connection, OutboxReader& reader,
                               Session& session, int64_t cursor) {
  int64_t read_seq = cursor;
  bool identified = false;
  while (!stop_.stopped()) {
    SALDO_RETURN_IF_ERROR(session.Failure());
    SALDO_ASSIGN_OR_RETURN(const BatchList list, reader.List(Call(), read_seq, options_.read));
    if (list.items.empty()) {
      SALDO_RETURN_IF_ERROR(connection.WaitForNotification(options_.poll_interval).status());
      continue;
    }
    // What is written by the wrong name would keep it: a server fixes the name before it writes.
    if (!std::exchange(identified, true))
      SALDO_RETURN_IF_ERROR(shards::CheckIdentity(connection, Call(), identity_));
    SALDO_ASSIGN_OR_RETURN(const bool room, WaitForRoom(connection, session, list));
    if (!room) return absl::OkStatus();
    SALDO_ASSIGN_OR_RETURN(const std::shared_ptr<Chunk> chunk, reader.Fetch(Call(), list));
    chunk->first_position = session.window.Append(chunk->batches, chunk->bytes, chunk);
    read_seq = list.items.back().seq;
    if (!session.producers.Submit(chunk)) return absl::InternalError("the producers have ended");
  }
  return absl::OkStatus();
}

// False for a stop. Kafka may be away for long, so the lock is looked after meanwhile.
absl::StatusOr<bool> Pipeline::WaitForRoom(postgres::Connection& connection, Session& session,
                                           const BatchList& list) {
  if (list.messages > static_cast<size_t>(options_.window_messages_max)) {
    return absl::FailedPreconditionError(absl::StrCat(
        "batch ", list.items.front().batch_id, " has ", list.messages,
        " messages, more than relay.window_messages_max: ", options_.window_messages_max));
  }
  while (!session.window.WaitForRoom(list.messages, list.bytes, options_.poll_interval)) {
    if (stop_.stopped()) return false;
    SALDO_RETURN_IF_ERROR(session.Failure());
    if (!connection.Usable())
      return absl::UnavailableError("the connection that holds the relay's lock is lost");
  }
  return true;
}

}  // namespace saldo::retranslator
