#include "server/states/store.h"

#include <algorithm>

#include "common/base/status_macros.h"
#include "common/postgres/statement.h"

namespace saldo::states {
namespace {

using postgres::Result;
using postgres::Statement;

constexpr Statement kRead{
    "states.read", "SELECT document, version, updated_at FROM states WHERE type = $1 AND key = $2"};

// A state that is not there has no row to lock, so those who may make one do it one after the
// other: otherwise one could be made and removed by another server between this one's look and its
// insert, whose version would then be the lower one. The lock's number spells "news".
constexpr Statement kMakeAlone{
    "states.make_alone",
    "SELECT pg_advisory_xact_lock(1852143475) WHERE EXISTS ("
    "SELECT FROM unnest($1::text[], $2::text[]) AS wanted (type, key) WHERE NOT EXISTS ("
    "SELECT FROM states AS s WHERE s.type = wanted.type COLLATE \"C\""
    " AND s.key = wanted.key COLLATE \"C\"))"};
// A statement of its own, so that it sees what was committed while the one above waited.
constexpr Statement kLock{
    "states.lock",
    "SELECT wanted.ordinal::int4, s.version FROM unnest($1::text[], $2::text[]) WITH ORDINALITY"
    "  AS wanted (type, key, ordinal) "
    "JOIN states AS s ON s.type = wanted.type COLLATE \"C\" AND s.key = wanted.key COLLATE \"C\" "
    "ORDER BY s.type, s.key FOR UPDATE OF s"};
constexpr Statement kRedefinitions{
    "states.redefinitions", "SELECT name, redefinition FROM keyed_types WHERE kind = 'state'"};

constexpr Statement kMake{"states.make",
                          "INSERT INTO states (type, key, version, document) "
                          "SELECT unnest($2::text[]), unnest($3::text[]), $1, unnest($4::text[])"};
constexpr Statement kReplace{
    "states.replace",
    "UPDATE states AS s SET version = $1, document = new.document, updated_at = clock_timestamp() "
    "FROM unnest($2::text[], $3::text[], $4::text[]) AS new (type, key, document) "
    "WHERE s.type = new.type COLLATE \"C\" AND s.key = new.key COLLATE \"C\""};
constexpr Statement kRemove{
    "states.remove",
    "DELETE FROM states AS s USING unnest($1::text[], $2::text[]) AS gone (type, key) "
    "WHERE s.type = gone.type COLLATE \"C\" AND s.key = gone.key COLLATE \"C\""};

struct Columns {
  std::vector<std::string_view> types, keys;
};
Columns ColumnsOf(const std::vector<Name>& names) {
  Columns columns;
  for (const auto& [type, key] : names) {
    columns.types.push_back(type);
    columns.keys.push_back(key);
  }
  return columns;
}

}  // namespace

const keys::KeyedTypeUse kStateUse{
    .kind = keys::KeyedKind::kState,
    .what = "states",
    .used_names = {"states.used_types",
                   "SELECT name FROM keyed_types WHERE kind = 'state'"
                   " AND EXISTS (SELECT FROM states WHERE type = name)"}};

absl::StatusOr<std::optional<State>> ReadState(postgres::Pool& pool, const CallContext& context,
                                               std::string_view type, std::string_view key) {
  SALDO_ASSIGN_OR_RETURN(Result result, pool.Read(context, kRead, type, key));
  SALDO_ASSIGN_OR_RETURN(const auto rows,
                         (std::move(result).As<std::string, int64_t, absl::Time>()));
  if (rows.empty()) return std::nullopt;
  auto [document, version, updated_at] = rows[0];
  return State{.document = std::move(document), .version = version, .updated_at = updated_at};
}

absl::StatusOr<int> LockStates(postgres::Transaction& tx, const std::vector<Name>& names,
                               const std::vector<Name>& puts) {
  const Columns made = ColumnsOf(puts);
  SALDO_RETURN_IF_ERROR(tx.Defer(kMakeAlone, made.types, made.keys));
  const Columns locked = ColumnsOf(names);
  SALDO_RETURN_IF_ERROR(tx.Defer(kLock, locked.types, locked.keys));
  SALDO_RETURN_IF_ERROR(tx.Defer(kRedefinitions));
  return 3;
}

absl::StatusOr<Before> TakeLocked(absl::Span<Result> results, const std::vector<Name>& names,
                                  const std::vector<Name>& puts) {
  Before before;
  SALDO_ASSIGN_OR_RETURN(const auto versions, (std::move(results[1]).As<int32_t, int64_t>()));
  for (const auto& [ordinal, version] : versions)
    before.versions[names[static_cast<size_t>(ordinal) - 1]] = version;
  const bool makes_alone = results[0].size() > 0;
  const bool all_there = std::all_of(
      puts.begin(), puts.end(), [&](const Name& name) { return before.versions.contains(name); });
  if (!makes_alone && !all_there)
    return absl::AbortedError("another server has removed a state meanwhile");
  SALDO_ASSIGN_OR_RETURN(const auto types, (std::move(results[2]).As<std::string, int32_t>()));
  for (const auto& [name, redefinition] : types) before.redefinitions[name] = redefinition;
  return before;
}

absl::Status Write(postgres::Transaction& tx, int64_t version, const Rows& rows) {
  if (!rows.made.types.empty()) {
    SALDO_RETURN_IF_ERROR(
        tx.Defer(kMake, version, rows.made.types, rows.made.keys, rows.made.documents));
  }
  if (!rows.replaced.types.empty()) {
    SALDO_RETURN_IF_ERROR(tx.Defer(kReplace, version, rows.replaced.types, rows.replaced.keys,
                                   rows.replaced.documents));
  }
  if (rows.removed.types.empty()) return absl::OkStatus();
  return tx.Defer(kRemove, rows.removed.types, rows.removed.keys);
}

}  // namespace saldo::states
