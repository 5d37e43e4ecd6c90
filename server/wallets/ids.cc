#include "server/wallets/ids.h"

#include <openssl/sha.h>

#include <algorithm>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "common/base/strings.h"

namespace saldo::wallets {
namespace {

constexpr size_t kDigits = 32;
constexpr size_t kPrefix = 2;
constexpr size_t kRequestIdMax = 64;

// 128 bits of SHA-256, in hex.
std::string Digits(std::string_view content) {
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(content.data()), content.size(), digest);
  return absl::BytesToHexString(
      absl::string_view(reinterpret_cast<const char*>(digest), kDigits / 2));
}

bool AreDigits(std::string_view text) {
  return text.size() == kDigits && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

// The wallet of "?_<digits>_<rest>".
std::optional<std::string> WalletOf(char kind, std::string_view id) {
  if (id.size() <= kPrefix + kDigits + 1 || id[0] != kind || id[1] != '_' ||
      id[kPrefix + kDigits] != '_' || !AreDigits(id.substr(kPrefix, kDigits)))
    return std::nullopt;
  return absl::StrCat("w_", AsAbsl(id.substr(kPrefix, kDigits)));
}

std::string WriteId(absl::string_view kind, std::string_view id) {
  return absl::StrCat("\x1f", kind, "\x1f", AsAbsl(id));
}

}  // namespace

std::string WalletIdOf(std::string_view external_id, std::string_view request_id) {
  const bool external = !external_id.empty();
  return absl::StrCat("w_", Digits(absl::StrCat(external ? "external\x1f" : "request\x1f",
                                                AsAbsl(external ? external_id : request_id))));
}

bool IsWalletId(std::string_view text) {
  return text.size() == kPrefix + kDigits && text.substr(0, kPrefix) == "w_" &&
         AreDigits(text.substr(kPrefix));
}

std::string HoldIdOf(std::string_view wallet_id, std::string_view request_id) {
  return absl::StrCat("h_", AsAbsl(wallet_id.substr(kPrefix)), "_", Digits(request_id));
}

std::optional<std::string> WalletOfHold(std::string_view hold_id) {
  if (hold_id.size() != kPrefix + 2 * kDigits + 1 ||
      !AreDigits(hold_id.substr(kPrefix + kDigits + 1)))
    return std::nullopt;
  return WalletOf('h', hold_id);
}

std::string TransferIdOf(std::string_view from_wallet_id, std::string_view request_id) {
  return absl::StrCat("t_", AsAbsl(from_wallet_id.substr(kPrefix)), "_", AsAbsl(request_id));
}

std::optional<TransferName> ParseTransferId(std::string_view transfer_id) {
  std::optional<std::string> wallet = WalletOf('t', transfer_id);
  if (!wallet.has_value()) return std::nullopt;
  const std::string_view request = transfer_id.substr(kPrefix + kDigits + 1);
  if (request.size() > kRequestIdMax ||
      std::any_of(request.begin(), request.end(), [](char c) { return c < 0x20 || c >= 0x7f; }))
    return std::nullopt;
  return TransferName{*std::move(wallet), std::string(request)};
}

std::string WriteIdOf(std::string_view request_id) { return WriteId("wallet", request_id); }
std::string ExpiryWriteId(std::string_view hold_id) { return WriteId("wallet-expiry", hold_id); }
std::string CreditWriteId(std::string_view transfer_id) {
  return WriteId("wallet-credit", transfer_id);
}
std::string RefusalWriteId(std::string_view transfer_id) {
  return WriteId("wallet-refusal", transfer_id);
}
std::string EndWriteId(std::string_view transfer_id) { return WriteId("wallet-end", transfer_id); }

}  // namespace saldo::wallets
