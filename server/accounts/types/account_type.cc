#include "server/accounts/types/account_type.h"

#include <utility>

#include "common/base/strings.h"

namespace saldo::accounts {

AccountTypes::AccountTypes(std::vector<AccountType> types) : types_(std::move(types)) {
  for (const AccountType& type : types_) {
    by_name_[type.name] = &type;
    if (type.id != 0) by_id_[type.id] = &type;
  }
}

const AccountType* AccountTypes::Find(std::string_view name) const {
  const auto found = by_name_.find(AsAbsl(name));
  return found == by_name_.end() ? nullptr : found->second;
}

const AccountType* AccountTypes::Find(int32_t id) const {
  const auto found = by_id_.find(id);
  return found == by_id_.end() ? nullptr : found->second;
}

}  // namespace saldo::accounts
