// Account types, requests and a naive model for the tests of reading.
#pragma once

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/rpc/timestamps.h"
#include "saldo/v1/account_service.pb.h"
#include "server/accounts/reading/reader.h"
#include "server/accounts/types/account_type.h"
#include "tests/server/accounts/aggregation/ledger_database.h"

namespace saldo::accounts {

// With the key attribute client, and the auxiliary attributes product and region, which may be
// grouped by product, or by both.
inline AccountType TestType(int32_t id, const std::string& name) {
  AccountType type;
  type.id = id;
  type.name = name;
  type.key = {{.name = "client", .kind = AttributeKind::kInteger}};
  type.auxiliary = {{.name = "product"}, {.name = "region"}};
  type.asset_constant = "RUB";
  type.groupings = {{0}, {0, 1}};
  type.scale = 2;
  return type;
}

inline v1::AccountKey Key(const std::string& type, const std::string& client) {
  v1::AccountKey key;
  key.set_type(type);
  (*key.mutable_key())["client"] = client;
  return key;
}

inline v1::Moment At(absl::Time time) {
  v1::Moment moment;
  *moment.mutable_time() = rpc::ToTimestamp(time);
  return moment;
}
inline v1::Moment AtDay(const std::string& day) {
  v1::Moment moment;
  moment.set_day(day);
  return moment;
}

// An event as the model has it.
struct ModelEvent {
  int32_t type;
  std::string client;
  std::string product;
  std::string region;
  absl::Time at;
  bool credit;
  Decimal amount;
  int64_t batch = 0;
  int32_t ordinal = 0;
};

using Filter = std::map<std::string, std::string>;

inline bool Passes(const ModelEvent& event, int32_t type, const std::string& client,
                   const Filter& filter) {
  const auto is = [&](const char* name, const std::string& value) {
    const auto wanted = filter.find(name);
    return wanted == filter.end() || wanted->second == value;
  };
  return event.type == type && event.client == client && is("product", event.product) &&
         is("region", event.region);
}

// "product=a region=b", of the attributes that are grouped by.
inline std::string GroupText(const ModelEvent& event, const std::vector<std::string>& group_by) {
  std::string text;
  for (const std::string& name : group_by)
    absl::StrAppend(&text, name, "=", name == "product" ? event.product : event.region, " ");
  return text;
}
template <typename Message>
std::string GroupText(const Message& message) {
  const std::map<std::string, std::string> sorted(message.attributes().begin(),
                                                  message.attributes().end());
  std::string text;
  for (const auto& [name, value] : sorted) absl::StrAppend(&text, name, "=", value, " ");
  return text;
}

// Sums by group of events that `wanted` picks.
template <typename Wanted>
std::map<std::string, Sums> NaiveSums(const std::vector<ModelEvent>& events,
                                      const std::vector<std::string>& group_by,
                                      const Wanted& wanted) {
  std::map<std::string, Sums> sums;
  if (group_by.empty()) sums[""];
  for (const ModelEvent& event : events) {
    if (!wanted(event)) continue;
    const Sums one = event.credit ? Sums{{}, event.amount} : Sums{event.amount, {}};
    if (!sums[GroupText(event, group_by)].Add(one)) throw std::runtime_error("overflow");
  }
  return sums;
}

inline std::string Text(Decimal value) { return value.ToString(2); }
inline std::string BalanceText(const Sums& sums) { return Text(BalanceOf(sums).value()); }

}  // namespace saldo::accounts
