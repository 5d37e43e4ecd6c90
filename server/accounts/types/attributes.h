// What is told of an account by its type and its encoded key. Pure.
#pragma once

#include <string>
#include <string_view>

#include "server/accounts/types/account_type.h"

namespace saldo::accounts {

// What the account's amounts are counted in.
std::string AssetOf(const AccountType& type, std::string_view encoded_key);

// "taxi_commission{client_id=17, currency=RUB}", for people.
std::string DescribeAccount(const AccountType& type, std::string_view encoded_key);

}  // namespace saldo::accounts
