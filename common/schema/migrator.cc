#include "common/schema/migrator.h"

#include <algorithm>
#include <map>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/status_macros.h"
#include "common/base/strings.h"
#include "common/postgres/error.h"
#include "common/postgres/transaction.h"

namespace saldo::schema {
namespace {

using postgres::Connection;
using postgres::Result;
using postgres::Statement;

// Any constant that no one else in the database uses; spells "saldo".
constexpr int64_t kLockKey = 0x73616c646f;

constexpr Statement kTableExists{"schema.table_exists",
                                 "SELECT to_regclass('schema_migrations') IS NOT NULL"};
constexpr Statement kCreateTable{"schema.create_table",
                                 "CREATE TABLE IF NOT EXISTS schema_migrations ("
                                 "  version integer PRIMARY KEY,"
                                 "  name text NOT NULL,"
                                 "  checksum text NOT NULL,"
                                 "  applied_at timestamptz NOT NULL DEFAULT clock_timestamp())"};
constexpr Statement kSelect{
    "schema.select",
    "SELECT version, name, checksum, applied_at FROM schema_migrations ORDER BY version"};
constexpr Statement kRecord{
    "schema.record", "INSERT INTO schema_migrations (version, name, checksum) VALUES ($1, $2, $3)"};
constexpr Statement kLock{"schema.lock", "SELECT pg_advisory_lock($1)"};
constexpr Statement kUnlock{"schema.unlock", "SELECT pg_advisory_unlock($1)"};
// A migration that waits for a table's lock makes everyone else wait behind it, so it gives up soon
// and tries again.
constexpr Statement kLockTimeout{"schema.lock_timeout", "SET LOCAL lock_timeout = '3s'"};
constexpr int kAttempts = 10;

std::vector<MigrationState> Compare(
    absl::Span<const Migration> ours,
    const postgres::Rows<int32_t, std::string, std::string, absl::Time>& theirs) {
  std::map<int, MigrationState> states;
  for (const Migration& migration : ours) {
    states[migration.version] = {migration.version, std::string(migration.name), State::kPending,
                                 absl::InfinitePast()};
  }
  for (const auto& [version, name, checksum, applied_at] : theirs) {
    const auto known = std::find_if(ours.begin(), ours.end(),
                                    [v = version](const Migration& m) { return m.version == v; });
    const State state = known == ours.end()           ? State::kNewer
                        : known->checksum == checksum ? State::kApplied
                                                      : State::kAltered;
    states[version] = {version, name, state, applied_at};
  }
  std::vector<MigrationState> list;
  list.reserve(states.size());
  for (auto& [version, state] : states) list.push_back(std::move(state));
  return list;
}

absl::StatusOr<std::vector<MigrationState>> InspectAgainst(Connection& connection,
                                                           const CallContext& context,
                                                           absl::Span<const Migration> ours) {
  SALDO_ASSIGN_OR_RETURN(Result exists, connection.Query(context, kTableExists));
  SALDO_ASSIGN_OR_RETURN(auto there, std::move(exists).One<bool>());
  if (!std::get<0>(there))
    return Compare(ours, postgres::Rows<int32_t, std::string, std::string, absl::Time>(Result()));
  SALDO_ASSIGN_OR_RETURN(Result rows, connection.Query(context, kSelect));
  SALDO_ASSIGN_OR_RETURN(auto theirs,
                         (std::move(rows).As<int32_t, std::string, std::string, absl::Time>()));
  return Compare(ours, theirs);
}

std::string NamesIn(const std::vector<MigrationState>& states, State wanted) {
  std::vector<std::string> names;
  for (const MigrationState& state : states) {
    if (state.state == wanted) names.push_back(state.name);
  }
  return absl::StrJoin(names, ", ");
}

absl::Status CheckUnaltered(const std::vector<MigrationState>& states) {
  const std::string altered = NamesIn(states, State::kAltered);
  if (altered.empty()) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat("the database was migrated with another text of ", altered,
                   "; applied migrations must never change: restore the file, and put the change "
                   "into a new migration"));
}

absl::Status Apply(Connection& connection, const CallContext& context, const Migration& migration) {
  const auto body = [&](postgres::Transaction& tx) -> absl::Status {
    SALDO_RETURN_IF_ERROR(tx.Defer(kLockTimeout));
    // First the record: its primary key refuses a second run before anything is done.
    SALDO_RETURN_IF_ERROR(
        tx.Query(kRecord, migration.version, migration.name, migration.checksum).status());
    return connection.ExecuteScript(context, std::string(migration.sql));
  };
  absl::Status status;
  for (int attempt = 1; attempt <= kAttempts; ++attempt) {
    status = postgres::RunTransaction(connection, context, {.name = "schema.apply"}, body);
    if (postgres::SqlState(status) != "55P03") break;
  }
  if (status.ok()) return status;
  return absl::Status(status.code(),
                      absl::StrCat("migration ", AsAbsl(migration.name), ": ", status.message()));
}

}  // namespace

absl::StatusOr<std::vector<MigrationState>> Inspect(Connection& connection,
                                                    const CallContext& context) {
  return InspectAgainst(connection, context, AllMigrations());
}

absl::Status Up(Connection& connection, const CallContext& context,
                absl::Span<const Migration> migrations,
                absl::FunctionRef<void(const Migration&)> applied) {
  SALDO_RETURN_IF_ERROR(connection.Query(context, kLock, kLockKey).status());
  const auto run = [&]() -> absl::Status {
    SALDO_RETURN_IF_ERROR(connection.Query(context, kCreateTable).status());
    SALDO_ASSIGN_OR_RETURN(const std::vector<MigrationState> states,
                           InspectAgainst(connection, context, migrations));
    SALDO_RETURN_IF_ERROR(CheckUnaltered(states));
    for (const Migration& migration : migrations) {
      const auto state = std::find_if(states.begin(), states.end(), [&](const MigrationState& s) {
        return s.version == migration.version;
      });
      if (state->state != State::kPending) continue;
      SALDO_RETURN_IF_ERROR(Apply(connection, context, migration));
      applied(migration);
    }
    return absl::OkStatus();
  };
  const absl::Status status = run();
  // When this fails the connection is gone, and the lock with it.
  connection.Query(CallContext::WithTimeout(absl::Seconds(2)), kUnlock, kLockKey).IgnoreError();
  return status;
}

absl::Status CheckCurrent(Connection& connection, const CallContext& context) {
  SALDO_ASSIGN_OR_RETURN(const std::vector<MigrationState> states, Inspect(connection, context));
  SALDO_RETURN_IF_ERROR(CheckUnaltered(states));
  const std::string pending = NamesIn(states, State::kPending);
  if (pending.empty()) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat("the database's schema is behind this program: ", pending,
                   " pending; run: saldo migrate up"));
}

}  // namespace saldo::schema
