#include "server/jobs/partition_keeper.h"

#include "common/base/status_macros.h"
#include "common/observability/log.h"
#include "common/postgres/error.h"

namespace saldo::jobs {
namespace {

constexpr absl::Duration kCallTimeout = absl::Seconds(30);

// Batches and their messages share their ids; seqs never run ahead of them.
constexpr postgres::Statement kExtend{
    "partitions.extend",
    "SELECT extend_partitions('batches', ids.last_value, $1) + extend_partitions('outbox', "
    "ids.last_value, $1)"
    " + extend_partitions('sequenced_batches', sequencer.last_seq, $1) "
    "FROM batch_id_seq AS ids, sequencer"};
// What the sequencer has settled, and every consumer has read, no one asks for again. (The relay
// drops the outbox itself.)
constexpr postgres::Statement kDrop{
    "partitions.drop",
    "SELECT drop_partitions('batches', coalesce(settled.gap, settled.scanned_to + 1))"
    " + drop_partitions('sequenced_batches', read.seq) "
    "FROM (SELECT scanned_to, (SELECT min(gap) FROM unnest(gaps) AS gap) AS gap FROM sequencer) AS "
    "settled,"
    " (SELECT min(seq) AS seq FROM cursors) AS read"};

absl::StatusOr<int32_t> Count(postgres::Pool& pool, const postgres::Statement& statement,
                              auto... args) {
  int32_t count = 0;
  SALDO_RETURN_IF_ERROR(pool.Transact(
      CallContext::WithTimeout(kCallTimeout), {.name = statement.name, .max_attempts = 2},
      [&](postgres::Transaction& tx) -> absl::Status {
        SALDO_ASSIGN_OR_RETURN(postgres::Result result, tx.Query(statement, args...));
        SALDO_ASSIGN_OR_RETURN(const auto row, std::move(result).One<int32_t>());
        count = std::get<0>(row);
        return absl::OkStatus();
      }));
  return count;
}

}  // namespace

PartitionKeeper::PartitionKeeper(const PartitionKeeperOptions& options, postgres::Pool& pool,
                                 metrics::Registry& registry)
    : options_(options),
      pool_(pool),
      made_(registry.AddCounter("saldo_partitions_made_total", "Partitions made ahead of use.")),
      dropped_(registry.AddCounter("saldo_partitions_dropped_total",
                                   "Partitions dropped after every reader had passed them.")),
      job_("partitions", {.interval = options.interval},
           [this](runtime::StopSignal&) { return RunOnce(); }) {}

absl::StatusOr<bool> PartitionKeeper::RunOnce() {
  SALDO_ASSIGN_OR_RETURN(const int32_t made,
                         Count(pool_, kExtend, static_cast<int32_t>(options_.ahead)));
  made_.Increment(made);
  const absl::StatusOr<int32_t> dropped = Count(pool_, kDrop);
  // Someone holds the table for longer than a drop may make others wait: the next run is soon
  // enough.
  if (postgres::SqlState(dropped.status()) == "55P03") return false;
  SALDO_RETURN_IF_ERROR(dropped.status());
  dropped_.Increment(*dropped);
  if (made + *dropped > 0) log::Info("partitions changed", {{"made", made}, {"dropped", *dropped}});
  return false;
}

}  // namespace saldo::jobs
