#include "retranslator/cleaner.h"

#include <optional>
#include <utility>
#include <vector>

#include "common/base/status_macros.h"
#include "common/observability/log.h"
#include "common/postgres/error.h"
#include "common/postgres/transaction.h"

namespace saldo::retranslator {
namespace {

using postgres::Bytes;
using postgres::Result;
using postgres::Statement;

constexpr absl::Duration kCallTimeout = absl::Seconds(10);

// Never backwards: another instance may have taken over and gone further.
constexpr Statement kMoveCursor{"relay.move_cursor",
                                "UPDATE cursors SET seq = $1, updated_at = clock_timestamp() "
                                "WHERE consumer = 'relay' AND seq < $1"};
constexpr Statement kAddDeadLetters{
    "relay.add_dead_letters",
    "INSERT INTO dead_letters (batch_id, ordinal, topic, key, payload, type, traceparent, "
    "message_id, created_at, attempts, error) "
    "SELECT * FROM unnest($1::int8[], $2::int4[], $3::text[], $4::bytea[], $5::bytea[], "
    "$6::text[], $7::text[], $8::text[],"
    " $9::timestamptz[], $10::int4[], $11::text[]) ON CONFLICT (batch_id, ordinal) DO NOTHING"};
// Every batch below the first that is pending, or may still appear (a gap), has been passed.
constexpr Statement kDropPassed{
    "relay.drop_passed",
    "SELECT drop_partitions('outbox', least("
    "  (SELECT min(b.batch_id) FROM sequenced_batches AS b WHERE b.seq > c.seq),"
    "  (SELECT min(gap) FROM unnest(s.gaps) AS gap),"
    "  s.scanned_to + 1)) FROM sequencer AS s, cursors AS c WHERE c.consumer = 'relay'"};
// The next batch says how many messages are before it; that of the cursor itself may be dropped
// already. Batches that have no seq yet count too, up to a bound, so that a sequencer that stands
// still is seen here. Dead letters wait until somebody sends them anew; their index has no others,
// and the order has the planner use it.
constexpr Statement kLag{
    "relay.lag",
    "SELECT s.last_seq - c.seq + waiting.batches,"
    " coalesce(s.last_message - next.messages_before, 0) + waiting.messages,"
    " least(next.created_at, waiting.oldest), clock_timestamp(),"
    " (SELECT count(*) FROM (SELECT FROM dead_letters WHERE redriven_at IS NULL"
    "  ORDER BY id LIMIT 10000) AS dead) "
    "FROM sequencer AS s CROSS JOIN cursors AS c"
    " LEFT JOIN sequenced_batches AS next ON next.seq = c.seq + 1"
    " CROSS JOIN LATERAL (SELECT count(*) AS batches, coalesce(sum(w.messages), 0)::int8 AS "
    "messages, min(w.created_at) AS oldest FROM"
    "  ((SELECT messages, created_at FROM batches WHERE batch_id > s.scanned_to"
    "    ORDER BY batch_id LIMIT 10000)"
    "   UNION ALL"
    "   SELECT messages, created_at FROM batches WHERE batch_id = ANY (s.gaps)) AS w) AS waiting "
    "WHERE c.consumer = 'relay'"};

}  // namespace

Cleaner::Cleaner(const CleanerOptions& options, std::unique_ptr<postgres::Connection> connection,
                 postgres::Pool& pool, DeliveryWindow& window, DeadLetterBox& dead_letters,
                 RelayMetrics& metrics)
    : options_(options),
      connection_(std::move(connection)),
      pool_(pool),
      window_(window),
      dead_letters_(dead_letters),
      metrics_(metrics),
      stored_seq_(window.passed_seq()) {}

void Cleaner::Run(runtime::StopSignal& stop) {
  absl::Time next_drop = absl::Now(), next_lag = absl::Now();
  bool more = true;
  while (more) {
    more = stop.WaitFor(options_.interval);
    metrics_.processing.Set(static_cast<double>(window_.messages()));
    Log("the cursor could not be moved", MoveCursor());
    const absl::Time now = absl::Now();
    if (more && now >= next_drop) {
      next_drop = now + options_.drop_interval;
      Log("passed partitions could not be dropped", DropPassedPartitions().status());
    }
    if (more && now >= next_lag) {
      next_lag = now + options_.lag_interval;
      Log("the lag could not be measured", MeasureLag(pool_, metrics_));
    }
  }
  metrics_.processing.Set(0);
}

absl::Status Cleaner::failure() const {
  absl::MutexLock lock(&mutex_);
  return failure_;
}

absl::Status Cleaner::MoveCursor() {
  const int64_t seq = window_.passed_seq();
  if (seq == stored_seq_) return absl::OkStatus();
  const std::vector<DeadLetter> letters = dead_letters_.UpTo(seq);
  std::vector<int64_t> batches;
  std::vector<int32_t> ordinals, attempts;
  std::vector<std::string_view> topics, types, ids, errors;
  std::vector<Bytes> keys, payloads;
  std::vector<std::optional<std::string>> traceparents;
  std::vector<absl::Time> created;
  for (const DeadLetter& letter : letters) {
    batches.push_back(letter.batch_id);
    ordinals.push_back(letter.ordinal);
    topics.push_back(letter.topic);
    keys.push_back({letter.key});
    payloads.push_back({letter.payload});
    types.push_back(letter.type);
    traceparents.push_back(letter.traceparent);
    ids.push_back(letter.message_id);
    created.push_back(letter.created_at);
    attempts.push_back(letter.attempts);
    errors.push_back(letter.error);
  }
  // A cursor that a crash takes back costs repeated messages; a dead letter that it takes back
  // comes again with them.
  const absl::Status status = postgres::RunTransaction(
      *connection_, CallContext::WithTimeout(kCallTimeout),
      {.name = "relay.move_cursor", .asynchronous_commit = letters.empty()},
      [&](postgres::Transaction& tx) -> absl::Status {
        if (!letters.empty()) {
          SALDO_RETURN_IF_ERROR(tx.Defer(kAddDeadLetters, batches, ordinals, topics, keys, payloads,
                                         types, absl::MakeConstSpan(traceparents), ids, created,
                                         attempts, errors));
        }
        return tx.Defer(kMoveCursor, seq);
      });
  if (!connection_->Usable()) {
    absl::MutexLock lock(&mutex_);
    failure_ = status.ok() ? absl::UnavailableError("the connection that moves the cursor is lost")
                           : status;
  }
  SALDO_RETURN_IF_ERROR(status);
  stored_seq_ = seq;
  dead_letters_.DropUpTo(seq);
  return absl::OkStatus();
}

absl::StatusOr<int> Cleaner::DropPassedPartitions() {
  int32_t dropped = 0;
  const absl::Status status = postgres::RunTransaction(
      *connection_, CallContext::WithTimeout(kCallTimeout),
      {.name = "relay.drop_passed", .max_attempts = 1},
      [&](postgres::Transaction& tx) -> absl::Status {
        SALDO_ASSIGN_OR_RETURN(Result result, tx.Query(kDropPassed));
        SALDO_ASSIGN_OR_RETURN(const auto row, std::move(result).One<int32_t>());
        dropped = std::get<0>(row);
        return absl::OkStatus();
      });
  // Someone holds the table for longer than a drop may make others wait: next time.
  if (postgres::SqlState(status) == "55P03") return 0;
  SALDO_RETURN_IF_ERROR(status);
  metrics_.dropped_partitions.Increment(dropped);
  if (dropped > 0) {
    log::Info("dropped passed partitions of the outbox", {{"partitions", dropped}});
  }
  return dropped;
}

absl::Status Cleaner::MeasureLag(postgres::Pool& pool, RelayMetrics& metrics) {
  SALDO_ASSIGN_OR_RETURN(Result result, pool.Read(CallContext::WithTimeout(kCallTimeout), kLag));
  SALDO_ASSIGN_OR_RETURN(
      const auto row,
      (std::move(result).One<int64_t, int64_t, std::optional<absl::Time>, absl::Time, int64_t>()));
  const auto& [batches, messages, oldest, now, dead_letters] = row;
  metrics.lag_batches.Set(static_cast<double>(batches));
  metrics.lag_messages.Set(static_cast<double>(messages));
  metrics.oldest_seconds.Set(oldest.has_value() ? absl::ToDoubleSeconds(now - *oldest) : 0);
  metrics.dead_letters.Set(static_cast<double>(dead_letters));
  return absl::OkStatus();
}

// Once when it begins and once when it ends: PostgreSQL may be away for long.
void Cleaner::Log(std::string_view what, const absl::Status& status) {
  if (!status.ok() && !failing_) log::Warning(what, {{"reason", status}});
  if (status.ok() && failing_) log::Info("the cleaner works again");
  failing_ = !status.ok();
}

}  // namespace saldo::retranslator
