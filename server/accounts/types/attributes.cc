#include "server/accounts/types/attributes.h"

#include <vector>

namespace saldo::accounts {

std::string AssetOf(const AccountType& type, std::string_view encoded_key) {
  if (!type.asset_key_index.has_value()) return type.asset_constant;
  const std::vector<std::string_view> values = keys::SplitValues(encoded_key);
  const size_t index = *type.asset_key_index;
  return index < values.size() ? std::string(values[index]) : std::string();
}

std::string DescribeAccount(const AccountType& type, std::string_view encoded_key) {
  return keys::Describe(type.name, type.key, encoded_key);
}

}  // namespace saldo::accounts
