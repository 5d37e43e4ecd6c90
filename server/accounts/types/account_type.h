// What an account type is. Types come from a file (types_file.h), are compared with those that the
// database was used with (compatibility.h) and handed out as one immutable set (registry.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/time/time.h"
#include "common/base/decimal.h"
#include "server/keys/attributes.h"

namespace saldo::accounts {

using keys::Attribute;
using keys::AttributeKind;

// Indexes into AccountType::auxiliary, in their order.
using Grouping = std::vector<size_t>;

struct AccountType {
  int32_t id = 0;            // in the database
  int32_t redefinition = 0;  // there too: see the column account_types.redefinition
  std::string name;
  std::vector<Attribute> key;
  std::vector<Attribute> auxiliary;
  // What is counted: the value of this key attribute or, when there is none, a constant.
  std::optional<size_t> asset_key_index;
  std::string asset_constant;
  // The ways in which balances may be summed up. The whole account is always one and not listed.
  std::vector<Grouping> groupings;
  std::vector<size_t> sharding;  // indexes into `key`
  int scale = 2;                 // digits after the point that an amount may have
  std::optional<Decimal> min_balance;
  std::optional<Decimal> max_balance;
  // Whether each account's balance is stored: it has limits, or had them once.
  bool keeps_balance = false;
  // Part of the program, written through a service of its own and not by WriteEvents.
  bool built_in = false;
  // Accounts are there only once they were opened, see WriteRequest::openings.
  bool opened = false;
  std::string topic;  // Kafka's, of the type's events
  // How long events are kept, counted from when they were written.
  absl::Duration retention = absl::Hours(24 * 400);
};

// All types of one moment. Immutable, so that a request works with one set from start to end.
class AccountTypes {
 public:
  // Names are unique, and so are ids other than 0.
  explicit AccountTypes(std::vector<AccountType> types);
  AccountTypes(AccountTypes&&) = default;
  AccountTypes& operator=(AccountTypes&&) = default;
  // What has been found points into this set.
  AccountTypes(const AccountTypes&) = delete;
  AccountTypes& operator=(const AccountTypes&) = delete;

  const std::vector<AccountType>& all() const { return types_; }
  // nullptr when there is none.
  const AccountType* Find(std::string_view name) const;
  const AccountType* Find(int32_t id) const;

 private:
  std::vector<AccountType> types_;
  absl::flat_hash_map<std::string, const AccountType*> by_name_;
  absl::flat_hash_map<int32_t, const AccountType*> by_id_;
};

}  // namespace saldo::accounts
