#include "cli/database.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "common/base/call_context.h"
#include "common/base/status_macros.h"
#include "common/config/load.h"
#include "common/schema/migrator.h"
#include "common/shards/identity.h"

namespace saldo::cli {
namespace {

constexpr absl::Duration kConnectTimeout = absl::Seconds(10);
constexpr const char* kDsnOption = "postgres.dsn";
constexpr const char* kDsnVariable = "SALDO_POSTGRES_DSN";
constexpr const char* kDsnFileVariable = "SALDO_POSTGRES_DSN_FILE";
constexpr const char* kShardsOption = "shards.file";
constexpr const char* kShardsVariable = "SALDO_SHARDS_FILE";
constexpr const char* kShardOption = "shard";

std::string Variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

absl::StatusOr<std::string> FindDsn(const Args& args) {
  std::string dsn = args.Get(kDsnOption, Variable(kDsnVariable));
  const std::string path = Variable(kDsnFileVariable);
  if (dsn.empty() && !path.empty()) {
    std::ifstream file(path);
    std::stringstream content;
    content << file.rdbuf();
    if (!file) return UsageError(absl::StrCat(kDsnFileVariable, ": cannot read ", path));
    dsn = std::string(absl::StripTrailingAsciiWhitespace(content.str()));
  }
  if (dsn.empty()) {
    return UsageError(absl::StrCat("which database? give --", kDsnOption, "=DSN or --",
                                   kShardsOption, "=FILE, or set ", kDsnVariable, " or ",
                                   kShardsVariable));
  }
  return dsn;
}

absl::StatusOr<shards::Databases> ReadShards(const std::string& path) {
  shards::ShardsConfig config;
  std::string dsn;
  const std::vector<std::string> faults =
      config::LoadPart(path, environ, [&](config::Binder& binder) {
        binder.Section("postgres", [&dsn](config::Binder& postgres) {
          postgres.Secret("dsn", &dsn, {.min = 0, .max = 4096}, "");
        });
        shards::Bind(binder, config, dsn);
      });
  if (!faults.empty()) return UsageError(absl::StrJoin(faults, "\n  "));
  return shards::Resolve(config, dsn);
}

}  // namespace

std::vector<Option> DatabaseOptions(std::vector<Option> more) {
  std::vector<Option> options = {
      {kDsnOption, "DSN",
       "the database, as libpq's keywords or URI; else $SALDO_POSTGRES_DSN, or the content of "
       "the file $SALDO_POSTGRES_DSN_FILE"},
      {kShardsOption, "FILE",
       "instead, the databases that its key `shards` lists: a server's --config file; else "
       "$SALDO_SHARDS_FILE. SALDO_SHARDS_0_DSN and the like count, too"}};
  options.insert(options.end(), more.begin(), more.end());
  return options;
}

Option ShardOption() { return {kShardOption, "NAME", "this shard only, instead of all"}; }

absl::StatusOr<std::unique_ptr<postgres::Connection>> Databases::Connect(
    size_t shard, absl::Duration statement_timeout) const {
  postgres::ConnectionOptions options;
  options.dsn = dsn(shard);
  options.application_name = "saldo-cli";
  options.connect_timeout = std::min(kConnectTimeout, statement_timeout);
  options.statement_timeout = statement_timeout;
  return postgres::Connection::Open(options, CallContext::WithTimeout(options.connect_timeout));
}

absl::StatusOr<std::unique_ptr<postgres::Connection>> Databases::ConnectToCurrent(
    size_t shard, absl::Duration statement_timeout) const {
  const CallContext context = CallContext::WithTimeout(statement_timeout);
  SALDO_ASSIGN_OR_RETURN(std::unique_ptr<postgres::Connection> connection,
                         Connect(shard, statement_timeout));
  SALDO_RETURN_IF_ERROR(schema::CheckCurrent(*connection, context));
  SALDO_RETURN_IF_ERROR(CheckIdentity(shard, *connection, context));
  return connection;
}

absl::Status Databases::CheckIdentity(size_t shard, postgres::Connection& connection,
                                      const CallContext& context) const {
  if (!listed_) return absl::OkStatus();
  return shards::CheckIdentity(connection, context, shards::IdentityOf(map(), shard));
}

absl::Status Databases::Named(size_t shard, const absl::Status& status) const {
  if (status.ok() || !sharded() || IsUsageError(status)) return status;
  return {status.code(), absl::StrCat("shard ", name(shard), ": ", status.message())};
}

absl::StatusOr<std::vector<size_t>> Databases::Selected(const Args& args) const {
  std::vector<size_t> selected;
  for (size_t i = 0; i < size(); ++i) {
    if (!args.Has(kShardOption) || args.Get(kShardOption) == name(i)) selected.push_back(i);
  }
  if (!selected.empty()) return selected;
  std::vector<std::string> names;
  for (size_t i = 0; i < size(); ++i) names.push_back(name(i));
  return UsageError(absl::StrCat("there is no shard '", args.Get(kShardOption), "'; there are ",
                                 absl::StrJoin(names, ", ")));
}

absl::StatusOr<Databases> FindDatabases(const Args& args) {
  if (args.Has(kDsnOption) && args.Has(kShardsOption)) {
    return UsageError(
        absl::StrCat("--", kDsnOption, " and --", kShardsOption, " exclude each other"));
  }
  const std::string file =
      args.Has(kDsnOption) ? "" : args.Get(kShardsOption, Variable(kShardsVariable));
  if (!file.empty()) {
    SALDO_ASSIGN_OR_RETURN(shards::Databases databases, ReadShards(file));
    return Databases(std::move(databases), /*listed=*/true);
  }
  shards::Databases one;
  SALDO_ASSIGN_OR_RETURN(std::string dsn, FindDsn(args));
  one.list.push_back({.name = shards::kOnlyShard, .dsn = std::move(dsn)});
  return Databases(std::move(one), /*listed=*/false);
}

absl::StatusOr<int> ForEachShard(const std::string& command, const Databases& databases,
                                 const Args& args,
                                 absl::FunctionRef<absl::StatusOr<int>(size_t shard)> work) {
  SALDO_ASSIGN_OR_RETURN(const std::vector<size_t> selected, databases.Selected(args));
  int worst = 0;
  for (const size_t shard : selected) {
    if (databases.sharded()) {
      absl::PrintF("%sshard %s\n", shard == selected.front() ? "" : "\n", databases.name(shard));
    }
    const absl::StatusOr<int> code = work(shard);
    std::fflush(stdout);
    if (!code.ok() && (!databases.sharded() || IsUsageError(code.status()))) return code;
    if (!code.ok()) {
      absl::FPrintF(stderr, "saldo %s: %s\n", command,
                    std::string(databases.Named(shard, code.status()).message()));
    }
    worst = std::max(worst, code.ok() ? *code : 1);
  }
  return worst;
}

}  // namespace saldo::cli
