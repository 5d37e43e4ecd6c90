#include "server/wallets/errors.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/decimal.h"
#include "common/base/strings.h"
#include "common/observability/text.h"
#include "common/rpc/errors.h"

namespace saldo::wallets {
namespace {

using Metadata = std::map<std::string, std::string>;

constexpr const char* kDomain = "saldo";

absl::Status NotFound(const std::string& message, std::string_view reason,
                      const Metadata& metadata) {
  return rpc::WithErrorInfo(absl::NotFoundError(message), reason, kDomain, metadata);
}

absl::Status Refused(const std::string& message, std::string_view reason,
                     const Metadata& metadata) {
  return rpc::WithErrorInfo(absl::FailedPreconditionError(message), reason, kDomain, metadata);
}

std::string Text(std::string_view text) { return std::string(text); }

// What a caller gave as an id. One that is longer than any id would leave no room for the reason.
std::string ShownId(std::string_view id) {
  constexpr size_t kBytesMax = 128;
  return std::string(text::CutUtf8(id, kBytesMax));
}

// How much could be spent of what the writer says of a balance and its limit.
std::string Available(const google::rpc::ErrorInfo& info) {
  const auto balance = Decimal::Parse(info.metadata().at("balance"));
  const auto limit = Decimal::Parse(info.metadata().at("limit"));
  Decimal available;
  if (!balance.ok() || !limit.ok() || !Decimal::Subtract(*balance, *limit, &available) ||
      available.IsNegative())
    return "0";
  // As many digits as the balance shows.
  const std::string& shown = info.metadata().at("balance");
  const size_t point = shown.find('.');
  return available.ToString(
      point == std::string::npos ? 0 : static_cast<int>(shown.size() - point - 1));
}

absl::Status InsufficientFunds(const WalletName& wallet, const std::string& available) {
  return Refused(
      absl::StrCat("wallet ", wallet.wallet_id, " has ", available, " ", wallet.currency,
                   " available"),
      "INSUFFICIENT_FUNDS",
      {{"wallet_id", wallet.wallet_id}, {"available", available}, {"currency", wallet.currency}});
}

}  // namespace

absl::Status WalletNotFound(std::string_view wallet_id) {
  return NotFound(absl::StrCat("there is no wallet ", AsAbsl(wallet_id)), "WALLET_NOT_FOUND",
                  {{"wallet_id", Text(wallet_id)}});
}

absl::Status WalletNotFoundByExternalId(std::string_view external_id) {
  return NotFound(
      absl::StrCat("there is no wallet with the external_id '", AsAbsl(external_id), "'"),
      "WALLET_NOT_FOUND", {{"external_id", Text(external_id)}});
}

absl::Status WalletExists(std::string_view wallet_id, std::string_view external_id) {
  return rpc::WithErrorInfo(
      absl::AlreadyExistsError(absl::StrCat("there is a wallet ", AsAbsl(wallet_id), " already")),
      "WALLET_EXISTS", kDomain,
      {{"wallet_id", Text(wallet_id)}, {"external_id", Text(external_id)}});
}

absl::Status WalletClosed(std::string_view wallet_id) {
  return Refused(absl::StrCat("wallet ", AsAbsl(wallet_id), " is closed"), "WALLET_CLOSED",
                 {{"wallet_id", Text(wallet_id)}});
}

absl::Status WalletHasHolds(std::string_view wallet_id, int64_t holds) {
  return Refused(absl::StrCat("wallet ", AsAbsl(wallet_id), " has ", holds, " open holds"),
                 "WALLET_HAS_HOLDS",
                 {{"wallet_id", Text(wallet_id)}, {"holds", absl::StrCat(holds)}});
}

absl::Status WalletHasTransfers(std::string_view wallet_id, int64_t transfers) {
  return Refused(
      absl::StrCat("wallet ", AsAbsl(wallet_id), " has ", transfers, " transfers under way"),
      "WALLET_HAS_TRANSFERS",
      {{"wallet_id", Text(wallet_id)}, {"transfers", absl::StrCat(transfers)}});
}

absl::Status SameWallet(std::string_view wallet_id) {
  return Refused("a transfer needs two wallets", "SAME_WALLET", {{"wallet_id", Text(wallet_id)}});
}

absl::Status CurrencyMismatch(const WalletName& from, const WalletName& to) {
  return Refused(absl::StrCat("wallet ", from.wallet_id, " is in ", from.currency, ", wallet ",
                              to.wallet_id, " is in ", to.currency),
                 "CURRENCY_MISMATCH",
                 {{"from_wallet_id", from.wallet_id},
                  {"from_currency", from.currency},
                  {"to_wallet_id", to.wallet_id},
                  {"to_currency", to.currency}});
}

absl::Status HoldNotFound(std::string_view hold_id) {
  return NotFound("there is no such hold", "HOLD_NOT_FOUND", {{"hold_id", ShownId(hold_id)}});
}

absl::Status HoldExpired(std::string_view hold_id) {
  return Refused(absl::StrCat("hold ", AsAbsl(hold_id), " has expired"), "HOLD_EXPIRED",
                 {{"hold_id", Text(hold_id)}});
}

absl::Status HoldNotOpen(std::string_view hold_id, std::string_view state) {
  return Refused(absl::StrCat("hold ", AsAbsl(hold_id), " is ", AsAbsl(state)), "HOLD_NOT_OPEN",
                 {{"hold_id", Text(hold_id)}, {"state", Text(state)}});
}

absl::Status HoldTooSmall(std::string_view hold_id, const std::string& amount,
                          const std::string& currency) {
  return Refused(absl::StrCat("hold ", AsAbsl(hold_id), " is of ", amount, " ", currency),
                 "HOLD_TOO_SMALL",
                 {{"hold_id", Text(hold_id)}, {"amount", amount}, {"currency", currency}});
}

absl::Status TransferNotFound(std::string_view transfer_id) {
  return NotFound("there is no such transfer", "TRANSFER_NOT_FOUND",
                  {{"transfer_id", ShownId(transfer_id)}});
}

namespace {

absl::Status Reused(const std::string& message, std::string_view request_id) {
  return rpc::WithErrorInfo(absl::AlreadyExistsError(message), "REQUEST_ID_REUSED", kDomain,
                            {{"request_id", Text(request_id)}});
}

}  // namespace

absl::Status RequestIdReused(std::string_view request_id) {
  return Reused(absl::StrCat("request_id '", AsAbsl(request_id),
                             "' was used for a request with other content"),
                request_id);
}

absl::Status MadeBefore(std::string_view request_id, std::string_view what, std::string_view id) {
  return Reused(absl::StrCat("request_id '", AsAbsl(request_id), "' was used long ago, for ",
                             AsAbsl(what), " ", AsAbsl(id)),
                request_id);
}

absl::Status TransferDecided(std::string_view transfer_id) {
  return Refused(absl::StrCat("transfer ", AsAbsl(transfer_id), " has been driven on already"),
                 "TRANSFER_DECIDED", {{"transfer_id", Text(transfer_id)}});
}

absl::Status OtherTransfer(std::string_view transfer_id) {
  return absl::DataLossError(
      absl::StrCat("the payee's shard knows another transfer under the id ", AsAbsl(transfer_id)));
}

std::string ReasonOf(const absl::Status& status) {
  google::rpc::ErrorInfo info;
  return rpc::GetDetail(status, &info) ? info.reason() : "";
}

absl::Status ToWalletError(const absl::Status& status, const Parties& parties) {
  google::rpc::ErrorInfo info;
  if (status.ok() || !rpc::GetDetail(status, &info)) return status;
  if (info.reason() == "REQUEST_ID_REUSED") return RequestIdReused(parties.request_id);
  const auto account = info.metadata().find("account");
  if (account == info.metadata().end()) return status;
  const bool payee = !parties.payee.wallet_id.empty() &&
                     absl::StrContains(account->second, parties.payee.wallet_id);
  const WalletName& wallet = payee ? parties.payee : parties.payer;
  if (info.reason() == "BALANCE_BELOW_MINIMUM") return InsufficientFunds(wallet, Available(info));
  if (info.reason() == "ACCOUNT_CLOSED") return WalletClosed(wallet.wallet_id);
  if (info.reason() == "ACCOUNT_NOT_FOUND") return WalletNotFound(wallet.wallet_id);
  if (info.reason() == "ACCOUNT_EXISTS") return WalletExists(wallet.wallet_id, "");
  if (info.reason() == "ACCOUNT_NOT_EMPTY") {
    return Refused(absl::StrCat("wallet ", wallet.wallet_id, " has a balance of ",
                                info.metadata().at("balance"), " ", wallet.currency),
                   "WALLET_NOT_EMPTY",
                   {{"wallet_id", wallet.wallet_id},
                    {"balance", info.metadata().at("balance")},
                    {"currency", wallet.currency}});
  }
  return status;
}

}  // namespace saldo::wallets
