#include "server/jobs/sequencer.h"

#include <utility>
#include <vector>

#include "common/base/status_macros.h"
#include "common/observability/log.h"
#include "common/postgres/transaction.h"

namespace saldo::jobs {
namespace {

using postgres::Connection;
using postgres::Statement;

constexpr absl::Duration kCallTimeout = absl::Seconds(30);
constexpr absl::Duration kRetryWait = absl::Milliseconds(200);
// Any constant that no other advisory lock of ours uses; spells "seqncr".
constexpr int64_t kLockKey = 0x7365716e6372;

constexpr Statement kTryLock{"sequencer.try_lock", "SELECT pg_try_advisory_lock($1)"};
constexpr Statement kLoad{"sequencer.load",
                          "SELECT last_seq, last_message, scanned_to, gaps, pg_current_xact_id() "
                          "FROM sequencer"};
constexpr Statement kObserve{
    "sequencer.observe",
    "SELECT pg_snapshot_xmin(s), b.batch_id, b.created_at, b.messages, "
    "b.message_bytes "
    "FROM pg_current_snapshot() AS s LEFT JOIN ("
    "  (SELECT batch_id, created_at, messages, message_bytes FROM batches"
    "   WHERE batch_id > $1 ORDER BY batch_id LIMIT $2)"
    "  UNION ALL"
    "  SELECT batch_id, created_at, messages, message_bytes FROM batches WHERE batch_id = ANY ($3)"
    ") AS b ON true ORDER BY b.batch_id"};
constexpr Statement kInsert{"sequencer.insert",
                            "INSERT INTO sequenced_batches (seq, batch_id, created_at, messages, "
                            "message_bytes, messages_before) "
                            "SELECT * FROM unnest($1::int8[], $2::int8[], $3::timestamptz[], "
                            "$4::int4[], $5::int8[], $6::int8[])"};
constexpr Statement kStore{
    "sequencer.store",
    "UPDATE sequencer SET last_seq = $1, last_message = $2, scanned_to = $3, gaps = $4"};
// One signal a pass, whatever the number of batches.
constexpr Statement kNotify{"sequencer.notify", "NOTIFY saldo_sequenced"};

}  // namespace

Sequencer::Sequencer(const SequencerOptions& options, postgres::ConnectionOptions connection,
                     metrics::Registry& registry)
    : options_(options),
      connection_options_(std::move(connection)),
      active_gauge_(registry.AddGauge(
          "saldo_sequencer_active", "1 while this process gives out seqs, 0 while it stands by.")),
      last_seq_gauge_(registry.AddGauge("saldo_sequencer_last_seq",
                                        "The last seq that this process gave out.")),
      gaps_gauge_(registry.AddGauge(
          "saldo_sequencer_gaps",
          "Batch ids that are waited for: of transactions that run or have just rolled back.")),
      batches_total_(
          registry.AddCounter("saldo_sequencer_batches_total", "Batches that got a seq.")),
      failures_total_(registry.AddCounter("saldo_sequencer_failures_total", "Passes that failed.")),
      pass_seconds_(registry.AddHistogram("saldo_sequencer_pass_seconds",
                                          "Time of a pass that gave out seqs.", {},
                                          metrics::LatencyBuckets())),
      delay_seconds_(
          registry.AddHistogram("saldo_sequencer_delay_seconds",
                                "From a batch's insertion, just before its commit, to its seq.", {},
                                metrics::LatencyBuckets())) {
  connection_options_.application_name = "saldo-sequencer";
}

absl::Status Sequencer::Start() {
  thread_ = runtime::Thread("sequencer", [this] { Run(); });
  return absl::OkStatus();
}

void Sequencer::Stop() {
  stop_.Stop();
  pause_.Stop();
  thread_.Join();
}

void Sequencer::Run() {
  while (!stop_.stopped()) {
    const absl::Status status = Work();
    active_.store(false, std::memory_order_relaxed);
    active_gauge_.Set(0);
    if (stop_.stopped()) return;
    if (!status.ok()) {
      failures_total_.Increment();
      const auto level = ++failures_ == 1 ? log::Level::kWarning : log::Level::kDebug;
      log::Write(level, "the sequencer starts over", {{"reason", status}});
    }
    stop_.WaitFor(status.ok() ? options_.takeover_interval : kRetryWait);
  }
}

absl::Status Sequencer::Work() {
  SALDO_ASSIGN_OR_RETURN(
      const std::unique_ptr<Connection> connection,
      Connection::Open(connection_options_, CallContext::WithTimeout(kCallTimeout)));
  SALDO_ASSIGN_OR_RETURN(bool locked, TryLock(*connection));
  failures_ = 0;
  while (!locked) {
    if (!stop_.WaitFor(options_.takeover_interval)) return absl::OkStatus();
    SALDO_ASSIGN_OR_RETURN(locked, TryLock(*connection));
  }
  SALDO_ASSIGN_OR_RETURN(Sequencing sequencing, Load(*connection));
  log::Info("the sequencer works", {{"last_seq", sequencing.last_seq()}});
  active_.store(true, std::memory_order_relaxed);
  active_gauge_.Set(1);
  last_seq_gauge_.Set(static_cast<double>(sequencing.last_seq()));
  gaps_gauge_.Set(static_cast<double>(sequencing.Gaps().size()));
  while (!stop_.stopped()) {
    const absl::Time start = absl::Now();
    SALDO_ASSIGN_OR_RETURN(const bool any, Pass(*connection, &sequencing));
    if (any) pass_seconds_.Observe(absl::ToDoubleSeconds(absl::Now() - start));
    // Wakes end the wait for work, not the pause between passes.
    if (any) pause_.WaitFor(options_.min_interval);
    if (!any) stop_.WaitFor(options_.poll_interval);
  }
  return absl::OkStatus();
}

absl::StatusOr<bool> Sequencer::TryLock(Connection& connection) {
  SALDO_ASSIGN_OR_RETURN(
      postgres::Result result,
      connection.Query(CallContext::WithTimeout(kCallTimeout), kTryLock, kLockKey));
  SALDO_ASSIGN_OR_RETURN(const auto row, std::move(result).One<bool>());
  return std::get<0>(row);
}

absl::StatusOr<Sequencing> Sequencer::Load(Connection& connection) {
  SALDO_ASSIGN_OR_RETURN(postgres::Result result,
                         connection.Query(CallContext::WithTimeout(kCallTimeout), kLoad));
  SALDO_ASSIGN_OR_RETURN(
      const auto row,
      (std::move(result).One<int64_t, int64_t, int64_t, std::vector<int64_t>, uint64_t>()));
  const auto& [last_seq, last_message, scanned_to, gaps, xid] = row;
  return Sequencing(last_seq, last_message, scanned_to, gaps, xid);
}

absl::StatusOr<Observation> Sequencer::Observe(Connection& connection,
                                               const Sequencing& sequencing) {
  SALDO_ASSIGN_OR_RETURN(
      postgres::Result result,
      connection.Query(CallContext::WithTimeout(kCallTimeout), kObserve, sequencing.scanned_to(),
                       static_cast<int64_t>(options_.batch_limit), sequencing.Gaps()));
  SALDO_ASSIGN_OR_RETURN(const auto rows,
                         (std::move(result)
                              .As<uint64_t, std::optional<int64_t>, std::optional<absl::Time>,
                                  std::optional<int32_t>, std::optional<int64_t>>()));
  Observation observation{.xmin = 0, .batches = {}};
  observation.batches.reserve(rows.size());
  for (const auto& [xmin, batch_id, created_at, messages, bytes] : rows) {
    observation.xmin = xmin;
    if (batch_id.has_value())
      observation.batches.push_back({*batch_id, *created_at, *messages, *bytes});
  }
  return observation;
}

absl::StatusOr<bool> Sequencer::Pass(Connection& connection, Sequencing* sequencing) {
  SALDO_ASSIGN_OR_RETURN(const Observation observation, Observe(connection, *sequencing));
  const std::vector<int64_t> gaps_before = sequencing->Gaps();
  Sequencing next = *sequencing;
  const std::vector<SequencedBatch> batches = next.Take(observation);
  // A new hole changes nothing that is stored, but needs the xid.
  if (batches.empty() && next.Gaps() == gaps_before && !next.awaits_bound()) return false;
  SALDO_ASSIGN_OR_RETURN(const uint64_t xid, Store(connection, next, batches));
  next.BoundGaps(xid);
  *sequencing = std::move(next);
  const absl::Time now = absl::Now();
  for (const SequencedBatch& one : batches)
    delay_seconds_.Observe(absl::ToDoubleSeconds(now - one.batch.created_at));
  batches_total_.Increment(static_cast<double>(batches.size()));
  last_seq_gauge_.Set(static_cast<double>(sequencing->last_seq()));
  gaps_gauge_.Set(static_cast<double>(sequencing->Gaps().size()));
  return !batches.empty();
}

absl::StatusOr<uint64_t> Sequencer::Store(Connection& connection, const Sequencing& sequencing,
                                          const std::vector<SequencedBatch>& batches) {
  std::vector<int64_t> seqs, ids, bytes, before;
  std::vector<absl::Time> created;
  std::vector<int32_t> messages;
  for (const SequencedBatch& one : batches) {
    seqs.push_back(one.seq);
    ids.push_back(one.batch.batch_id);
    created.push_back(one.batch.created_at);
    messages.push_back(one.batch.messages);
    bytes.push_back(one.batch.message_bytes);
    before.push_back(one.messages_before);
  }
  std::optional<postgres::TransactionIdentity> identity;
  const absl::Status status = postgres::RunTransaction(
      connection, CallContext::WithTimeout(kCallTimeout),
      {.name = "sequencer.pass", .asynchronous_commit = true},
      [&](postgres::Transaction& tx) -> absl::Status {
        SALDO_RETURN_IF_ERROR(tx.Defer(kInsert, seqs, ids, created, messages, bytes, before));
        SALDO_RETURN_IF_ERROR(tx.Defer(kStore, sequencing.last_seq(), sequencing.last_message(),
                                       sequencing.scanned_to(), sequencing.Gaps()));
        return batches.empty() ? absl::OkStatus() : tx.Defer(kNotify);
      },
      &identity);
  SALDO_RETURN_IF_ERROR(status);
  if (!identity.has_value()) return absl::InternalError("a pass was stored without an xid");
  return identity->xid;
}

}  // namespace saldo::jobs
