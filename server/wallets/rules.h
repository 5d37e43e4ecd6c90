// What requests about wallets must be. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/base/decimal.h"
#include "saldo/v1/wallet_service.pb.h"

namespace saldo::wallets {

inline constexpr absl::Duration kHoldTtlMin = absl::Seconds(1);
inline constexpr absl::Duration kHoldTtlMax = absl::Hours(24 * 400);
inline constexpr absl::Duration kHoldTtlDefault = absl::Hours(24 * 7);
inline constexpr size_t kDescriptionMax = 256;  // characters
inline constexpr size_t kExternalIdMax = 128;   // characters

// Checked requests.
struct Creation {
  std::string request_id;
  std::string wallet_id;
  std::string currency;
  std::string external_id;
  Decimal overdraft_limit;
};
struct Closing {
  std::string request_id;
  std::string wallet_id;
};
// A top-up or a withdrawal.
struct Payment {
  std::string request_id;
  std::string wallet_id;
  Decimal amount;
  std::string description;
};
struct TransferOrder {
  std::string request_id;
  std::string from_wallet_id;
  std::string to_wallet_id;
  Decimal amount;
  std::string description;
};
struct HoldOrder {
  std::string request_id;
  std::string wallet_id;
  Decimal amount;
  absl::Duration ttl;
  std::string description;
};
struct CaptureOrder {
  std::string request_id;
  std::string hold_id;
  std::string wallet_id;          // of the hold
  std::optional<Decimal> amount;  // all of it when absent
  std::string to_wallet_id;       // empty: it goes out
  std::string description;
};
struct ReleaseOrder {
  std::string request_id;
  std::string hold_id;
  std::string wallet_id;
};
struct PageOrder {
  int32_t limit;
  std::string after;  // position; empty for the first page
};
struct HoldPosition {
  absl::Time expires_at;
  std::string hold_id;
};

// INVALID_ARGUMENT with BadRequest; FAILED_PRECONDITION SAME_WALLET for a transfer to its payer,
// NOT_FOUND HOLD_NOT_FOUND for what cannot be the id of a hold. Amounts have at most `scale` digits
// after the point.
absl::StatusOr<Creation> Check(const v1::CreateWalletRequest& request, int scale);
absl::StatusOr<Closing> Check(const v1::CloseWalletRequest& request);
absl::StatusOr<Payment> Check(const v1::TopUpRequest& request, int scale);
absl::StatusOr<Payment> Check(const v1::WithdrawRequest& request, int scale);
absl::StatusOr<TransferOrder> Check(const v1::TransferRequest& request, int scale);
absl::StatusOr<HoldOrder> Check(const v1::CreateHoldRequest& request, int scale);
absl::StatusOr<CaptureOrder> Check(const v1::CaptureHoldRequest& request, int scale);
absl::StatusOr<ReleaseOrder> Check(const v1::ReleaseHoldRequest& request);

// The id of the wallet that is asked for.
absl::StatusOr<std::string> Check(const v1::GetWalletRequest& request);
absl::Status CheckWalletId(const std::string& wallet_id);
absl::StatusOr<PageOrder> Check(const v1::ListWalletsRequest& request);
absl::StatusOr<PageOrder> Check(const v1::ListHoldsRequest& request);

std::string MakeHoldToken(const HoldPosition& position);
std::optional<HoldPosition> ReadHoldToken(const std::string& token);

}  // namespace saldo::wallets
