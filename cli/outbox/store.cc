#include "cli/outbox/store.h"

#include <algorithm>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/status_macros.h"
#include "common/postgres/transaction.h"

namespace saldo::cli::outbox {
namespace {

using postgres::Connection;
using postgres::Result;
using postgres::Statement;
using postgres::Transaction;

constexpr Statement kSequencer{"outbox.sequencer",
                               "SELECT last_seq, last_message, scanned_to, gaps FROM sequencer"};
constexpr Statement kUnsequenced{
    "outbox.unsequenced",
    "SELECT count(*), coalesce(sum(messages), 0)::int8,"
    " extract(epoch FROM clock_timestamp() - min(created_at))::float8 "
    "FROM (SELECT messages, created_at FROM batches"
    "  WHERE batch_id > (SELECT scanned_to FROM sequencer)"
    " UNION ALL SELECT messages, created_at FROM batches"
    "  WHERE batch_id = ANY ((SELECT gaps FROM sequencer)::int8[])) AS waiting"};
constexpr Statement kCursors{
    "outbox.cursors",
    "SELECT c.consumer, c.seq, c.updated_at, s.last_seq - c.seq,"
    " coalesce(s.last_message - next.messages_before, 0),"
    " extract(epoch FROM clock_timestamp() - next.created_at)::float8 "
    "FROM cursors AS c CROSS JOIN sequencer AS s"
    " LEFT JOIN sequenced_batches AS next ON next.seq = c.seq + 1 ORDER BY c.consumer"};
constexpr Statement kDeadWaiting{
    "outbox.dead_waiting",
    "SELECT count(*), extract(epoch FROM clock_timestamp() - min(failed_at))::float8 "
    "FROM dead_letters WHERE redriven_at IS NULL"};
// The keys are those of the sequencer's and the retranslator's session locks.
constexpr Statement kHolders{
    "outbox.holders",
    "SELECT part.name, a.pid, a.application_name,"
    " coalesce(host(a.client_addr) || ':' || a.client_port, 'a socket of its machine'),"
    " a.backend_start "
    "FROM (VALUES ('sequencer', x'7365716e6372'::int8), ('relay', x'72656c6179'::int8))"
    "  AS part (name, key)"
    " JOIN pg_locks AS l ON (l.classid::int8 << 32 | l.objid::int8) = part.key"
    "  AND l.locktype = 'advisory' AND l.objsubid = 1 AND l.granted"
    " JOIN pg_stat_activity AS a ON a.pid = l.pid AND a.datid = l.database "
    "WHERE a.datname = current_database() ORDER BY part.name DESC"};
constexpr Statement kPartitions{
    "outbox.partitions",
    "SELECT parent, lower_bound, upper_bound, coalesce("
    "pg_total_relation_size(to_regclass(quote_ident(parent || '_' || lower_bound))), 0) "
    "FROM partitions ORDER BY parent, lower_bound"};
constexpr Statement kDead{"outbox.dead",
                          "SELECT id, message_id, topic, key, type, attempts, failed_at, error,"
                          " octet_length(payload)::int8 "
                          "FROM dead_letters WHERE redriven_at IS NULL ORDER BY id LIMIT $1"};
constexpr Statement kFindWaiting{
    "outbox.find_waiting",
    "SELECT id, (octet_length(key) + octet_length(payload))::int8 "
    "FROM dead_letters WHERE id = ANY ($1) AND redriven_at IS NULL ORDER BY id"};
constexpr Statement kListWaiting{
    "outbox.list_waiting",
    "SELECT id, (octet_length(key) + octet_length(payload))::int8 "
    "FROM dead_letters WHERE id > $1 AND id <= $2 AND redriven_at IS NULL ORDER BY id LIMIT $3"};
constexpr Statement kLastDead{"outbox.last_dead", "SELECT coalesce(max(id), 0) FROM dead_letters"};
constexpr Statement kLockDead{
    "outbox.lock_dead",
    "SELECT id FROM dead_letters WHERE id = ANY ($1) AND redriven_at IS NULL ORDER BY id "
    "FOR UPDATE"};
// As every batch: the transaction's id is taken before the batch's, which the sequencer relies on.
constexpr Statement kAppendDead{
    "outbox.append_dead",
    "WITH tx AS MATERIALIZED (SELECT pg_current_xact_id() AS xid), "
    "total AS MATERIALIZED ("
    "  SELECT count(*)::int4 AS messages,"
    "   coalesce(sum(octet_length(key) + octet_length(payload)), 0)::int8 AS bytes"
    "  FROM dead_letters WHERE id = ANY ($1)), "
    "batch AS ("
    "  INSERT INTO batches (batch_id, messages, message_bytes)"
    "  SELECT nextval('batch_id_seq'), total.messages, total.bytes FROM tx, total"
    "  WHERE tx.xid IS NOT NULL RETURNING batch_id) "
    "INSERT INTO outbox"
    " (batch_id, ordinal, topic, key, payload, type, traceparent, message_id) "
    "SELECT batch.batch_id, row_number() OVER (ORDER BY d.id), d.topic, d.key, d.payload, d.type,"
    " d.traceparent, d.message_id FROM batch, dead_letters AS d WHERE d.id = ANY ($1)"};
constexpr Statement kMarkDead{
    "outbox.mark_dead",
    "UPDATE dead_letters SET redriven_at = clock_timestamp() WHERE id = ANY ($1)"};

std::optional<absl::Duration> Age(std::optional<double> seconds) {
  if (!seconds.has_value()) return std::nullopt;
  // The clock of the server may have been set back.
  return absl::Seconds(std::max(0.0, *seconds));
}

absl::Status ReadProgress(Transaction& tx, Status* status) {
  SALDO_ASSIGN_OR_RETURN(Result result, tx.Query(kSequencer));
  SALDO_ASSIGN_OR_RETURN(
      const auto row, (std::move(result).One<int64_t, int64_t, int64_t, std::vector<int64_t>>()));
  std::tie(status->last_seq, status->last_message, status->scanned_to, status->gaps) = row;

  SALDO_ASSIGN_OR_RETURN(result, tx.Query(kUnsequenced));
  SALDO_ASSIGN_OR_RETURN(const auto unsequenced,
                         (std::move(result).One<int64_t, int64_t, std::optional<double>>()));
  const auto& [batches, messages, age] = unsequenced;
  status->unsequenced = {batches, messages, Age(age)};

  SALDO_ASSIGN_OR_RETURN(result, tx.Query(kCursors));
  SALDO_ASSIGN_OR_RETURN(
      const auto cursors,
      (std::move(result)
           .As<std::string, int64_t, absl::Time, int64_t, int64_t, std::optional<double>>()));
  for (const auto& [consumer, seq, updated_at, lag_batches, lag_messages, lag_age] : cursors)
    status->cursors.push_back(
        {consumer, seq, updated_at, {lag_batches, lag_messages, Age(lag_age)}});
  return absl::OkStatus();
}

absl::Status ReadSurroundings(Transaction& tx, Status* status) {
  SALDO_ASSIGN_OR_RETURN(Result result, tx.Query(kDeadWaiting));
  SALDO_ASSIGN_OR_RETURN(const auto dead,
                         (std::move(result).One<int64_t, std::optional<double>>()));
  status->dead_waiting = std::get<0>(dead);
  status->dead_oldest = Age(std::get<1>(dead));

  SALDO_ASSIGN_OR_RETURN(result, tx.Query(kHolders));
  SALDO_ASSIGN_OR_RETURN(
      const auto holders,
      (std::move(result).As<std::string, int32_t, std::string, std::string, absl::Time>()));
  for (const auto& [lock, pid, application, client, connected_at] : holders)
    status->holders.push_back({lock, pid, application, client, connected_at});

  SALDO_ASSIGN_OR_RETURN(result, tx.Query(kPartitions));
  SALDO_ASSIGN_OR_RETURN(const auto partitions,
                         (std::move(result).As<std::string, int64_t, int64_t, int64_t>()));
  for (const auto& [parent, lower, upper, bytes] : partitions)
    status->partitions.push_back({parent, lower, upper, bytes});
  return absl::OkStatus();
}

absl::StatusOr<std::vector<DeadSize>> Sizes(absl::StatusOr<Result> result) {
  SALDO_RETURN_IF_ERROR(result.status());
  SALDO_ASSIGN_OR_RETURN(const auto rows, (std::move(*result).As<int64_t, int64_t>()));
  std::vector<DeadSize> sizes;
  for (const auto& [id, bytes] : rows) sizes.push_back({id, bytes});
  return sizes;
}

}  // namespace

absl::StatusOr<Status> ReadStatus(Connection& connection, const CallContext& context) {
  Status status;
  const absl::Status done =
      postgres::RunTransaction(connection, context,
                               {.name = "outbox.status",
                                .isolation = postgres::Isolation::kRepeatableRead,
                                .read_only = true},
                               [&](Transaction& tx) -> absl::Status {
                                 SALDO_RETURN_IF_ERROR(ReadProgress(tx, &status));
                                 return ReadSurroundings(tx, &status);
                               });
  if (!done.ok()) return done;
  return status;
}

absl::StatusOr<std::vector<DeadLetter>> ReadDead(Connection& connection, const CallContext& context,
                                                 int64_t limit) {
  SALDO_ASSIGN_OR_RETURN(Result result, connection.Query(context, kDead, limit));
  SALDO_ASSIGN_OR_RETURN(const auto rows,
                         (std::move(result)
                              .As<int64_t, std::string, std::string, std::string, std::string,
                                  int32_t, absl::Time, std::string, int64_t>()));
  std::vector<DeadLetter> letters;
  for (const auto& [id, message_id, topic, key, type, attempts, failed_at, error, bytes] : rows)
    letters.push_back({id, message_id, topic, key, type, attempts, failed_at, error, bytes});
  return letters;
}

absl::StatusOr<int64_t> CountDead(Connection& connection, const CallContext& context) {
  SALDO_ASSIGN_OR_RETURN(Result result, connection.Query(context, kDeadWaiting));
  SALDO_ASSIGN_OR_RETURN(const auto row, (std::move(result).One<int64_t, std::optional<double>>()));
  return std::get<0>(row);
}

absl::StatusOr<std::vector<DeadSize>> FindWaiting(Connection& connection,
                                                  const CallContext& context,
                                                  absl::Span<const int64_t> ids) {
  return Sizes(connection.Query(context, kFindWaiting, ids));
}

absl::StatusOr<std::vector<DeadSize>> ListWaiting(Connection& connection,
                                                  const CallContext& context, int64_t after,
                                                  int64_t last, int64_t limit) {
  return Sizes(connection.Query(context, kListWaiting, after, last, limit));
}

absl::StatusOr<int64_t> LastDead(Connection& connection, const CallContext& context) {
  SALDO_ASSIGN_OR_RETURN(Result result, connection.Query(context, kLastDead));
  SALDO_ASSIGN_OR_RETURN(const auto row, std::move(result).One<int64_t>());
  return std::get<0>(row);
}

absl::Status NotWaiting(absl::Span<const int64_t> wanted, absl::Span<const int64_t> found) {
  std::vector<int64_t> missing;
  std::set_difference(wanted.begin(), wanted.end(), found.begin(), found.end(),
                      std::back_inserter(missing));
  if (missing.empty()) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      "no dead letter waits under ", absl::StrJoin(missing, ", "),
      ": it does not exist or was sent anew already; `saldo outbox dead` lists those that wait"));
}

absl::StatusOr<int64_t> Redrive(Connection& connection, const CallContext& context,
                                absl::Span<const int64_t> ids, bool all_or_none) {
  std::vector<int64_t> found;
  const absl::Status done = postgres::RunTransaction(
      connection, context, {.name = "outbox.redrive"}, [&](Transaction& tx) -> absl::Status {
        SALDO_ASSIGN_OR_RETURN(Result result, tx.Query(kLockDead, ids));
        SALDO_ASSIGN_OR_RETURN(const auto rows, std::move(result).As<int64_t>());
        for (const auto& [id] : rows) found.push_back(id);
        if (all_or_none) SALDO_RETURN_IF_ERROR(NotWaiting(ids, found));
        if (found.empty()) return absl::OkStatus();
        SALDO_RETURN_IF_ERROR(tx.Defer(kMarkDead, found));
        return tx.Defer(kAppendDead, found);
      });
  if (!done.ok()) return done;
  return static_cast<int64_t>(found.size());
}

}  // namespace saldo::cli::outbox
