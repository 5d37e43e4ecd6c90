#include "server/accounts/types/types_file.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/config/load.h"
#include "server/accounts/types/faults.h"
#include "server/accounts/types/type_rules.h"
#include "server/keys/definition.h"
#include "server/keys/keyed_types_file.h"

namespace saldo::accounts {
namespace {

using internal::TypeEntry;

using keys::BindAttribute;

// What is left open here is checked by BuildTypes.
constexpr config::LengthRange kText = keys::kDefinitionText;

void BindType(config::Binder& binder, TypeEntry& entry) {
  binder.String("name", &entry.name, kText, "Its name in requests");
  binder.List("key", &entry.key, {.min = 1, .max = keys::kAttributesMax}, BindAttribute,
              "What tells accounts apart");
  binder.List("auxiliary", &entry.auxiliary, {.min = 0, .max = keys::kAttributesMax}, BindAttribute,
              "What events of an account are told apart by");
  binder.String("asset", &entry.asset, kText, "The key attribute that says what is counted");
  binder.String("asset_constant", &entry.asset_constant, kText,
                "What is counted, where the key does not say it");
  binder.StringList("groupings", &entry.groupings, {.min = 0, .max = 64},
                    "Sets of auxiliary attributes that balances are summed up by, such as "
                    "\"product, region\"");
  binder.StringList("sharding", &entry.sharding, {.min = 0, .max = keys::kAttributesMax},
                    "The key attributes that choose the shard; all by default");
  binder.Int("scale", &entry.scale, {.min = 0, .max = 18}, "Digits after the point of an amount");
  binder.String("min_balance", &entry.min_balance, kText, "No event may bring an account below it");
  binder.String("max_balance", &entry.max_balance, kText, "No event may bring an account above it");
  binder.String("topic", &entry.topic, kText, "Kafka topic of its events");
  binder.Int("retention_days", &entry.retention_days, {.min = 1, .max = 36'525},
             "How long its events are kept");
}

absl::StatusOr<std::vector<AccountType>> Finish(const std::string& name,
                                                const std::vector<TypeEntry>& entries,
                                                Faults faults) {
  std::vector<AccountType> types = internal::BuildTypes(name, entries, faults);
  SALDO_RETURN_IF_ERROR(ToStatus(absl::StatusCode::kInvalidArgument, faults));
  return types;
}

auto BindTypes(std::vector<TypeEntry>& entries) {
  return [&entries](config::Binder& binder) {
    binder.List("types", &entries, {.min = 1, .max = kTypesMax}, BindType, "The account types");
    for (const std::string_view list : keys::kKeyedLists) binder.Ignore(list);
  };
}

}  // namespace

absl::StatusOr<std::vector<AccountType>> ReadTypes(const std::string& path) {
  std::vector<TypeEntry> entries;
  Faults faults = config::LoadFile(path, BindTypes(entries));
  return Finish(path, entries, std::move(faults));
}

absl::StatusOr<std::vector<AccountType>> ParseTypes(const std::string& name,
                                                    const std::string& yaml) {
  std::vector<TypeEntry> entries;
  Faults faults = config::LoadText(name, yaml, BindTypes(entries));
  return Finish(name, entries, std::move(faults));
}

absl::Status CheckTopics(const std::vector<AccountType>& types,
                         const std::vector<AccountType>& built_in) {
  Faults faults;
  for (const AccountType& type : types) {
    const auto owner = std::find_if(built_in.begin(), built_in.end(), [&](const AccountType& own) {
      return own.topic == type.topic;
    });
    if (owner == built_in.end()) continue;
    faults.push_back(absl::StrCat(type.name, ": topic: ", type.topic, " is that of ", owner->name,
                                  ", which is the program's own; give the type another topic"));
  }
  return ToStatus(absl::StatusCode::kInvalidArgument, faults);
}

absl::Status CheckRetention(const std::vector<AccountType>& types,
                            absl::Duration idempotency_retention) {
  Faults faults;
  for (const AccountType& type : types) {
    if (type.retention >= 2 * idempotency_retention) continue;
    faults.push_back(absl::StrCat(type.name, ": retention_days: ", type.retention / absl::Hours(24),
                                  " is less than twice ledger.idempotency_retention, ",
                                  absl::FormatDuration(idempotency_retention),
                                  ", for which a request id may be kept: the answer to a repeated "
                                  "request is read from its events"));
  }
  return ToStatus(absl::StatusCode::kInvalidArgument, faults);
}

}  // namespace saldo::accounts
