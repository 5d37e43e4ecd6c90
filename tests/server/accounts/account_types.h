// Account types for tests: as configuration would make them, and as the database knows them.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "server/accounts/types/account_type.h"
#include "tests/support/test_servers.h"

namespace saldo::accounts {

inline Decimal D(const std::string& text) { return *Decimal::Parse(text); }

// fee{client_id, currency} by {product}: without limits.
inline AccountType FeeType() {
  AccountType type;
  type.id = 1;
  type.name = "fee";
  type.key = {{"client_id", AttributeKind::kInteger, 64}, {"currency", AttributeKind::kString, 16}};
  type.auxiliary = {{"product", AttributeKind::kString, 32},
                    {"region", AttributeKind::kString, 32}};
  type.asset_key_index = 1;
  type.groupings = {{0}, {1}, {0, 1}};
  type.sharding = {0};
  type.topic = "fee-events";
  return type;
}

// wallet{client_id, currency}: never below zero, at most 1000.
inline AccountType WalletType() {
  AccountType type;
  type.id = 2;
  type.name = "wallet";
  type.key = {{"client_id", AttributeKind::kInteger, 64}, {"currency", AttributeKind::kString, 16}};
  type.asset_key_index = 1;
  type.sharding = {0};
  type.min_balance = D("0");
  type.max_balance = D("1000");
  type.keeps_balance = true;
  type.topic = "wallet-events";
  return type;
}

inline std::shared_ptr<const AccountTypes> TestTypes() {
  return std::make_shared<const AccountTypes>(std::vector<AccountType>{FeeType(), WalletType()});
}

// The rows of TestTypes, their partitions, and a ledger in this time zone.
inline void StoreTestTypes(const testing::TestDatabase& database,
                           const std::string& time_zone = "UTC") {
  database.Query(
      "INSERT INTO ledger (time_zone) VALUES ('" + time_zone +
      "'); "
      "INSERT INTO account_types (name, key_attributes, auxiliary_attributes, "
      "sharding_attributes, asset_attribute, scale, keeps_balance, retention) VALUES "
      "('fee', '{client_id integer,currency string}', '{product string,region string}', "
      "'{client_id}', 'currency', 2, false, '400 days'), "
      "('wallet', '{client_id integer,currency string}', '{}', '{client_id}', 'currency', 2, "
      "true, '400 days'); "
      "SELECT add_event_partitions(type_id) FROM account_types");
}

}  // namespace saldo::accounts
