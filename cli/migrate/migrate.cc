#include "cli/migrate/migrate.h"

#include <algorithm>
#include <cstdio>
#include <memory>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "cli/args.h"
#include "cli/database.h"
#include "common/base/call_context.h"
#include "common/base/status_macros.h"
#include "common/schema/migrator.h"

namespace saldo::cli {
namespace {

constexpr absl::Duration kTimeout = absl::Hours(1);
constexpr absl::Duration kTimeoutMax = absl::Hours(48);

CommandSpec Spec() {
  return {.usage = "saldo migrate [OPTIONS] up|status",
          .about =
              "Of shards, each one in turn; one that fails does not keep the others from it.\n"
              "up: applies the migrations that the database lacks, each in a transaction of its "
              "own. Safe to run\n    again, by several at once, and while servers work.\n"
              "status: shows which migrations the database has. Exit code 1 when this program "
              "could not work on it.",
          .options = DatabaseOptions(
              {ShardOption(), {"timeout", "TIME", "for all of it, such as 10m; default 1h"}}),
          .operands_min = 1,
          .operands_max = 1};
}

absl::StatusOr<int> Up(postgres::Connection& connection, const CallContext& context) {
  int applied = 0;
  absl::Time begin = absl::Now();
  SALDO_RETURN_IF_ERROR(schema::Up(
      connection, context, schema::AllMigrations(), [&](const schema::Migration& migration) {
        ++applied;
        absl::PrintF("applied %s in %.2f s\n", std::string(migration.name),
                     absl::ToDoubleSeconds(absl::Now() - begin));
        std::fflush(stdout);
        begin = absl::Now();
      }));
  if (applied == 0) absl::PrintF("nothing to do: the schema is current\n");
  return 0;
}

const char* StateName(schema::State state) {
  switch (state) {
    case schema::State::kApplied:
      return "applied";
    case schema::State::kPending:
      return "pending";
    case schema::State::kAltered:
      return "ALTERED";
    case schema::State::kNewer:
      return "newer";
  }
  return "";
}

absl::StatusOr<int> ShowStatus(postgres::Connection& connection, const CallContext& context) {
  SALDO_ASSIGN_OR_RETURN(const std::vector<schema::MigrationState> states,
                         schema::Inspect(connection, context));
  size_t width = 9;
  for (const schema::MigrationState& state : states) width = std::max(width, state.name.size());
  const auto print = [width](const std::string& name, const char* state, const std::string& at) {
    absl::PrintF("%-*s  %-7s%s%s\n", static_cast<int>(width), name, state, at.empty() ? "" : "  ",
                 at);
  };
  print("migration", "state", "applied at");
  for (const schema::MigrationState& state : states) {
    const bool there = state.state != schema::State::kPending;
    print(state.name, StateName(state.state),
          there ? absl::FormatTime("%Y-%m-%d %H:%M:%S UTC", state.applied_at, absl::UTCTimeZone())
                : "");
  }
  std::fflush(stdout);
  SALDO_RETURN_IF_ERROR(schema::CheckCurrent(connection, context));
  return 0;
}

}  // namespace

absl::StatusOr<int> RunMigrate(const std::vector<std::string>& arguments) {
  const CommandSpec spec = Spec();
  SALDO_ASSIGN_OR_RETURN(const Args args, Args::Parse(spec, arguments));
  if (args.help()) {
    absl::PrintF("%s", HelpText(spec));
    return 0;
  }
  const std::string& action = args.operands()[0];
  if (action != "up" && action != "status") {
    return UsageError(absl::StrCat("'", action, "' is neither up nor status"));
  }
  SALDO_ASSIGN_OR_RETURN(const absl::Duration timeout,
                         args.GetDuration("timeout", kTimeout, kTimeoutMax));
  SALDO_ASSIGN_OR_RETURN(const Databases databases, FindDatabases(args));
  const CallContext context = CallContext::WithTimeout(timeout);
  return ForEachShard("migrate", databases, args, [&](size_t shard) -> absl::StatusOr<int> {
    SALDO_ASSIGN_OR_RETURN(const std::unique_ptr<postgres::Connection> connection,
                           databases.Connect(shard, timeout));
    SALDO_ASSIGN_OR_RETURN(const int code, action == "up" ? Up(*connection, context)
                                                          : ShowStatus(*connection, context));
    SALDO_RETURN_IF_ERROR(databases.CheckIdentity(shard, *connection, context));
    return code;
  });
}

}  // namespace saldo::cli
