// The ids of accounts and subaccounts that a writer knows, so that it asks the database only for
// those that it meets for the first time. Ids never change and accounts are never removed. Of one
// thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/container/flat_hash_map.h"

namespace saldo::accounts {

class AccountIds {
 public:
  struct Ids {
    int64_t account;
    std::optional<int64_t> subaccount;  // unknown yet
  };
  // Nothing when not even the account is known. `key` and `attributes` are encoded.
  std::optional<Ids> Find(int32_t type_id, std::string_view key, std::string_view attributes) const;

  void Learn(int32_t type_id, std::string_view key, int64_t account_id);
  void Learn(int32_t type_id, std::string_view key, std::string_view attributes, int64_t account_id,
             int64_t subaccount_id);
  void Forget();

  // What is kept, at about 200 bytes each.
  size_t subaccounts() const { return subaccounts_; }

 private:
  struct Account {
    int64_t id;
    absl::flat_hash_map<std::string, int64_t> subaccounts;
  };
  Account& AccountOf(int32_t type_id, std::string_view key, int64_t account_id);

  // By type, then by key.
  absl::flat_hash_map<int32_t, absl::flat_hash_map<std::string, std::unique_ptr<Account>>> types_;
  size_t subaccounts_ = 0;
};

}  // namespace saldo::accounts
