#include "server/wallets/account_types.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/strings.h"
#include "server/keys/attributes.h"

namespace saldo::wallets {
namespace {

constexpr absl::string_view kSeparator = "\x1f";
static_assert(keys::kSeparator == '\x1f');

}  // namespace

std::string_view NameOf(Contra kind) {
  switch (kind) {
    case Contra::kHold:
      return "hold";
    case Contra::kExternal:
      return "external";
    case Contra::kTransit:
      return "transit";
    case Contra::kClearing:
      return "clearing";
  }
  return "";
}

std::vector<accounts::AccountType> BuiltInTypes(const WalletsConfig& config) {
  accounts::AccountType wallet;
  wallet.name = kWalletType;
  wallet.key = {{.name = "wallet_id"}, {.name = "currency", .max_length = 16}};
  wallet.asset_key_index = 1;
  wallet.sharding = {0};
  wallet.scale = config.scale;
  wallet.keeps_balance = true;
  wallet.built_in = true;
  wallet.opened = true;
  wallet.topic = config.topic;
  wallet.retention = absl::Hours(24) * config.retention_days;

  accounts::AccountType contra = wallet;
  contra.name = kContraType;
  contra.key.push_back({.name = "kind", .max_length = 16});
  contra.keeps_balance = false;
  contra.opened = false;
  return {std::move(wallet), std::move(contra)};
}

WalletTypes WalletTypes::Of(std::shared_ptr<const accounts::AccountTypes> types) {
  const accounts::AccountType* wallet = types->Find(kWalletType);
  const accounts::AccountType* contra = types->Find(kContraType);
  return {std::move(types), wallet, contra};
}

std::string WalletKey(std::string_view wallet_id, std::string_view currency) {
  return absl::StrCat(AsAbsl(wallet_id), kSeparator, AsAbsl(currency));
}

std::string ContraKey(std::string_view wallet_id, std::string_view currency, Contra kind) {
  return absl::StrCat(AsAbsl(wallet_id), kSeparator, AsAbsl(currency), kSeparator,
                      AsAbsl(NameOf(kind)));
}

}  // namespace saldo::wallets
