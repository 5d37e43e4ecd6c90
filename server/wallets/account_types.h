// The account types that wallets rest on. Built in: no types file defines them. Pure.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "server/accounts/types/account_type.h"
#include "server/wallets/config.h"

namespace saldo::wallets {

// saldo_wallet{wallet_id, currency}: a wallet's balance, within the limit of its own.
inline constexpr char kWalletType[] = "saldo_wallet";
// saldo_wallet_contra{wallet_id, currency, kind}: the other side of whatever moves it.
inline constexpr char kContraType[] = "saldo_wallet_contra";

enum class Contra {
  kHold,      // set aside
  kExternal,  // came in from outside, less what went out
  kTransit,   // debited, and not known to be credited on another shard
  kClearing,  // credited to other shards less what was credited from them
};
std::string_view NameOf(Contra kind);

std::vector<accounts::AccountType> BuiltInTypes(const WalletsConfig& config);

// Both types of one set, with their ids in one database.
struct WalletTypes {
  std::shared_ptr<const accounts::AccountTypes> all;
  const accounts::AccountType* wallet;
  const accounts::AccountType* contra;

  // `types` hold the built-in ones.
  static WalletTypes Of(std::shared_ptr<const accounts::AccountTypes> types);
};

// Encoded, see server/keys/attributes.h.
std::string WalletKey(std::string_view wallet_id, std::string_view currency);
std::string ContraKey(std::string_view wallet_id, std::string_view currency, Contra kind);

}  // namespace saldo::wallets
