#include "server/accounts/aggregation/store.h"

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

// The newest partitions have no statistics, so the planner must be told to walk indexes. Plans are
// made anew each time: only then are partitions pruned before they are locked. The memory is for
// the sums of a large chunk.
constexpr Statement kSettings{
    "aggregation.settings",
    "SELECT set_config('enable_seqscan', 'off', true), set_config('enable_hashjoin', 'off', true), "
    "set_config('enable_mergejoin', 'off', true), set_config('enable_material', 'off', true), "
    "set_config('plan_cache_mode', 'force_custom_plan', true), set_config('work_mem', '64MB', "
    "true)"};

constexpr Statement kLock{
    "aggregation.lock",
    "SELECT c.seq, coalesce((SELECT time_zone FROM ledger), 'UTC') FROM cursors AS c "
    "WHERE c.consumer = 'aggregation' FOR UPDATE OF c SKIP LOCKED"};

// Seqs have no gaps, so the number of batches bounds them.
constexpr Statement kNext{
    "aggregation.next",
    "WITH first AS MATERIALIZED (SELECT messages_before FROM sequenced_batches WHERE seq = $1 + 1),"
    " taken AS (SELECT seq, batch_id FROM sequenced_batches WHERE seq > $1 AND seq <= $1 + $2 "
    "  AND messages_before < (SELECT messages_before FROM first) + $3),"
    " ranges AS (SELECT unnest(range_agg(int8range(batch_id, batch_id, '[]'))) AS range FROM "
    "taken) "
    "SELECT coalesce(max(seq), $1), count(seq), sequencer.last_seq > coalesce(max(seq), $1),"
    " (SELECT coalesce(array_agg(lower(range) ORDER BY range), '{}') FROM ranges),"
    " (SELECT coalesce(array_agg(upper(range) ORDER BY range), '{}') FROM ranges) "
    "FROM sequencer LEFT JOIN taken ON true GROUP BY sequencer.last_seq"};

// Most events are recent: their day is looked up among the starts of the last three years' days,
// which takes a fifth of the time that accounting_day takes. The bounds of all ranges ($3, $4) are
// given apart, for the planner to prune partitions by.
constexpr Statement kAdd{
    "aggregation.add",
    "WITH recent AS MATERIALIZED ("
    "  SELECT first, array_agg(day_start(first + n, $5) ORDER BY n) AS starts"
    "  FROM (SELECT accounting_day(now(), $5) - 1100 AS first) AS f, generate_series(0, 1103) AS n "
    "  GROUP BY first),"
    " chunk AS ("
    "  SELECT e.*, width_bucket(occurred_at, (SELECT starts FROM recent)) AS bucket "
    "  FROM unnest($1::int8[], $2::int8[]) AS r (low, high) CROSS JOIN LATERAL ("
    "    SELECT subaccount_id, occurred_at, is_credit, is_balanced, amount FROM events "
    "    WHERE batch_id >= r.low AND batch_id < r.high AND batch_id >= $3 AND batch_id < $4 "
    "    OFFSET 0) AS e "
    "  OFFSET 0),"
    " delta AS MATERIALIZED ("
    "  SELECT subaccount_id, CASE WHEN bucket BETWEEN 1 AND 1103"
    "    THEN (SELECT first FROM recent) + bucket - 1 ELSE accounting_day(occurred_at, $5) END AS "
    "day,"
    "   count(*) AS events,"
    "   coalesce(sum(amount) FILTER (WHERE NOT is_credit), 0) AS debit,"
    "   coalesce(sum(amount) FILTER (WHERE is_credit), 0) AS credit,"
    "   sum(CASE WHEN is_credit THEN amount ELSE -amount END) FILTER (WHERE is_balanced) AS "
    "imbalance "
    "  FROM chunk GROUP BY 1, 2),"
    " days AS ("
    "  INSERT INTO turnovers_day AS t (subaccount_id, day, debit, credit) "
    "  SELECT subaccount_id, day, debit, credit FROM delta ORDER BY subaccount_id, day "
    "  ON CONFLICT (subaccount_id, day) DO UPDATE SET debit = t.debit + excluded.debit, "
    "   credit = t.credit + excluded.credit),"
    " months AS ("
    "  INSERT INTO turnovers_month AS t (subaccount_id, month, debit, credit) "
    "  SELECT subaccount_id, date_trunc('month', day::timestamp)::date, sum(debit), sum(credit) "
    "  FROM delta GROUP BY 1, 2 ORDER BY 1, 2 "
    "  ON CONFLICT (subaccount_id, month) DO UPDATE SET debit = t.debit + excluded.debit, "
    "   credit = t.credit + excluded.credit),"
    " years AS ("
    "  INSERT INTO turnovers_year AS t (subaccount_id, year, debit, credit) "
    "  SELECT subaccount_id, date_trunc('year', day::timestamp)::date, sum(debit), sum(credit) "
    "  FROM delta GROUP BY 1, 2 ORDER BY 1, 2 "
    "  ON CONFLICT (subaccount_id, year) DO UPDATE SET debit = t.debit + excluded.debit, "
    "   credit = t.credit + excluded.credit),"
    " assets AS ("
    "  INSERT INTO imbalances AS t (asset, amount) "
    "  SELECT a.asset, sum(d.imbalance) FROM delta AS d JOIN subaccounts AS s USING "
    "(subaccount_id) "
    "   JOIN accounts AS a USING (account_id) WHERE d.imbalance IS NOT NULL GROUP BY 1 ORDER BY 1 "
    "  ON CONFLICT (asset) DO UPDATE SET amount = t.amount + excluded.amount) "
    "SELECT coalesce(sum(events), 0)::int8 FROM delta"};

// What the sequencer still waits for, and what it has not seen.
#define SALDO_UNSEQUENCED                                                 \
  "int8multirange(int8range(s.scanned_to + 1, NULL)) + coalesce((SELECT " \
  "range_agg(int8range(gap, gap, '[]')) FROM unnest(s.gaps) AS gap), '{}')"

constexpr Statement kPass{
    "aggregation.pass",
    "WITH moved AS (UPDATE cursors SET seq = $1, updated_at = clock_timestamp() "
    "  WHERE consumer = 'aggregation') "
    "UPDATE aggregation SET pending = CASE WHEN s.last_seq = $1 THEN " SALDO_UNSEQUENCED
    " ELSE pending - coalesce((SELECT range_agg(int8range(low, high)) "
    "  FROM unnest($2::int8[], $3::int8[]) AS r (low, high)), '{}') END FROM sequencer AS s"};
constexpr Statement kRefresh{
    "aggregation.refresh",
    "UPDATE aggregation SET pending = " SALDO_UNSEQUENCED
    " FROM sequencer AS s, cursors AS c WHERE c.consumer = 'aggregation' AND c.seq = s.last_seq "
    "AND pending <> " SALDO_UNSEQUENCED};

#undef SALDO_UNSEQUENCED

constexpr Statement kLag{
    "aggregation.lag",
    "SELECT s.last_seq, c.seq, coalesce((SELECT greatest(extract(epoch FROM clock_timestamp() - "
    "created_at), 0) FROM sequenced_batches WHERE seq = c.seq + 1), 0)::float8, "
    "(SELECT count(*) FROM imbalances WHERE amount <> 0) "
    "FROM sequencer AS s, cursors AS c WHERE c.consumer = 'aggregation'"};

}  // namespace

absl::StatusOr<std::optional<AggregationCursor>> LockAggregationCursor(Transaction& tx) {
  SALDO_RETURN_IF_ERROR(tx.Defer(kSettings));
  SALDO_ASSIGN_OR_RETURN(Result result, tx.Query(kLock));
  SALDO_ASSIGN_OR_RETURN(const auto rows, (std::move(result).As<int64_t, std::string>()));
  if (rows.empty()) return std::nullopt;
  auto [seq, time_zone] = rows[0];
  return AggregationCursor{seq, std::move(time_zone)};
}

absl::StatusOr<AggregationChunk> NextAggregationChunk(Transaction& tx, int64_t cursor,
                                                      const AggregationLimits& limits) {
  SALDO_ASSIGN_OR_RETURN(Result result, tx.Query(kNext, cursor, limits.batches, limits.events));
  SALDO_ASSIGN_OR_RETURN(
      auto row, (std::move(result)
                     .One<int64_t, int64_t, bool, std::vector<int64_t>, std::vector<int64_t>>()));
  auto& [last_seq, batches, more, lows, highs] = row;
  return AggregationChunk{last_seq, batches, more, std::move(lows), std::move(highs)};
}

absl::StatusOr<int64_t> AddToTurnovers(Transaction& tx, const AggregationChunk& chunk,
                                       const std::string& time_zone) {
  SALDO_ASSIGN_OR_RETURN(Result result, tx.Query(kAdd, chunk.lows, chunk.highs, chunk.lows.front(),
                                                 chunk.highs.back(), time_zone));
  SALDO_ASSIGN_OR_RETURN(const auto row, std::move(result).One<int64_t>());
  return std::get<0>(row);
}

absl::Status PassChunk(Transaction& tx, const AggregationChunk& chunk) {
  return tx.Defer(kPass, chunk.last_seq, chunk.lows, chunk.highs);
}

absl::Status RefreshPending(Transaction& tx) { return tx.Defer(kRefresh); }

absl::StatusOr<AggregationLag> ReadAggregationLag(postgres::Pool& pool,
                                                  const CallContext& context) {
  SALDO_ASSIGN_OR_RETURN(Result result, pool.Read(context, kLag));
  SALDO_ASSIGN_OR_RETURN(const auto row,
                         (std::move(result).One<int64_t, int64_t, double, int64_t>()));
  const auto& [last_seq, cursor, seconds, imbalanced] = row;
  return AggregationLag{last_seq, cursor, seconds, imbalanced};
}

}  // namespace saldo::accounts
