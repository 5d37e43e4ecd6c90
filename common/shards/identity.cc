#include "common/shards/identity.h"

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/status_macros.h"
#include "common/postgres/statement.h"

namespace saldo::shards {
namespace {

using postgres::Statement;

constexpr Statement kRead{"shard.read", "SELECT name, range_first, range_last FROM shard"};
// What is spread by hashes, and what is at home.
constexpr Statement kHolds{"shard.holds",
                           "SELECT EXISTS (SELECT FROM accounts) OR EXISTS (SELECT FROM states)"
                           " OR EXISTS (SELECT FROM locks) OR EXISTS (SELECT FROM wallets),"
                           " EXISTS (SELECT FROM packages) OR EXISTS (SELECT FROM tasks)"};
// Of two servers that start at once one comes first.
constexpr Statement kInsert{"shard.insert",
                            "INSERT INTO shard (name, range_first, range_last) "
                            "VALUES ($1, $2, $3) ON CONFLICT DO NOTHING"};

std::string Hex(uint64_t value) { return absl::StrFormat("%016x", value); }

std::string Show(const Identity& identity) {
  return absl::StrFormat("shard \"%s\" with the hashes %s", identity.name,
                         ToString(identity.range));
}

absl::Status Differs(const Identity& stored, const Identity& configured) {
  // What an unsharded server stores.
  const bool unsharded = stored == Identity{.name = kOnlyShard, .range = {}};
  const std::string is = unsharded ? std::string(
                                         "holds a whole, unsharded ledger (shard \"0\" with all "
                                         "hashes)")
                                   : "is " + Show(stored);
  return absl::FailedPreconditionError(
      absl::StrCat("the database ", is, ", but is configured as ", Show(configured),
                   "; a database keeps the name and range that it was first started with"));
}

// What a database without an identity holds must belong to this shard.
absl::Status CheckContent(postgres::Connection& connection, const CallContext& context,
                          const Identity& identity) {
  SALDO_ASSIGN_OR_RETURN(postgres::Result result, connection.Query(context, kHolds));
  SALDO_ASSIGN_OR_RETURN(const auto row, (std::move(result).One<bool, bool>()));
  const auto& [sharded, unsharded] = row;
  if (sharded && identity.range != Range{}) {
    return absl::FailedPreconditionError(
        absl::StrCat("the database holds accounts of a whole, unsharded ledger, but is "
                     "configured as ",
                     Show(identity), "; only a database with all hashes can take it over"));
  }
  if (unsharded && !identity.home) {
    return absl::FailedPreconditionError(
        absl::StrCat("the database holds packages or tasks, but is configured as ", Show(identity),
                     ", which is not the home; only the first shard of the list has them"));
  }
  return absl::OkStatus();
}

}  // namespace

Identity IdentityOf(const ShardMap& map, size_t shard) {
  return {.name = map.name(shard), .range = map.range(shard), .home = shard == 0};
}

absl::StatusOr<std::optional<Identity>> ReadIdentity(postgres::Connection& connection,
                                                     const CallContext& context) {
  SALDO_ASSIGN_OR_RETURN(postgres::Result result, connection.Query(context, kRead));
  SALDO_ASSIGN_OR_RETURN(const auto rows,
                         (std::move(result).As<std::string, std::string, std::string>()));
  if (rows.empty()) return std::nullopt;
  const auto [name, first, last] = rows[0];
  Identity identity{.name = name, .range = {}};
  if (!absl::SimpleHexAtoi(first, &identity.range.first) ||
      !absl::SimpleHexAtoi(last, &identity.range.last)) {
    return absl::InternalError("the table shard holds no hexadecimal range");
  }
  return identity;
}

absl::Status FixIdentity(postgres::Connection& connection, const CallContext& context,
                         const Identity& identity) {
  SALDO_ASSIGN_OR_RETURN(std::optional<Identity> stored, ReadIdentity(connection, context));
  if (!stored.has_value()) {
    SALDO_RETURN_IF_ERROR(CheckContent(connection, context, identity));
    SALDO_RETURN_IF_ERROR(connection
                              .Query(context, kInsert, identity.name, Hex(identity.range.first),
                                     Hex(identity.range.last))
                              .status());
    SALDO_ASSIGN_OR_RETURN(stored, ReadIdentity(connection, context));
    if (!stored.has_value()) return absl::InternalError("the shard's identity was not stored");
  }
  return *stored == identity ? absl::OkStatus() : Differs(*stored, identity);
}

absl::Status CheckIdentity(postgres::Connection& connection, const CallContext& context,
                           const Identity& identity) {
  SALDO_ASSIGN_OR_RETURN(const std::optional<Identity> stored, ReadIdentity(connection, context));
  if (!stored.has_value() || *stored == identity) return absl::OkStatus();
  return Differs(*stored, identity);
}

}  // namespace saldo::shards
