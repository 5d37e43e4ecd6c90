#include "server/accounts/aggregation/retention_store.h"

#include <optional>
#include <tuple>
#include <utility>

#include "common/base/status_macros.h"
#include "common/postgres/result.h"
#include "common/postgres/statement.h"

namespace saldo::accounts {
namespace {

using postgres::Result;
using postgres::Statement;
using postgres::Transaction;

constexpr Statement kTypes{"event_retention.types",
                           "SELECT type_id FROM account_types ORDER BY type_id"};

// Whoever holds an id up to the last one took it before now, and checked its events before that.
constexpr Statement kMarkFilled{
    "event_retention.mark_filled",
    "WITH ids AS MATERIALIZED (SELECT last_value FROM batch_id_seq),"
    " seen AS MATERIALIZED (SELECT last_value, clock_timestamp() AS at FROM ids) "
    "UPDATE partitions SET filled_at = seen.at FROM seen "
    "WHERE parent = 'events_' || $1 AND filled_at IS NULL AND upper_bound <= seen.last_value"};

// The pace at which ids were used between the last two moments at which partitions were found
// filled. Only right after the last of them, so that a width that an operator sets lasts a while.
constexpr Statement kAdaptWidth{
    "event_retention.adapt_width",
    "WITH filled AS (SELECT filled_at, max(upper_bound) AS upper_bound FROM partitions "
    "  WHERE parent = 'events_' || $1 AND filled_at IS NOT NULL GROUP BY filled_at "
    "  ORDER BY filled_at DESC LIMIT 2),"
    " last AS (SELECT * FROM filled ORDER BY filled_at DESC LIMIT 1),"
    " before AS (SELECT * FROM filled ORDER BY filled_at LIMIT 1),"
    " pace AS (SELECT (last.upper_bound - before.upper_bound) "
    "   / extract(epoch FROM last.filled_at - before.filled_at) * extract(epoch FROM "
    "retention) / 12 AS ids"
    "  FROM last, before, account_types WHERE type_id = $1 AND last.filled_at > before.filled_at "
    "   AND last.filled_at >= now()) "
    "UPDATE partitioned_tables SET width = greatest($2, least($3, pace.ids))::int8 "
    "FROM pace WHERE parent = 'events_' || $1"};

constexpr Statement kExtend{
    "event_retention.extend",
    "SELECT extend_partitions('events_' || $1, ids.last_value, $2) FROM batch_id_seq AS ids"};

// What is neither pending, nor waited for by the sequencer, nor yet to be read by any consumer.
// The last of these is dear to find, and is only looked for when something is old enough.
constexpr Statement kDroppable{
    "event_retention.droppable",
    "SELECT max(upper_bound), max(filled_at) FROM partitions AS p, account_types AS t "
    "WHERE t.type_id = $1 AND p.parent = 'events_' || $1 "
    " AND p.filled_at < clock_timestamp() - t.retention "
    " AND p.upper_bound <= (SELECT least("
    "  (SELECT lower(pending) FROM aggregation),"
    "  (SELECT coalesce((SELECT min(gap) FROM unnest(gaps) AS gap), scanned_to + 1) FROM "
    "sequencer),"
    "  (SELECT min(batch_id) FROM sequenced_batches WHERE seq > (SELECT min(seq) FROM cursors))))"};
constexpr Statement kKeptSince{
    "event_retention.kept_since",
    "UPDATE account_types SET kept_since = greatest(kept_since, $2) WHERE type_id = $1"};
constexpr Statement kDrop{"event_retention.drop", "SELECT drop_partitions('events_' || $1, $2)"};

constexpr Statement kAdvanceEpoch{"event_retention.advance_epoch",
                                  "SELECT advance_write_request_epoch(make_interval(secs => $1))"};
constexpr Statement kDropEpochs{"event_retention.drop_epochs",
                                "SELECT drop_write_request_epochs()"};

}  // namespace

absl::StatusOr<std::vector<int32_t>> ReadTypeIds(postgres::Pool& pool, const CallContext& context) {
  SALDO_ASSIGN_OR_RETURN(Result result, pool.Read(context, kTypes));
  SALDO_ASSIGN_OR_RETURN(const auto rows, std::move(result).As<int32_t>());
  std::vector<int32_t> ids;
  for (const auto& [id] : rows) ids.push_back(id);
  return ids;
}

absl::Status MarkFilledPartitions(Transaction& tx, int32_t type_id, const PartitionWidths& widths) {
  SALDO_RETURN_IF_ERROR(tx.Defer(kMarkFilled, type_id));
  return tx.Defer(kAdaptWidth, type_id, widths.min, widths.max);
}

absl::StatusOr<int32_t> ExtendEventPartitions(Transaction& tx, int32_t type_id, int32_t ahead) {
  SALDO_ASSIGN_OR_RETURN(Result result, tx.Query(kExtend, type_id, ahead));
  SALDO_ASSIGN_OR_RETURN(const auto row, std::move(result).One<int32_t>());
  return std::get<0>(row);
}

absl::StatusOr<int32_t> DropEventPartitions(Transaction& tx, int32_t type_id) {
  SALDO_ASSIGN_OR_RETURN(Result found, tx.Query(kDroppable, type_id));
  SALDO_ASSIGN_OR_RETURN(
      const auto droppable,
      (std::move(found).One<std::optional<int64_t>, std::optional<absl::Time>>()));
  const auto& [below, filled_at] = droppable;
  if (!below.has_value()) return 0;
  SALDO_RETURN_IF_ERROR(tx.Defer(kKeptSince, type_id, *filled_at));
  SALDO_ASSIGN_OR_RETURN(Result result, tx.Query(kDrop, type_id, *below));
  SALDO_ASSIGN_OR_RETURN(const auto row, std::move(result).One<int32_t>());
  return std::get<0>(row);
}

absl::StatusOr<bool> AdvanceRequestEpoch(Transaction& tx, absl::Duration retention) {
  SALDO_ASSIGN_OR_RETURN(Result result, tx.Query(kAdvanceEpoch, absl::ToDoubleSeconds(retention)));
  SALDO_ASSIGN_OR_RETURN(const auto row, std::move(result).One<bool>());
  return std::get<0>(row);
}

absl::StatusOr<int32_t> DropRequestEpochs(Transaction& tx) {
  SALDO_ASSIGN_OR_RETURN(Result result, tx.Query(kDropEpochs));
  SALDO_ASSIGN_OR_RETURN(const auto row, std::move(result).One<int32_t>());
  return std::get<0>(row);
}

}  // namespace saldo::accounts
