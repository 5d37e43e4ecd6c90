// How commands reach PostgreSQL: one database, or the shards of a configuration.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "cli/args.h"
#include "common/base/call_context.h"
#include "common/postgres/connection.h"
#include "common/shards/config.h"

namespace saldo::cli {

// --postgres.dsn and --shards.file, and then `more`, for CommandSpec::options.
std::vector<Option> DatabaseOptions(std::vector<Option> more = {});

// --shard, for commands that can keep to one shard; see FindDatabases.
Option ShardOption();

// The databases that a command works on.
class Databases {
 public:
  // `listed`: by a file, so that the names are known.
  Databases(shards::Databases all, bool listed) : all_(std::move(all)), listed_(listed) {}

  size_t size() const { return all_.size(); }
  const shards::ShardMap& map() const { return all_.map; }
  const std::string& name(size_t shard) const { return all_.map.name(shard); }
  const std::string& dsn(size_t shard) const { return all_.list[shard].dsn; }
  // Whether there are several, so that what is said of one should name it.
  bool sharded() const { return size() > 1; }

  // A connection to one. Neither connecting nor any statement may take longer than
  // `statement_timeout`. What it answers does not name the shard, here and below: see Named.
  absl::StatusOr<std::unique_ptr<postgres::Connection>> Connect(
      size_t shard, absl::Duration statement_timeout) const;
  // The same, once the schema fits this program and the database is the shard that it is taken for:
  // all of that within `statement_timeout`.
  absl::StatusOr<std::unique_ptr<postgres::Connection>> ConnectToCurrent(
      size_t shard, absl::Duration statement_timeout) const;
  // FAILED_PRECONDITION when the database, of a current schema, is another shard. One that was
  // named by --postgres.dsn is what it is.
  absl::Status CheckIdentity(size_t shard, postgres::Connection& connection,
                             const CallContext& context) const;

  // Adds the shard's name to an error, where there are several.
  absl::Status Named(size_t shard, const absl::Status& status) const;

  // Those that are meant: the one that --shard names, else all. A usage error when it names none.
  absl::StatusOr<std::vector<size_t>> Selected(const Args& args) const;

 private:
  shards::Databases all_;
  bool listed_;
};

// What --postgres.dsn, --shards.file, or else the variables say: SALDO_SHARDS_FILE,
// SALDO_POSTGRES_DSN or the file named by SALDO_POSTGRES_DSN_FILE. A usage error when none does, or
// when more than one could be meant. The variables keep a password out of the list of processes.
absl::StatusOr<Databases> FindDatabases(const Args& args);

// Does `work` for one shard after another: for all, or for the one that --shard names. Where there
// are several, each has a heading. One that fails does not keep the others from it: its error goes
// to standard error at once. The exit code is the worst.
absl::StatusOr<int> ForEachShard(const std::string& command, const Databases& databases,
                                 const Args& args,
                                 absl::FunctionRef<absl::StatusOr<int>(size_t shard)> work);

}  // namespace saldo::cli
