// Which changes of a configured account type fit what is stored under it. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "server/accounts/types/account_type.h"
#include "server/accounts/types/faults.h"

namespace saldo::accounts {

// A type as the database was last used with it.
struct StoredType {
  int32_t id = 0;
  std::string name;
  std::vector<std::string> key;        // definitions, see DefinitionOf
  std::vector<std::string> auxiliary;  // definitions
  std::vector<std::string> sharding;   // names, in the order of the key
  std::optional<std::string> asset_attribute;
  std::optional<std::string> asset_constant;
  int scale = 0;
  bool keeps_balance = false;
  int32_t redefinition = 0;
  // Without accounts nothing is stored that a change could break.
  bool has_accounts = false;
};

// What forbids using what is stored with the type as it is configured now, each fault with its
// reason.
Faults FaultsOfChange(const StoredType& stored, const AccountType& configured);

// Whether it is another type under the same name: accounts, if there were any, would forbid it.
bool IsRedefinition(const StoredType& stored, const AccountType& configured);

// What forbids that a type is configured no more.
Faults FaultsOfRemoval(const StoredType& stored);

// Whether balances are stored from now on. A type that has kept them goes on, even without limits:
// they could not be taken up again later.
bool KeepsBalance(const StoredType& stored, const AccountType& configured);

}  // namespace saldo::accounts
