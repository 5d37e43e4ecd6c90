// Which subaccounts a question is about, and how their sums are put together. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/base/decimal.h"
#include "common/rpc/errors.h"
#include "saldo/v1/account_service.pb.h"
#include "server/accounts/types/account_type.h"
#include "server/accounts/types/attributes.h"

namespace saldo::accounts {

struct AttributeFilter {
  size_t index;       // into AccountType::auxiliary
  std::string value;  // as the database keeps it
};

struct CheckedSelection {
  Grouping group_by;  // ascending; empty for the whole account
  std::vector<AttributeFilter> filter;
};

// Adds to `bad`, under `field`, what is unknown or not allowed; the result is then meaningless.
CheckedSelection CheckSelection(std::string_view field, const AccountType& type,
                                const v1::Selection& selection, rpc::BadRequestBuilder& bad);
std::vector<AttributeFilter> CheckFilter(std::string_view field, const AccountType& type,
                                         const keys::ValueMap& filter, rpc::BadRequestBuilder& bad);

struct Sums {
  Decimal debit;
  Decimal credit;

  // False when the result is beyond what a Decimal holds.
  [[nodiscard]] bool Add(const Sums& other);
  [[nodiscard]] bool Subtract(const Sums& other);
  bool IsZero() const { return debit.IsZero() && credit.IsZero(); }
};
// Credits - debits, or OUT_OF_RANGE.
absl::StatusOr<Decimal> BalanceOf(const Sums& sums);

// The values that a subaccount is grouped by, in the order of Grouping.
using GroupValues = std::vector<std::string>;
GroupValues GroupOf(const Grouping& grouping, std::string_view attributes);
// name -> value
void ShowGroup(const AccountType& type, const Grouping& grouping, const GroupValues& values,
               keys::ValueMap* shown);

// Sums by group, of one account at some moments. The whole account is one group, with or without
// events.
class GroupedSums {
 public:
  GroupedSums(Grouping grouping, size_t moments);

  // OUT_OF_RANGE when the sum is beyond what a Decimal holds.
  absl::Status Add(std::string_view attributes, size_t moment, const Sums& sums);

  const Grouping& grouping() const { return grouping_; }
  // By their values; one Sums a moment.
  const std::map<GroupValues, std::vector<Sums>>& groups() const { return groups_; }

 private:
  const Grouping grouping_;
  const size_t moments_;
  std::map<GroupValues, std::vector<Sums>> groups_;
};

}  // namespace saldo::accounts
