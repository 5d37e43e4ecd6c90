#include "server/accounts/writing/account_ids.h"

#include "common/base/strings.h"

namespace saldo::accounts {

std::optional<AccountIds::Ids> AccountIds::Find(int32_t type_id, std::string_view key,
                                                std::string_view attributes) const {
  const auto type = types_.find(type_id);
  if (type == types_.end()) return std::nullopt;
  const auto account = type->second.find(AsAbsl(key));
  if (account == type->second.end()) return std::nullopt;
  Ids ids{.account = account->second->id, .subaccount = std::nullopt};
  const auto subaccount = account->second->subaccounts.find(AsAbsl(attributes));
  if (subaccount != account->second->subaccounts.end()) ids.subaccount = subaccount->second;
  return ids;
}

AccountIds::Account& AccountIds::AccountOf(int32_t type_id, std::string_view key,
                                           int64_t account_id) {
  std::unique_ptr<Account>& account = types_[type_id][AsAbsl(key)];
  if (account == nullptr) account = std::make_unique<Account>(Account{account_id, {}});
  return *account;
}

void AccountIds::Learn(int32_t type_id, std::string_view key, int64_t account_id) {
  AccountOf(type_id, key, account_id);
}

void AccountIds::Learn(int32_t type_id, std::string_view key, std::string_view attributes,
                       int64_t account_id, int64_t subaccount_id) {
  Account& account = AccountOf(type_id, key, account_id);
  if (account.subaccounts.try_emplace(AsAbsl(attributes), subaccount_id).second) ++subaccounts_;
}

void AccountIds::Forget() {
  types_.clear();
  subaccounts_ = 0;
}

}  // namespace saldo::accounts
