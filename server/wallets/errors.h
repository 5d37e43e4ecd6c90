// What callers are told of wallets; wallet_service.proto lists the reasons. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace saldo::wallets {

absl::Status WalletNotFound(std::string_view wallet_id);
absl::Status WalletNotFoundByExternalId(std::string_view external_id);
absl::Status WalletExists(std::string_view wallet_id, std::string_view external_id);
absl::Status WalletClosed(std::string_view wallet_id);
absl::Status WalletHasHolds(std::string_view wallet_id, int64_t holds);
absl::Status WalletHasTransfers(std::string_view wallet_id, int64_t transfers);
absl::Status SameWallet(std::string_view wallet_id);
struct WalletName {
  std::string wallet_id;
  std::string currency;
};
absl::Status CurrencyMismatch(const WalletName& from, const WalletName& to);
absl::Status HoldNotFound(std::string_view hold_id);
absl::Status HoldExpired(std::string_view hold_id);
absl::Status HoldNotOpen(std::string_view hold_id, std::string_view state);
absl::Status HoldTooSmall(std::string_view hold_id, const std::string& amount,
                          const std::string& currency);
absl::Status TransferNotFound(std::string_view transfer_id);
absl::Status RequestIdReused(std::string_view request_id);
// The same for a request that is forgotten, unlike what it made: "hold" or "transfer".
absl::Status MadeBefore(std::string_view request_id, std::string_view what, std::string_view id);
// Two parts of a server drive the same transfer, and the other was first.
absl::Status TransferDecided(std::string_view transfer_id);
// The payee's shard has decided another transfer under this id. Not for callers.
absl::Status OtherTransfer(std::string_view transfer_id);

// The reason of the status's ErrorInfo; empty without one.
std::string ReasonOf(const absl::Status& status);

// Whom a request is about.
struct Parties {
  std::string request_id;
  WalletName payer;  // or the only one
  WalletName payee;  // empty when there is only one
};
// What the writer says of accounts, said of wallets.
absl::Status ToWalletError(const absl::Status& status, const Parties& parties);

}  // namespace saldo::wallets
