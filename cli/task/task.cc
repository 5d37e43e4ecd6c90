#include "cli/task/task.h"

#include <algorithm>
#include <cstdio>
#include <memory>
#include <optional>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "cli/args.h"
#include "cli/database.h"
#include "cli/task/format.h"
#include "cli/task/store.h"
#include "common/base/call_context.h"
#include "common/base/status_macros.h"
#include "common/observability/text.h"
#include "common/runtime/stop_signal.h"

namespace saldo::cli {
namespace {

constexpr absl::Duration kTimeout = absl::Minutes(5);
constexpr absl::Duration kTimeoutMax = absl::Hours(24);
// Where tasks live: the first of the shards.
constexpr size_t kHomeShard = 0;
constexpr absl::Duration kPoll = absl::Milliseconds(100);
// The end of a wait is no error of the database, so it asks for a little longer than it waits.
constexpr absl::Duration kGrace = absl::Seconds(5);
constexpr int64_t kShown = 20;
constexpr int64_t kShownMax = 10'000;
// As the columns are, see migrations/0004_tasks.sql.
constexpr size_t kKeyMax = 200;
constexpr size_t kPayloadMax = 8192;

CommandSpec Spec() {
  return {.usage = "saldo task [OPTIONS] list|show|kinds|run [ID|KIND]",
          .about =
              "list: the newest tasks, with what their last run said.\n"
              "show: all about the task ID.\n"
              "kinds: what the servers can do, and when they do it by themselves.\n"
              "run: adds a task of KIND, which a server begins within about a second. Where "
              "one of its key waits already,\n    that one is brought forward instead. Exit "
              "code 1 with --wait when it failed.\n"
              "Of shards, the first one keeps the tasks of all.",
          .options = DatabaseOptions(
              {{"kind", "KIND", "list: of this kind only"},
               {"state", "STATE", "list: waiting, running, done or failed only"},
               {"limit", "N", "list: how many, default 20"},
               {"key", "KEY", "run: what it is about; of one key, one runs at a time"},
               {"payload", "TEXT", "run: as the kind takes it"},
               {"wait", "", "run: until it has finished, and show its result"},
               {"timeout", "TIME", "for all of it, such as 10m; default 5m"}}),
          .operands_min = 1,
          .operands_max = 2};
}

bool IsState(const std::string& state) {
  return state == "waiting" || state == "running" || state == "done" || state == "failed";
}

// Options and operands that mean nothing to the action are mistakes.
absl::Status CheckAction(const Args& args) {
  const std::string& action = args.operands()[0];
  if (action != "list" && action != "show" && action != "kinds" && action != "run") {
    return UsageError(absl::StrCat("'", action, "' is neither list nor show nor kinds nor run"));
  }
  const bool takes_operand = action == "show" || action == "run";
  if (takes_operand && args.operands().size() == 1)
    return UsageError(absl::StrCat(action, " takes ", action == "run" ? "a KIND" : "an ID"));
  if (!takes_operand && args.operands().size() > 1)
    return UsageError(absl::StrCat("'", args.operands()[1], "' is one too many"));
  for (const char* option : {"kind", "state", "limit"}) {
    if (args.Has(option) && action != "list")
      return UsageError(absl::StrCat(action, " does not take --", option));
  }
  for (const char* option : {"key", "payload", "wait"}) {
    if (args.Has(option) && action != "run")
      return UsageError(absl::StrCat(action, " does not take --", option));
  }
  if (args.Has("state") && !IsState(args.Get("state"))) {
    return UsageError(
        absl::StrCat("'", args.Get("state"), "' is no state: waiting, running, done or failed is"));
  }
  const std::optional<size_t> key = text::CountUtf8(args.Get("key"));
  if (!key.has_value() || *key > kKeyMax)
    return UsageError(absl::StrCat("a key has up to ", kKeyMax, " characters in UTF-8"));
  const std::string payload = args.Get("payload");
  if (!text::CountUtf8(payload).has_value() || payload.size() > kPayloadMax)
    return UsageError(absl::StrCat("a payload has up to ", kPayloadMax, " bytes of UTF-8"));
  return absl::OkStatus();
}

absl::Status CheckKind(const std::vector<task::Kind>& kinds, const std::string& wanted) {
  std::vector<std::string> names;
  names.reserve(kinds.size());
  for (const task::Kind& kind : kinds) names.push_back(kind.kind);
  if (std::find(names.begin(), names.end(), wanted) != names.end()) return absl::OkStatus();
  if (names.empty()) {
    return absl::FailedPreconditionError(
        "no kinds of tasks are known: no saldo-server has been started on this database");
  }
  return UsageError(
      absl::StrCat("there is no kind '", wanted, "'; there are ", absl::StrJoin(names, ", ")));
}

absl::StatusOr<int> List(postgres::Connection& connection, const CallContext& context,
                         const Args& args, int64_t limit) {
  if (args.Has("kind")) {
    SALDO_ASSIGN_OR_RETURN(const auto kinds, task::ReadKinds(connection, context));
    SALDO_RETURN_IF_ERROR(CheckKind(kinds, args.Get("kind")));
  }
  SALDO_ASSIGN_OR_RETURN(
      const auto tasks,
      task::ReadTasks(connection, context, {args.Get("kind"), args.Get("state")}, limit));
  absl::PrintF("%s", task::TasksText(tasks));
  return 0;
}

absl::StatusOr<int> Show(postgres::Connection& connection, const CallContext& context,
                         const std::string& operand) {
  int64_t id = 0;
  if (!absl::SimpleAtoi(operand, &id) || id <= 0)
    return UsageError(absl::StrCat("'", operand, "' is not the id of a task"));
  SALDO_ASSIGN_OR_RETURN(const task::Task found, task::ReadTask(connection, context, id));
  absl::PrintF("%s", task::TaskText(found));
  return 0;
}

absl::StatusOr<int> Wait(postgres::Connection& connection, absl::Time until, int64_t id) {
  runtime::StopSignal pause;  // nobody ends it: a signal ends the program
  while (true) {
    SALDO_ASSIGN_OR_RETURN(const task::Task now,
                           task::ReadTask(connection, CallContext(until + kGrace), id));
    if (now.finished()) {
      absl::PrintF("%s", task::TaskText(now));
      std::fflush(stdout);
      return now.state == "done" ? 0 : 1;
    }
    if (absl::Now() >= until) {
      std::string reason = absl::StrCat("task ", id, " is still ", now.state);
      if (!now.last_error.empty()) absl::StrAppend(&reason, "; its last run: ", now.last_error);
      if (now.state == "waiting" && now.attempts == 0)
        reason += "; does a saldo-server with jobs.tasks.enabled run?";
      return absl::DeadlineExceededError(reason);
    }
    pause.WaitFor(std::min(kPoll, until - absl::Now()));
  }
}

absl::StatusOr<int> Run(postgres::Connection& connection, const Args& args, absl::Time until) {
  const CallContext context(until + kGrace);
  const std::string& kind = args.operands()[1];
  SALDO_ASSIGN_OR_RETURN(const auto kinds, task::ReadKinds(connection, context));
  SALDO_RETURN_IF_ERROR(CheckKind(kinds, kind));
  SALDO_ASSIGN_OR_RETURN(const task::Added added, task::Add(connection, context, kind,
                                                            args.Get("key"), args.Get("payload")));
  if (added.outcome == task::Added::Outcome::kDiffers) {
    return absl::AlreadyExistsError(
        absl::StrCat("task ", added.id, " of this kind and key waits with another payload"));
  }
  absl::PrintF("task %d %s\n", added.id,
               added.outcome == task::Added::Outcome::kMade
                   ? "is added"
                   : "was waiting already, and is brought forward");
  std::fflush(stdout);
  if (!args.Has("wait")) return 0;
  return Wait(connection, until, added.id);
}

absl::StatusOr<int> RunAction(const Databases& databases, const Args& args, int64_t limit,
                              absl::Duration timeout) {
  SALDO_ASSIGN_OR_RETURN(const std::unique_ptr<postgres::Connection> connection,
                         databases.ConnectToCurrent(kHomeShard, timeout));
  const absl::Time until = absl::Now() + timeout;
  const CallContext context(until);
  const std::string& action = args.operands()[0];
  if (action == "list") return List(*connection, context, args, limit);
  if (action == "show") return Show(*connection, context, args.operands()[1]);
  if (action == "run") return Run(*connection, args, until);
  SALDO_ASSIGN_OR_RETURN(const auto kinds, task::ReadKinds(*connection, context));
  absl::PrintF("%s", task::KindsText(kinds));
  return 0;
}

}  // namespace

absl::StatusOr<int> RunTask(const std::vector<std::string>& arguments) {
  const CommandSpec spec = Spec();
  SALDO_ASSIGN_OR_RETURN(const Args args, Args::Parse(spec, arguments));
  if (args.help()) {
    absl::PrintF("%s", HelpText(spec));
    return 0;
  }
  SALDO_RETURN_IF_ERROR(CheckAction(args));
  SALDO_ASSIGN_OR_RETURN(const int64_t limit, args.GetInt("limit", kShown, 1, kShownMax));
  SALDO_ASSIGN_OR_RETURN(const absl::Duration timeout,
                         args.GetDuration("timeout", kTimeout, kTimeoutMax));
  SALDO_ASSIGN_OR_RETURN(const Databases databases, FindDatabases(args));
  const absl::StatusOr<int> code = RunAction(databases, args, limit, timeout);
  if (!code.ok()) return databases.Named(kHomeShard, code.status());
  return code;
}

}  // namespace saldo::cli
