#include "server/accounts/reading/selection.h"

#include <algorithm>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/status_macros.h"
#include "common/base/strings.h"

namespace saldo::accounts {
namespace {

std::optional<size_t> IndexOf(const AccountType& type, std::string_view name) {
  for (size_t i = 0; i < type.auxiliary.size(); ++i) {
    if (type.auxiliary[i].name == name) return i;
  }
  return std::nullopt;
}

std::string AttributeNames(const AccountType& type) {
  if (type.auxiliary.empty()) return absl::StrCat("the type ", type.name, " has none");
  return absl::StrCat("the type ", type.name, " has ",
                      absl::StrJoin(type.auxiliary, ", ",
                                    [](std::string* out, const auto& a) { out->append(a.name); }));
}

std::string GroupingNames(const AccountType& type) {
  if (type.groupings.empty()) return "this type has none";
  return absl::StrCat(
      "this type has ",
      absl::StrJoin(type.groupings, ", ", [&](std::string* out, const Grouping& grouping) {
        absl::StrAppend(out, "[",
                        absl::StrJoin(grouping, ", ",
                                      [&](std::string* inner, size_t index) {
                                        inner->append(type.auxiliary[index].name);
                                      }),
                        "]");
      }));
}

bool IsAllowed(const AccountType& type, const Grouping& sorted) {
  return std::any_of(type.groupings.begin(), type.groupings.end(), [&](Grouping grouping) {
    std::sort(grouping.begin(), grouping.end());
    return grouping == sorted;
  });
}

absl::Status TooLarge() {
  return absl::OutOfRangeError("a sum is larger than can be shown: 20 digits before the point");
}

}  // namespace

CheckedSelection CheckSelection(std::string_view field, const AccountType& type,
                                const v1::Selection& selection, rpc::BadRequestBuilder& bad) {
  CheckedSelection checked;
  bool known = true;
  for (int i = 0; i < selection.group_by_size(); ++i) {
    const std::string path = absl::StrCat(AsAbsl(field), ".group_by[", i, "]");
    const std::optional<size_t> index = IndexOf(type, selection.group_by(i));
    if (!index.has_value()) {
      bad.Add(path, absl::StrCat("is no auxiliary attribute: ", AttributeNames(type)));
      known = false;
    } else if (std::find(checked.group_by.begin(), checked.group_by.end(), *index) !=
               checked.group_by.end()) {
      bad.Add(path, "names an attribute a second time");
      known = false;
    } else {
      checked.group_by.push_back(*index);
    }
  }
  std::sort(checked.group_by.begin(), checked.group_by.end());
  if (known && !checked.group_by.empty() && !IsAllowed(type, checked.group_by)) {
    bad.Add(absl::StrCat(AsAbsl(field), ".group_by"),
            absl::StrCat("is not a grouping that the type allows: ", GroupingNames(type)));
  }
  checked.filter =
      CheckFilter(absl::StrCat(AsAbsl(field), ".filter"), type, selection.filter(), bad);
  return checked;
}

std::vector<AttributeFilter> CheckFilter(std::string_view field, const AccountType& type,
                                         const keys::ValueMap& filter,
                                         rpc::BadRequestBuilder& bad) {
  std::vector<AttributeFilter> checked;
  bool known = true;
  for (const auto& [name, value] : filter) {
    const std::optional<size_t> index = IndexOf(type, name);
    if (!index.has_value()) {
      known = false;
      continue;
    }
    std::optional<std::string> encoded = keys::EncodeValue(absl::StrCat(AsAbsl(field), ".", name),
                                                           type.auxiliary[*index], value, bad);
    if (encoded.has_value()) checked.push_back({*index, *std::move(encoded)});
  }
  if (!known)
    bad.Add(field, absl::StrCat("may only hold auxiliary attributes: ", AttributeNames(type)));
  // A map has no order.
  std::sort(checked.begin(), checked.end(),
            [](const auto& a, const auto& b) { return a.index < b.index; });
  return checked;
}

bool Sums::Add(const Sums& other) {
  return Decimal::Add(debit, other.debit, &debit) && Decimal::Add(credit, other.credit, &credit);
}

bool Sums::Subtract(const Sums& other) {
  return Decimal::Subtract(debit, other.debit, &debit) &&
         Decimal::Subtract(credit, other.credit, &credit);
}

absl::StatusOr<Decimal> BalanceOf(const Sums& sums) {
  Decimal balance;
  if (!Decimal::Subtract(sums.credit, sums.debit, &balance)) return TooLarge();
  return balance;
}

GroupValues GroupOf(const Grouping& grouping, std::string_view attributes) {
  GroupValues values;
  if (grouping.empty()) return values;
  const std::vector<std::string_view> all = keys::SplitValues(attributes);
  for (const size_t index : grouping)
    values.emplace_back(index < all.size() ? all[index] : std::string_view());
  return values;
}

void ShowGroup(const AccountType& type, const Grouping& grouping, const GroupValues& values,
               keys::ValueMap* shown) {
  for (size_t i = 0; i < grouping.size(); ++i)
    (*shown)[type.auxiliary[grouping[i]].name] = values[i];
}

GroupedSums::GroupedSums(Grouping grouping, size_t moments)
    : grouping_(std::move(grouping)), moments_(moments) {
  if (grouping_.empty()) groups_[{}].resize(moments_);
}

absl::Status GroupedSums::Add(std::string_view attributes, size_t moment, const Sums& sums) {
  std::vector<Sums>& group = groups_[GroupOf(grouping_, attributes)];
  group.resize(moments_);
  return group[moment].Add(sums) ? absl::OkStatus() : TooLarge();
}

}  // namespace saldo::accounts
