// From the texts of a types file to an account type. Pure. Internal to this folder.
#pragma once

#include <string>
#include <vector>

#include "server/accounts/types/account_type.h"
#include "server/accounts/types/faults.h"

namespace saldo::accounts::internal {

// A type as the file gives it.
struct TypeEntry {
  std::string name;
  std::vector<Attribute> key;
  std::vector<Attribute> auxiliary;
  std::string asset;
  std::string asset_constant;
  std::vector<std::string> groupings;
  std::vector<std::string> sharding;
  int scale = 2;
  std::string min_balance;
  std::string max_balance;
  std::string topic;
  int retention_days = 400;
};

// The types, and what is wrong with them, each fault after `name` and the place of its type. A type
// with a fault is there all the same, incomplete.
std::vector<AccountType> BuildTypes(const std::string& name, const std::vector<TypeEntry>& entries,
                                    Faults& faults);

}  // namespace saldo::accounts::internal
