#include "cli/verify/placement.h"

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "common/base/status_macros.h"
#include "common/base/strings.h"
#include "common/postgres/result.h"

namespace saldo::cli::verify {
namespace {

using postgres::Result;
using postgres::Statement;

// Types answer: name, the names of the key's attributes, those that it is sharded by. A page
// answers the keys of the type $1 that follow $2, which is NULL at first.
constexpr Statement kAccountTypes{
    "verify.placed_account_types",
    "SELECT name, ARRAY(SELECT split_part(k, ' ', 1) FROM unnest(key_attributes) WITH ORDINALITY"
    " AS u (k, n) ORDER BY n), sharding_attributes FROM account_types"};
constexpr Statement kAccounts{
    "verify.placed_accounts",
    "SELECT key FROM accounts WHERE type_id = (SELECT type_id FROM account_types WHERE name = $1)"
    " AND ($2::text IS NULL OR key > $2) ORDER BY key LIMIT 20000"};

#define SALDO_KEYED_TYPES(kind)                                                                   \
  "SELECT name, ARRAY(SELECT split_part(k, ' ', 1) FROM unnest(key_attributes) WITH"              \
  " ORDINALITY AS u (k, n) ORDER BY n), sharding_attributes FROM keyed_types WHERE kind = '" kind \
  "'"
#define SALDO_KEYED_PAGE(table)                                      \
  "SELECT key FROM " table                                           \
  " WHERE type = $1 AND ($2::text IS NULL OR key > $2) ORDER BY key" \
  " LIMIT 20000"
constexpr Statement kLockTypes{"verify.placed_lock_types", SALDO_KEYED_TYPES("lock")};
constexpr Statement kLocks{"verify.placed_locks", SALDO_KEYED_PAGE("locks")};
constexpr Statement kStateTypes{"verify.placed_state_types", SALDO_KEYED_TYPES("state")};
constexpr Statement kStates{"verify.placed_states", SALDO_KEYED_PAGE("states")};

constexpr Placed kAll[] = {{"account placement", "accounts", kAccountTypes, kAccounts},
                           {"lock placement", "locks", kLockTypes, kLocks},
                           {"state placement", "states", kStateTypes, kStates}};

struct Type {
  std::vector<std::string> key;
  std::vector<size_t> sharding;  // indexes into `key`
};
using Types = std::map<std::string, Type>;

absl::StatusOr<Types> ReadTypes(postgres::Transaction& tx, const Statement& statement) {
  SALDO_ASSIGN_OR_RETURN(Result result, tx.Query(statement));
  SALDO_ASSIGN_OR_RETURN(
      const auto rows,
      (std::move(result)
           .As<std::string, std::vector<std::string_view>, std::vector<std::string_view>>()));
  Types types;
  for (const auto& [name, key, sharding] : rows) {
    Type& type = types[name];
    type.key.assign(key.begin(), key.end());
    for (const std::string_view attribute : sharding) {
      const auto found = std::find(key.begin(), key.end(), attribute);
      type.sharding.push_back(static_cast<size_t>(found - key.begin()));
    }
  }
  return types;
}

// Values that a key of before has not are empty.
std::string_view ValueAt(const std::vector<std::string_view>& values, size_t index) {
  return index < values.size() ? values[index] : std::string_view();
}

std::vector<std::string_view> Split(std::string_view key) {
  std::vector<std::string_view> values;
  for (const absl::string_view value : absl::StrSplit(AsAbsl(key), '\x1f'))
    values.emplace_back(value.data(), value.size());
  return values;
}

std::string Describe(const std::string& name, const Type& type,
                     const std::vector<std::string_view>& values) {
  std::vector<std::string> pairs;
  for (size_t i = 0; i < type.key.size(); ++i)
    pairs.push_back(absl::StrCat(type.key[i], "=", AsAbsl(ValueAt(values, i))));
  return absl::StrCat(name, "{", absl::StrJoin(pairs, ", "), "}");
}

struct Place {
  const shards::ShardMap& map;
  size_t shard;
};

void CheckOne(const std::string& name, const Type& type, std::string_view key, const Place& place,
              Finding* finding) {
  ++finding->checked;
  const std::vector<std::string_view> values = Split(key);
  std::vector<std::string_view> sharding;
  for (const size_t index : type.sharding) sharding.push_back(ValueAt(values, index));
  const size_t owner = place.map.Of(shards::ShardingKey(sharding));
  if (owner == place.shard || ++finding->wrong > 1) return;
  finding->first = absl::StrCat(Describe(name, type, values), " is here, and belongs on shard ",
                                place.map.name(owner));
}

absl::Status CheckType(postgres::Transaction& tx, const Statement& page, const std::string& name,
                       const Type& type, const Place& place, Finding* finding) {
  std::optional<std::string> last;
  while (true) {
    SALDO_ASSIGN_OR_RETURN(Result result, tx.Query(page, name, last));
    SALDO_ASSIGN_OR_RETURN(const auto rows, (std::move(result).As<std::string>()));
    if (rows.empty()) return absl::OkStatus();
    for (const auto& [key] : rows) {
      CheckOne(name, type, key, place, finding);
      last = key;
    }
  }
}

}  // namespace

absl::Span<const Placed> AllPlaced() { return kAll; }

absl::StatusOr<Finding> CheckPlacement(postgres::Transaction& tx, const Placed& placed,
                                       const shards::ShardMap& map, size_t shard) {
  SALDO_ASSIGN_OR_RETURN(const Types types, ReadTypes(tx, placed.types));
  Finding finding;
  for (const auto& [name, type] : types)
    SALDO_RETURN_IF_ERROR(CheckType(tx, placed.page, name, type, {map, shard}, &finding));
  return finding;
}

}  // namespace saldo::cli::verify
