#include "cli/outbox/outbox.h"

#include <algorithm>
#include <cstdio>
#include <limits>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "cli/args.h"
#include "cli/database.h"
#include "cli/outbox/format.h"
#include "cli/outbox/redrive.h"
#include "cli/outbox/store.h"
#include "common/base/call_context.h"
#include "common/base/status_macros.h"

namespace saldo::cli {
namespace {

constexpr absl::Duration kTimeout = absl::Minutes(5);
constexpr absl::Duration kTimeoutMax = absl::Hours(24);
constexpr int64_t kDeadShown = 20;
constexpr int64_t kDeadShownMax = 10'000;
constexpr size_t kIdsMax = 10'000;

CommandSpec Spec() {
  return {
      .usage = "saldo outbox [OPTIONS] status|dead|redrive [ID...]",
      .about =
          "status: how far the messages have come on their way to Kafka, and who sends them.\n"
          "dead: the messages that could not be sent and wait for a decision, with the reason.\n"
          "redrive: sends dead letters anew under the message ids that they had, those with "
          "these IDs or --all. They\n    come after what was sent meanwhile under the same key.\n"
          "Of shards, each has its own outbox, and its own IDs: redrive by IDs takes --shard.",
      .options = DatabaseOptions(
          {ShardOption(),
           {"json", "", "status: for programs"},
           {"limit", "N", "dead: how many, default 20; redrive --all: at most so many"},
           {"all", "", "redrive: all that wait now"},
           {"timeout", "TIME", "for all of it, such as 10m; default 5m"}}),
      .operands_min = 1,
      .operands_max = 1 + kIdsMax};
}

// Options that mean nothing to the action are mistakes.
absl::Status CheckAction(const Args& args) {
  const std::string& action = args.operands()[0];
  if (action != "status" && action != "dead" && action != "redrive")
    return UsageError(absl::StrCat("'", action, "' is neither status nor dead nor redrive"));
  const auto refuse = [&](const char* option) {
    return UsageError(absl::StrCat(action, " does not take --", option));
  };
  if (args.Has("json") && action != "status") return refuse("json");
  if (args.Has("limit") && action == "status") return refuse("limit");
  if (args.Has("all") && action != "redrive") return refuse("all");
  if (action != "redrive" && args.operands().size() > 1)
    return UsageError(absl::StrCat("'", args.operands()[1], "' is one too many"));
  return absl::OkStatus();
}

absl::StatusOr<std::vector<int64_t>> Ids(const Args& args) {
  std::vector<int64_t> ids;
  for (size_t i = 1; i < args.operands().size(); ++i) {
    int64_t id = 0;
    if (!absl::SimpleAtoi(args.operands()[i], &id) || id <= 0)
      return UsageError(absl::StrCat("'", args.operands()[i], "' is not the id of a dead letter"));
    ids.push_back(id);
  }
  if (args.Has("all") == !ids.empty()) return UsageError("redrive takes either IDs or --all");
  if (args.Has("limit") && !args.Has("all"))
    return UsageError("redrive takes --limit only with --all");
  return ids;
}

absl::StatusOr<int> ShowStatus(postgres::Connection& connection, const CallContext& context) {
  SALDO_ASSIGN_OR_RETURN(const outbox::Status status, outbox::ReadStatus(connection, context));
  absl::PrintF("%s", outbox::StatusText(status));
  return 0;
}

// One document: of the only database its status, of shards the status or the error of each.
absl::StatusOr<int> ShowJson(const Databases& databases, const Args& args,
                             const CallContext& context, absl::Duration timeout) {
  SALDO_ASSIGN_OR_RETURN(const std::vector<size_t> selected, databases.Selected(args));
  std::vector<outbox::ShardStatus> all;
  for (const size_t shard : selected) {
    const auto connection = databases.ConnectToCurrent(shard, timeout);
    all.push_back({databases.name(shard),
                   connection.ok() ? outbox::ReadStatus(**connection, context)
                                   : absl::StatusOr<outbox::Status>(connection.status())});
  }
  if (!databases.sharded()) {
    SALDO_RETURN_IF_ERROR(all[0].status.status());
    absl::PrintF("%s", outbox::StatusJson(*all[0].status));
    return 0;
  }
  absl::PrintF("%s", outbox::StatusJson(all));
  return std::all_of(all.begin(), all.end(), [](const auto& one) { return one.status.ok(); }) ? 0
                                                                                              : 1;
}

absl::StatusOr<int> ShowDead(postgres::Connection& connection, const CallContext& context,
                             int64_t limit) {
  SALDO_ASSIGN_OR_RETURN(const std::vector<outbox::DeadLetter> letters,
                         outbox::ReadDead(connection, context, limit));
  SALDO_ASSIGN_OR_RETURN(const int64_t waiting, outbox::CountDead(connection, context));
  absl::PrintF("%s", outbox::DeadText(letters, waiting));
  return 0;
}

// All, of any shard together, at most `*left`.
absl::StatusOr<int> Redrive(postgres::Connection& connection, const CallContext& context,
                            std::vector<int64_t> ids, int64_t* left) {
  const outbox::RedriveResult result =
      ids.empty() ? outbox::RedriveAll(connection, context, *left)
                  : outbox::RedriveIds(connection, context, std::move(ids));
  *left -= result.messages;
  if (result.messages > 0 || result.status.ok()) {
    absl::PrintF("%d %s sent anew\n", result.messages,
                 result.messages == 1 ? "message is" : "messages are");
  }
  std::fflush(stdout);
  if (!result.status.ok()) return result.status;
  return 0;
}

}  // namespace

absl::StatusOr<int> RunOutbox(const std::vector<std::string>& arguments) {
  const CommandSpec spec = Spec();
  SALDO_ASSIGN_OR_RETURN(const Args args, Args::Parse(spec, arguments));
  if (args.help()) {
    absl::PrintF("%s", HelpText(spec));
    return 0;
  }
  SALDO_RETURN_IF_ERROR(CheckAction(args));
  const std::string& action = args.operands()[0];
  const int64_t limit_max = action == "dead" ? kDeadShownMax : std::numeric_limits<int64_t>::max();
  SALDO_ASSIGN_OR_RETURN(
      const int64_t limit,
      args.GetInt("limit", action == "dead" ? kDeadShown : limit_max, 1, limit_max));
  std::vector<int64_t> ids;
  if (action == "redrive") {
    SALDO_ASSIGN_OR_RETURN(ids, Ids(args));
  }
  SALDO_ASSIGN_OR_RETURN(const absl::Duration timeout,
                         args.GetDuration("timeout", kTimeout, kTimeoutMax));
  SALDO_ASSIGN_OR_RETURN(const Databases databases, FindDatabases(args));
  if (!ids.empty() && databases.sharded() && !args.Has("shard"))
    return UsageError("redrive of IDs takes --shard=NAME: each shard has its own IDs");
  const CallContext context = CallContext::WithTimeout(timeout);
  if (args.Has("json")) return ShowJson(databases, args, context, timeout);
  int64_t left = limit;
  return ForEachShard("outbox", databases, args, [&](size_t shard) -> absl::StatusOr<int> {
    SALDO_ASSIGN_OR_RETURN(const std::unique_ptr<postgres::Connection> connection,
                           databases.ConnectToCurrent(shard, timeout));
    if (action == "status") return ShowStatus(*connection, context);
    if (action == "dead") return ShowDead(*connection, context, limit);
    return Redrive(*connection, context, ids, &left);
  });
}

}  // namespace saldo::cli
