// Ids of wallets, holds and transfers. Each is made of what its caller gave, so that a call that is
// repeated, however late, meets what it made before; and holds and transfers name their wallet,
// whose shard they are on. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace saldo::wallets {

// "w_" and 32 hexadecimal digits: of the external_id or, when that is empty, of the request_id.
std::string WalletIdOf(std::string_view external_id, std::string_view request_id);
bool IsWalletId(std::string_view text);

// "h_", the wallet's digits, "_" and 32 more.
std::string HoldIdOf(std::string_view wallet_id, std::string_view request_id);
// The wallet of a hold; nothing for a text that is no hold's id.
std::optional<std::string> WalletOfHold(std::string_view hold_id);

// "t_", the payer's digits, "_" and the request_id.
std::string TransferIdOf(std::string_view from_wallet_id, std::string_view request_id);
struct TransferName {
  std::string from_wallet_id;
  std::string request_id;
};
std::optional<TransferName> ParseTransferId(std::string_view transfer_id);

// Ids under which the writer knows requests of wallets. No caller of WriteEvents can give them.
std::string WriteIdOf(std::string_view request_id);
std::string ExpiryWriteId(std::string_view hold_id);
std::string CreditWriteId(std::string_view transfer_id);
std::string RefusalWriteId(std::string_view transfer_id);
std::string EndWriteId(std::string_view transfer_id);

}  // namespace saldo::wallets
