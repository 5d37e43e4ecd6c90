#include "server/keys/keyed_type_store.h"

#include <map>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "common/base/status_macros.h"
#include "common/base/strings.h"
#include "common/rpc/errors.h"
#include "server/keys/definition.h"
#include "server/keys/faults.h"

namespace saldo::keys {
namespace {

// The lock of account types, see accounts/types: one change of types at a time.
constexpr postgres::Statement kLock{"keyed_types.lock", "SELECT pg_advisory_xact_lock(1954115685)"};
// Against kHoldTypes: whether something is stored is only certain while nobody writes.
constexpr postgres::Statement kKeepWritersOut{"keyed_types.keep_writers_out",
                                              "SELECT pg_advisory_xact_lock(2003985777)"};
constexpr postgres::Statement kRead{
    "keyed_types.read",
    "SELECT kind, name, key_attributes, sharding_attributes, redefinition FROM keyed_types "
    "ORDER BY kind, name"};
constexpr postgres::Statement kPut{
    "keyed_types.put",
    "INSERT INTO keyed_types AS t (kind, name, key_attributes, sharding_attributes) "
    "VALUES ($1, $2, $3, $4) ON CONFLICT (kind, name) DO UPDATE SET "
    "key_attributes = excluded.key_attributes, sharding_attributes = excluded.sharding_attributes, "
    "redefinition = t.redefinition + 1, updated_at = clock_timestamp()"};

constexpr absl::Duration kRedefinedRetry = absl::Seconds(1);

using Key = std::pair<std::string, std::string>;  // kind and name

struct Stored {
  std::vector<std::string> key;       // definitions, see DefinitionOf
  std::vector<std::string> sharding;  // names, in the order of the key
  int32_t redefinition = 0;
};

absl::StatusOr<std::map<Key, Stored>> ReadStored(postgres::Transaction& tx) {
  SALDO_ASSIGN_OR_RETURN(postgres::Result result, tx.Query(kRead));
  using Views = std::vector<std::string_view>;
  SALDO_ASSIGN_OR_RETURN(const auto rows,
                         (std::move(result).As<std::string, std::string, Views, Views, int32_t>()));
  std::map<Key, Stored> types;
  for (const auto& [kind, name, key, sharding, redefinition] : rows) {
    types[{kind, name}] = {.key = {key.begin(), key.end()},
                           .sharding = {sharding.begin(), sharding.end()},
                           .redefinition = redefinition};
  }
  return types;
}

absl::StatusOr<std::set<Key>> ReadUsed(postgres::Transaction& tx,
                                       const std::vector<KeyedTypeUse>& uses) {
  std::set<Key> used;
  for (const KeyedTypeUse& use : uses) {
    SALDO_ASSIGN_OR_RETURN(postgres::Result result, tx.Query(use.used_names));
    SALDO_ASSIGN_OR_RETURN(const auto rows, std::move(result).As<std::string>());
    for (const auto& [name] : rows) used.emplace(NameOf(use.kind), name);
  }
  return used;
}

std::string WhatOf(const std::vector<KeyedTypeUse>& uses, std::string_view kind) {
  for (const KeyedTypeUse& use : uses) {
    if (NameOf(use.kind) == kind) return std::string(use.what);
  }
  return std::string(kind);
}

Faults FaultsOfChange(const std::string& what, const Stored& stored, const KeyedType& type) {
  Faults faults;
  CompareAttributes(type.name, "key", what, stored.key, type.key, /*takes_new=*/false, faults);
  CompareSharding(type.name, what, stored.sharding, type.key, type.sharding, faults);
  return faults;
}

absl::Status CheckChanges(const std::vector<KeyedTypeUse>& uses,
                          const std::map<Key, Stored>& stored, const std::set<Key>& used,
                          const std::vector<KeyedType>& configured) {
  Faults faults;
  std::set<Key> names;
  for (const KeyedType& type : configured) {
    const Key key(NameOf(type.kind), type.name);
    names.insert(key);
    const auto before = stored.find(key);
    if (before == stored.end() || used.count(key) == 0) continue;
    for (std::string& fault : FaultsOfChange(WhatOf(uses, key.first), before->second, type))
      faults.push_back(std::move(fault));
  }
  for (const Key& key : used) {
    if (names.count(key) > 0) continue;
    faults.push_back(absl::StrCat(key.second, ": is not among the configured types of ", key.first,
                                  "s, but has ", WhatOf(uses, key.first)));
  }
  return ToStatus(absl::StatusCode::kFailedPrecondition, faults);
}

absl::Status SyncIn(postgres::Transaction& tx, const std::vector<KeyedTypeUse>& uses,
                    std::vector<KeyedType>& types) {
  SALDO_RETURN_IF_ERROR(tx.Query(kLock).status());
  SALDO_RETURN_IF_ERROR(tx.Query(kKeepWritersOut).status());
  SALDO_ASSIGN_OR_RETURN(const auto stored, ReadStored(tx));
  SALDO_ASSIGN_OR_RETURN(const auto used, ReadUsed(tx, uses));
  SALDO_RETURN_IF_ERROR(CheckChanges(uses, stored, used, types));
  for (KeyedType& type : types) {
    const auto before = stored.find(Key(NameOf(type.kind), type.name));
    if (before != stored.end()) {
      type.redefinition = before->second.redefinition;
      if (FaultsOfChange("", before->second, type).empty()) continue;
      ++type.redefinition;
    }
    SALDO_RETURN_IF_ERROR(tx.Defer(kPut, NameOf(type.kind), type.name, DefinitionsOf(type.key),
                                   NamesOf(type.key, type.sharding)));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckCurrent(const KeyedType& type, std::optional<int32_t> stored_redefinition) {
  if (stored_redefinition == type.redefinition) return absl::OkStatus();
  return rpc::WithRetryInfo(
      absl::UnavailableError(absl::StrCat("the ", AsAbsl(NameOf(type.kind)), " type ", type.name,
                                          " was redefined, which this server does not know yet")),
      kRedefinedRetry);
}

absl::StatusOr<std::vector<KeyedType>> KeyedTypeStore::Sync(
    const CallContext& context, const std::vector<KeyedType>& configured) {
  std::vector<KeyedType> types;
  SALDO_RETURN_IF_ERROR(pool_.Transact(context, {.name = "keyed_types.sync"},
                                       [&](postgres::Transaction& tx) -> absl::Status {
                                         types = configured;
                                         return SyncIn(tx, uses_, types);
                                       }));
  return types;
}

}  // namespace saldo::keys
