#include "cli/shard/shard.h"

#include <algorithm>
#include <cstdio>
#include <memory>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "cli/args.h"
#include "cli/database.h"
#include "cli/shard/format.h"
#include "cli/shard/store.h"
#include "cli/shard/which.h"
#include "common/base/call_context.h"
#include "common/base/status_macros.h"
#include "common/runtime/thread.h"

namespace saldo::cli {
namespace {

constexpr absl::Duration kTimeout = absl::Seconds(10);
constexpr absl::Duration kTimeoutMax = absl::Hours(1);
constexpr size_t kPairsMax = 64;

CommandSpec Spec() {
  return {
      .usage = "saldo shard [OPTIONS] status | which TYPE KEY=VALUE...",
      .about =
          "status: of each shard its range of hashes, size, accounts, the last seq, and how far "
          "the relay and the\n    aggregation are behind. Exit code 1 when one does not answer "
          "or is not what it should be.\n"
          "which: names the shard of an account, from the attributes that its TYPE is sharded by. "
          "TYPE may be\n    written KIND:NAME, such as account:client_wallet.",
      .options = DatabaseOptions(
          {{"json", "", "for programs"}, {"timeout", "TIME", "for each shard; default 10s"}}),
      .operands_min = 1,
      .operands_max = 2 + kPairsMax};
}

absl::StatusOr<shard::Figures> Ask(const Databases& databases, size_t shard,
                                   absl::Duration timeout) {
  const CallContext context = CallContext::WithTimeout(timeout);
  SALDO_ASSIGN_OR_RETURN(const std::unique_ptr<postgres::Connection> connection,
                         databases.ConnectToCurrent(shard, timeout));
  return shard::ReadFigures(*connection, context);
}

// At once, for one that is away answers only when its time is over.
absl::StatusOr<int> ShowStatus(const Databases& databases, const Args& args,
                               absl::Duration timeout) {
  std::vector<shard::Report> reports;
  for (size_t i = 0; i < databases.size(); ++i) {
    reports.push_back(
        {databases.name(i), databases.map().range(i), absl::UnknownError("not asked")});
  }
  {
    std::vector<runtime::Thread> threads;
    for (size_t i = 0; i < databases.size(); ++i) {
      threads.emplace_back("shard-status", [&databases, &reports, timeout, i] {
        reports[i].figures = Ask(databases, i, timeout);
      });
    }
  }
  absl::PrintF("%s", args.Has("json") ? shard::StatusJson(reports) : shard::StatusText(reports));
  std::fflush(stdout);
  return std::all_of(reports.begin(), reports.end(),
                     [](const shard::Report& report) { return report.figures.ok(); })
             ? 0
             : 1;
}

absl::StatusOr<std::vector<shard::KeyedType>> TypesOn(const Databases& databases, size_t shard,
                                                      absl::Duration timeout) {
  const CallContext context = CallContext::WithTimeout(timeout);
  SALDO_ASSIGN_OR_RETURN(const std::unique_ptr<postgres::Connection> connection,
                         databases.ConnectToCurrent(shard, timeout));
  return shard::ReadTypes(*connection, context);
}

// All shards know the types, so the first that answers will do.
absl::StatusOr<std::vector<shard::KeyedType>> Types(const Databases& databases,
                                                    absl::Duration timeout) {
  absl::Status first_failure;
  for (size_t i = 0; i < databases.size(); ++i) {
    const absl::StatusOr<std::vector<shard::KeyedType>> types = TypesOn(databases, i, timeout);
    if (types.ok() && !types->empty()) return types;
    if (types.ok() && databases.size() == 1) return types;
    first_failure.Update(
        databases.Named(i, types.ok() ? shard::FindType(*types, "").status() : types.status()));
  }
  return first_failure;
}

absl::StatusOr<int> ShowWhich(const Databases& databases, const Args& args,
                              absl::Duration timeout) {
  SALDO_ASSIGN_OR_RETURN(const std::vector<shard::KeyedType> types, Types(databases, timeout));
  SALDO_ASSIGN_OR_RETURN(const shard::KeyedType type, shard::FindType(types, args.operands()[1]));
  SALDO_ASSIGN_OR_RETURN(
      const std::vector<std::string> values,
      shard::ShardingValues(type, absl::MakeConstSpan(args.operands()).subspan(2)));
  const std::vector<std::string_view> views(values.begin(), values.end());
  const uint64_t hash = shards::HashOf(shards::ShardingKey(views));
  const size_t found = databases.map().OfHash(hash);
  const shard::Place place{databases.name(found), databases.map().range(found), hash};
  absl::PrintF("%s", args.Has("json") ? shard::PlaceJson(place) : shard::PlaceText(place));
  return 0;
}

}  // namespace

absl::StatusOr<int> RunShard(const std::vector<std::string>& arguments) {
  const CommandSpec spec = Spec();
  SALDO_ASSIGN_OR_RETURN(const Args args, Args::Parse(spec, arguments));
  if (args.help()) {
    absl::PrintF("%s", HelpText(spec));
    return 0;
  }
  const std::string& action = args.operands()[0];
  if (action != "status" && action != "which")
    return UsageError(absl::StrCat("'", action, "' is neither status nor which"));
  if (action == "status" && args.operands().size() > 1)
    return UsageError(absl::StrCat("'", args.operands()[1], "' is one too many"));
  if (action == "which" && args.operands().size() == 1)
    return UsageError("which takes a TYPE, and KEY=VALUE of what it is sharded by");
  SALDO_ASSIGN_OR_RETURN(const absl::Duration timeout,
                         args.GetDuration("timeout", kTimeout, kTimeoutMax));
  SALDO_ASSIGN_OR_RETURN(const Databases databases, FindDatabases(args));
  return action == "status" ? ShowStatus(databases, args, timeout)
                            : ShowWhich(databases, args, timeout);
}

}  // namespace saldo::cli
