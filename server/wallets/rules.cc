#include "server/wallets/rules.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/base/strings.h"
#include "common/rpc/errors.h"
#include "common/rpc/field_checks.h"
#include "server/wallets/errors.h"
#include "server/wallets/ids.h"

namespace saldo::wallets {
namespace {

using rpc::BadRequestBuilder;

constexpr int32_t kPageDefault = 100;
constexpr int32_t kPageMax = 1000;
constexpr int64_t kMicrosEnd = 253'402'300'800'000'000;  // the year 10000
// A bound with room: sums of amounts must fit a Decimal.
const Decimal kAmountBelow = Decimal::FromInteger(1'000'000'000'000'000);

void CheckWallet(std::string_view field, const std::string& wallet_id, BadRequestBuilder& bad) {
  if (!IsWalletId(wallet_id))
    bad.Add(field, "must be w_ and 32 hexadecimal digits, as CreateWallet answers it");
}

// Nothing, with the reason in `bad`, for what is no amount.
std::optional<Decimal> CheckNumber(std::string_view field, const std::string& text, int scale,
                                   BadRequestBuilder& bad) {
  const absl::StatusOr<Decimal> parsed = Decimal::Parse(text);
  if (!parsed.ok()) {
    bad.Add(field, std::string(parsed.status().message()));
  } else if (*parsed >= kAmountBelow) {
    bad.Add(field, "must be below 10^15");
  } else if (parsed->FractionDigits() > scale) {
    bad.Add(field, absl::StrCat("must have at most ", scale, " digits after the point"));
  } else {
    return *parsed;
  }
  return std::nullopt;
}

Decimal CheckAmount(const std::string& text, int scale, BadRequestBuilder& bad) {
  const std::optional<Decimal> amount = CheckNumber("amount", text, scale, bad);
  if (amount.has_value() && !amount->IsPositive()) bad.Add("amount", "must be above 0");
  return amount.value_or(Decimal());
}

void CheckDescription(const std::string& text, BadRequestBuilder& bad) {
  rpc::CheckText("description", text, {.min = 0, .max = kDescriptionMax}, bad);
}

void CheckCurrency(const std::string& currency, BadRequestBuilder& bad) {
  const bool known = std::all_of(currency.begin(), currency.end(), [](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
  });
  if (currency.size() < 3 || currency.size() > 16 || !known)
    bad.Add("currency", "must be 3 to 16 of A-Z and 0-9");
}

void CheckExternalId(const std::string& id, size_t min, BadRequestBuilder& bad) {
  rpc::CheckText("external_id", id, {.min = min, .max = kExternalIdMax}, bad);
  if (std::any_of(id.begin(), id.end(), [](char c) { return (c >= 0 && c < 0x20) || c == 0x7f; }))
    bad.Add("external_id", "must not hold control characters");
}

// What cannot be an id is that of no hold.
absl::StatusOr<std::string> HoldsWallet(const std::string& hold_id) {
  std::optional<std::string> wallet = WalletOfHold(hold_id);
  if (!wallet.has_value()) return HoldNotFound(hold_id);
  return *std::move(wallet);
}

int32_t CheckPageSize(int32_t asked, BadRequestBuilder& bad) {
  if (asked < 0) bad.Add("page_size", "must not be negative");
  return asked == 0 ? kPageDefault : std::min(asked, kPageMax);
}

template <typename Request>
absl::StatusOr<Payment> CheckPayment(const Request& request, int scale) {
  BadRequestBuilder bad;
  rpc::CheckRequestId(request.request_id(), bad);
  CheckWallet("wallet_id", request.wallet_id(), bad);
  const Decimal amount = CheckAmount(request.amount(), scale, bad);
  CheckDescription(request.description(), bad);
  SALDO_RETURN_IF_ERROR(bad.Build());
  return Payment{request.request_id(), request.wallet_id(), amount, request.description()};
}

absl::Duration CheckTtl(const google::protobuf::Duration& given, BadRequestBuilder& bad) {
  // Seconds beyond these are none of the Duration message.
  constexpr int64_t kSecondsMax = 315'576'000'000;
  if (given.seconds() >= 0 && given.seconds() <= kSecondsMax && given.nanos() >= 0) {
    const absl::Duration ttl =
        absl::Seconds(given.seconds()) + absl::Microseconds(given.nanos() / 1000);
    if (ttl >= kHoldTtlMin && ttl <= kHoldTtlMax) return ttl;
  }
  bad.Add("ttl", "must be 1 second to 400 days");
  return kHoldTtlDefault;
}

}  // namespace

absl::StatusOr<Creation> Check(const v1::CreateWalletRequest& request, int scale) {
  BadRequestBuilder bad;
  rpc::CheckRequestId(request.request_id(), bad);
  CheckCurrency(request.currency(), bad);
  CheckExternalId(request.external_id(), 0, bad);
  Decimal limit;
  if (!request.overdraft_limit().empty()) {
    limit = CheckNumber("overdraft_limit", request.overdraft_limit(), scale, bad).value_or(limit);
    if (limit.IsNegative()) bad.Add("overdraft_limit", "must not be below 0");
  }
  SALDO_RETURN_IF_ERROR(bad.Build());
  return Creation{request.request_id(), WalletIdOf(request.external_id(), request.request_id()),
                  request.currency(), request.external_id(), limit};
}

absl::StatusOr<Closing> Check(const v1::CloseWalletRequest& request) {
  BadRequestBuilder bad;
  rpc::CheckRequestId(request.request_id(), bad);
  CheckWallet("wallet_id", request.wallet_id(), bad);
  SALDO_RETURN_IF_ERROR(bad.Build());
  return Closing{request.request_id(), request.wallet_id()};
}

absl::StatusOr<Payment> Check(const v1::TopUpRequest& request, int scale) {
  return CheckPayment(request, scale);
}

absl::StatusOr<Payment> Check(const v1::WithdrawRequest& request, int scale) {
  return CheckPayment(request, scale);
}

absl::StatusOr<TransferOrder> Check(const v1::TransferRequest& request, int scale) {
  BadRequestBuilder bad;
  rpc::CheckRequestId(request.request_id(), bad);
  CheckWallet("from_wallet_id", request.from_wallet_id(), bad);
  CheckWallet("to_wallet_id", request.to_wallet_id(), bad);
  const Decimal amount = CheckAmount(request.amount(), scale, bad);
  CheckDescription(request.description(), bad);
  SALDO_RETURN_IF_ERROR(bad.Build());
  if (request.from_wallet_id() == request.to_wallet_id()) return SameWallet(request.to_wallet_id());
  return TransferOrder{request.request_id(), request.from_wallet_id(), request.to_wallet_id(),
                       amount, request.description()};
}

absl::StatusOr<HoldOrder> Check(const v1::CreateHoldRequest& request, int scale) {
  BadRequestBuilder bad;
  rpc::CheckRequestId(request.request_id(), bad);
  CheckWallet("wallet_id", request.wallet_id(), bad);
  const Decimal amount = CheckAmount(request.amount(), scale, bad);
  const absl::Duration ttl = request.has_ttl() ? CheckTtl(request.ttl(), bad) : kHoldTtlDefault;
  CheckDescription(request.description(), bad);
  SALDO_RETURN_IF_ERROR(bad.Build());
  return HoldOrder{request.request_id(), request.wallet_id(), amount, ttl, request.description()};
}

absl::StatusOr<CaptureOrder> Check(const v1::CaptureHoldRequest& request, int scale) {
  BadRequestBuilder bad;
  rpc::CheckRequestId(request.request_id(), bad);
  std::optional<Decimal> amount;
  if (!request.amount().empty()) amount = CheckAmount(request.amount(), scale, bad);
  if (!request.to_wallet_id().empty()) CheckWallet("to_wallet_id", request.to_wallet_id(), bad);
  CheckDescription(request.description(), bad);
  SALDO_RETURN_IF_ERROR(bad.Build());
  SALDO_ASSIGN_OR_RETURN(std::string wallet, HoldsWallet(request.hold_id()));
  if (wallet == request.to_wallet_id()) return SameWallet(wallet);
  return CaptureOrder{request.request_id(),   request.hold_id(),    std::move(wallet), amount,
                      request.to_wallet_id(), request.description()};
}

absl::StatusOr<ReleaseOrder> Check(const v1::ReleaseHoldRequest& request) {
  BadRequestBuilder bad;
  rpc::CheckRequestId(request.request_id(), bad);
  SALDO_RETURN_IF_ERROR(bad.Build());
  SALDO_ASSIGN_OR_RETURN(std::string wallet, HoldsWallet(request.hold_id()));
  return ReleaseOrder{request.request_id(), request.hold_id(), std::move(wallet)};
}

absl::StatusOr<std::string> Check(const v1::GetWalletRequest& request) {
  BadRequestBuilder bad;
  std::string id;
  if (request.wallet_case() == v1::GetWalletRequest::kWalletId) {
    CheckWallet("wallet_id", request.wallet_id(), bad);
    id = request.wallet_id();
  } else if (request.wallet_case() == v1::GetWalletRequest::kExternalId) {
    CheckExternalId(request.external_id(), 1, bad);
    id = WalletIdOf(request.external_id(), "");
  } else {
    bad.Add("wallet_id", "or external_id is required");
  }
  SALDO_RETURN_IF_ERROR(bad.Build());
  return id;
}

absl::Status CheckWalletId(const std::string& wallet_id) {
  BadRequestBuilder bad;
  CheckWallet("wallet_id", wallet_id, bad);
  return bad.Build();
}

absl::StatusOr<PageOrder> Check(const v1::ListWalletsRequest& request) {
  BadRequestBuilder bad;
  if (!request.currency().empty()) CheckCurrency(request.currency(), bad);
  const int32_t limit = CheckPageSize(request.page_size(), bad);
  if (!request.page_token().empty() && !IsWalletId(request.page_token()))
    bad.Add("page_token", "is not one that this call has answered");
  SALDO_RETURN_IF_ERROR(bad.Build());
  return PageOrder{limit, request.page_token()};
}

absl::StatusOr<PageOrder> Check(const v1::ListHoldsRequest& request) {
  BadRequestBuilder bad;
  CheckWallet("wallet_id", request.wallet_id(), bad);
  const int32_t limit = CheckPageSize(request.page_size(), bad);
  const std::optional<HoldPosition> after = ReadHoldToken(request.page_token());
  if (!request.page_token().empty() &&
      (!after.has_value() || WalletOfHold(after->hold_id) != request.wallet_id()))
    bad.Add("page_token", "is not one that this call has answered");
  SALDO_RETURN_IF_ERROR(bad.Build());
  return PageOrder{limit, request.page_token()};
}

std::string MakeHoldToken(const HoldPosition& position) {
  return absl::StrCat(absl::ToUnixMicros(position.expires_at), ".", position.hold_id);
}

std::optional<HoldPosition> ReadHoldToken(const std::string& token) {
  const size_t point = token.find('.');
  int64_t micros = 0;
  if (point == std::string::npos || !absl::SimpleAtoi(token.substr(0, point), &micros) ||
      micros < 0 || micros >= kMicrosEnd || !WalletOfHold(token.substr(point + 1)).has_value())
    return std::nullopt;
  HoldPosition position{absl::FromUnixMicros(micros), token.substr(point + 1)};
  // A number may be written in many ways, and this is ours.
  if (MakeHoldToken(position) != token) return std::nullopt;
  return position;
}

}  // namespace saldo::wallets
