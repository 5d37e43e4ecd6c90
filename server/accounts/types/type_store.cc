#include "server/accounts/types/type_store.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <set>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/observability/log.h"
#include "server/accounts/types/compatibility.h"
#include "server/accounts/types/faults.h"
#include "server/keys/definition.h"

namespace saldo::accounts {
namespace {

// The lock's number spells "type". Each later statement of the transaction sees what the previous
// holder has committed.
constexpr postgres::Statement kLock{"account_types.lock",
                                    "SELECT pg_advisory_xact_lock(1954115685)"};
// Whoever writes events holds this lock shared while it relies on what a type is: whether there are
// accounts is only certain while nobody does.
constexpr postgres::Statement kKeepWritersOut{"account_types.keep_writers_out",
                                              "SELECT pg_advisory_xact_lock(2003985777)"};
constexpr postgres::Statement kRead{
    "account_types.read",
    "SELECT type_id, name, key_attributes, auxiliary_attributes, sharding_attributes, "
    "asset_attribute, asset_constant, scale, keeps_balance, redefinition, "
    "EXISTS (SELECT FROM accounts WHERE accounts.type_id = account_types.type_id) "
    "FROM account_types ORDER BY type_id"};
constexpr postgres::Statement kInsert{
    "account_types.insert",
    "INSERT INTO account_types (name, key_attributes, auxiliary_attributes, sharding_attributes, "
    "asset_attribute, asset_constant, scale, keeps_balance, retention) "
    "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, make_interval(hours => $9)) RETURNING type_id"};
constexpr postgres::Statement kUpdate{
    "account_types.update",
    "UPDATE account_types SET key_attributes = $2, auxiliary_attributes = $3, sharding_attributes "
    "= $4, asset_attribute = $5, asset_constant = $6, scale = $7, keeps_balance = $8, retention = "
    "make_interval(hours => $9), redefinition = redefinition + $10, updated_at = clock_timestamp() "
    "WHERE name = $1 AND (key_attributes, auxiliary_attributes, sharding_attributes, "
    "asset_attribute, asset_constant, scale, keeps_balance, retention) "
    "IS DISTINCT FROM ($2, $3, $4, $5, $6, $7, $8, make_interval(hours => $9))"};
constexpr postgres::Statement kAddPartitions{"account_types.add_partitions",
                                             "SELECT add_event_partitions($1)"};
constexpr postgres::Statement kKnowsZone{
    "ledger.knows_zone", "SELECT EXISTS (SELECT FROM pg_timezone_names WHERE name = $1)"};
constexpr postgres::Statement kReadZone{"ledger.read_zone", "SELECT time_zone FROM ledger"};
constexpr postgres::Statement kInsertZone{"ledger.insert_zone",
                                          "INSERT INTO ledger (time_zone) VALUES ($1)"};

using Texts = std::vector<std::string>;

Texts Copy(const std::vector<std::string_view>& views) { return {views.begin(), views.end()}; }

absl::StatusOr<std::vector<StoredType>> ReadStored(postgres::Transaction& tx) {
  SALDO_ASSIGN_OR_RETURN(postgres::Result result, tx.Query(kRead));
  using Views = std::vector<std::string_view>;
  using Text = std::optional<std::string>;
  SALDO_ASSIGN_OR_RETURN(const auto rows, (std::move(result)
                                               .As<int32_t, std::string, Views, Views, Views, Text,
                                                   Text, int32_t, bool, int32_t, bool>()));
  std::vector<StoredType> types;
  for (const auto& [id, name, key, auxiliary, sharding, asset, constant, scale, keeps, redefinition,
                    used] : rows) {
    types.push_back({.id = id,
                     .name = name,
                     .key = Copy(key),
                     .auxiliary = Copy(auxiliary),
                     .sharding = Copy(sharding),
                     .asset_attribute = asset,
                     .asset_constant = constant,
                     .scale = scale,
                     .keeps_balance = keeps,
                     .redefinition = redefinition,
                     .has_accounts = used});
  }
  return types;
}

// Those of kInsert, and of kUpdate but for its last.
postgres::Params ParamsOf(const AccountType& type) {
  std::optional<std::string> asset, constant;
  if (type.asset_key_index.has_value()) {
    asset = type.key[*type.asset_key_index].name;
  } else {
    constant = type.asset_constant;
  }
  return postgres::Params::Of(
      type.name, keys::DefinitionsOf(type.key), keys::DefinitionsOf(type.auxiliary),
      keys::NamesOf(type.key, type.sharding), asset, constant, static_cast<int32_t>(type.scale),
      type.keeps_balance, static_cast<int32_t>(type.retention / absl::Hours(1)));
}

const StoredType* FindStored(const std::vector<StoredType>& stored, const std::string& name) {
  const auto found = std::find_if(stored.begin(), stored.end(),
                                  [&](const StoredType& type) { return type.name == name; });
  return found == stored.end() ? nullptr : &*found;
}

absl::Status CheckChanges(const std::vector<StoredType>& stored,
                          const std::vector<AccountType>& configured) {
  Faults faults;
  std::set<std::string> names;
  for (const AccountType& type : configured) {
    names.insert(type.name);
    const StoredType* const before = FindStored(stored, type.name);
    if (before == nullptr) continue;
    for (std::string& fault : FaultsOfChange(*before, type)) faults.push_back(std::move(fault));
  }
  for (const StoredType& type : stored) {
    if (names.count(type.name) > 0) continue;
    for (std::string& fault : FaultsOfRemoval(type)) faults.push_back(std::move(fault));
  }
  return ToStatus(absl::StatusCode::kFailedPrecondition, faults);
}

absl::Status Insert(postgres::Transaction& tx, AccountType& type) {
  SALDO_ASSIGN_OR_RETURN(postgres::Result result, tx.QueryParams(kInsert, ParamsOf(type)));
  SALDO_ASSIGN_OR_RETURN(const auto row, std::move(result).One<int32_t>());
  type.id = std::get<0>(row);
  return tx.Defer(kAddPartitions, type.id);
}

absl::Status SyncIn(postgres::Transaction& tx, std::vector<AccountType>& types) {
  SALDO_RETURN_IF_ERROR(tx.Query(kLock).status());
  SALDO_RETURN_IF_ERROR(tx.Query(kKeepWritersOut).status());
  SALDO_ASSIGN_OR_RETURN(const std::vector<StoredType> stored, ReadStored(tx));
  SALDO_RETURN_IF_ERROR(CheckChanges(stored, types));
  for (AccountType& type : types) {
    const StoredType* const before = FindStored(stored, type.name);
    if (before == nullptr) {
      SALDO_RETURN_IF_ERROR(Insert(tx, type));
      continue;
    }
    type.id = before->id;
    type.keeps_balance = KeepsBalance(*before, type);
    const int32_t redefined = IsRedefinition(*before, type) ? 1 : 0;
    type.redefinition = before->redefinition + redefined;
    postgres::Params params = ParamsOf(type);
    params.Add(redefined);
    SALDO_RETURN_IF_ERROR(tx.DeferParams(kUpdate, params));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<AccountType>> TypeStore::Sync(
    const CallContext& context, const std::vector<AccountType>& configured) {
  std::vector<AccountType> types;
  SALDO_RETURN_IF_ERROR(pool_.Transact(context, {.name = "account_types.sync"},
                                       [&](postgres::Transaction& tx) -> absl::Status {
                                         types = configured;
                                         return SyncIn(tx, types);
                                       }));
  return types;
}

absl::Status TypeStore::FixTimeZone(const CallContext& context, const std::string& time_zone) {
  const auto fix = [&](postgres::Transaction& tx) -> absl::Status {
    SALDO_RETURN_IF_ERROR(tx.Query(kLock).status());
    SALDO_ASSIGN_OR_RETURN(postgres::Result result, tx.Query(kReadZone));
    SALDO_ASSIGN_OR_RETURN(const auto rows, std::move(result).As<std::string_view>());
    if (!rows.empty()) {
      const std::string stored(std::get<0>(rows[0]));
      if (stored == time_zone) return absl::OkStatus();
      return absl::FailedPreconditionError(
          absl::StrCat("ledger.time_zone is ", time_zone, ", but the ledger's days begin in ",
                       stored, " since its first start, and turnovers are stored by day"));
    }
    SALDO_ASSIGN_OR_RETURN(postgres::Result known, tx.Query(kKnowsZone, time_zone));
    SALDO_ASSIGN_OR_RETURN(const auto row, std::move(known).One<bool>());
    if (!std::get<0>(row)) {
      return absl::InvalidArgumentError(
          absl::StrCat("ledger.time_zone: PostgreSQL does not know the time zone ", time_zone));
    }
    return tx.Defer(kInsertZone, time_zone);
  };
  return pool_.Transact(context, {.name = "ledger.fix_time_zone"}, fix);
}

}  // namespace saldo::accounts
