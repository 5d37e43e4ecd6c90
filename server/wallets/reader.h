// What is asked about wallets: one method for each RPC that only reads.
#pragma once

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/base/call_context.h"
#include "common/rpc/call.h"
#include "saldo/v1/wallet_service.pb.h"
#include "server/wallets/core.h"

namespace saldo::wallets {

// As callers see it.
v1::Hold ToMessage(const HoldRow& row, int scale);

// Thread-safe. Every method checks its request, and fails as wallet_service.proto says.
class WalletReader {
 public:
  // `core` outlives the reader.
  explicit WalletReader(WalletCore& core) : core_(core) {}

  absl::Status GetWallet(rpc::Call& call, const v1::GetWalletRequest& request,
                         v1::GetWalletResponse& response);
  absl::Status ListWallets(rpc::Call& call, const v1::ListWalletsRequest& request,
                           v1::ListWalletsResponse& response);
  absl::Status GetTransfer(rpc::Call& call, const v1::GetTransferRequest& request,
                           v1::GetTransferResponse& response);
  absl::Status ListTransactions(rpc::Call& call, const v1::ListTransactionsRequest& request,
                                v1::ListTransactionsResponse& response);
  absl::Status GetHold(rpc::Call& call, const v1::GetHoldRequest& request,
                       v1::GetHoldResponse& response);
  absl::Status ListHolds(rpc::Call& call, const v1::ListHoldsRequest& request,
                         v1::ListHoldsResponse& response);

  // The hold, which is on the shard of this wallet.
  absl::StatusOr<HoldRow> FindHold(const CallContext& context, const std::string& hold_id,
                                   const std::string& wallet_id);

 private:
  WalletCore& core_;
};

}  // namespace saldo::wallets
