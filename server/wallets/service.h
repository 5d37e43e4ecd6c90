// WalletService: checks a request, has the writer do it or the reader answer it.
#pragma once

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/observability/metrics.h"
#include "common/rpc/dispatcher.h"
#include "saldo/v1/wallet_service.grpc.pb.h"
#include "server/wallets/core.h"
#include "server/wallets/errors.h"
#include "server/wallets/reader.h"
#include "server/wallets/rules.h"
#include "server/wallets/transfers.h"

namespace saldo::wallets {

namespace internal {

// Each method takes its messages as bytes, see rpc::Method.
using Api = v1::WalletService;
using RawMoneyApi = Api::WithRawCallbackMethod_TopUp<
    Api::WithRawCallbackMethod_Withdraw<Api::WithRawCallbackMethod_Transfer<
        Api::WithRawCallbackMethod_CreateWallet<Api::WithRawCallbackMethod_CloseWallet<
            Api::WithRawCallbackMethod_CreateHold<Api::WithRawCallbackMethod_CaptureHold<
                Api::WithRawCallbackMethod_ReleaseHold<Api::Service>>>>>>>>;
using RawApi = Api::WithRawCallbackMethod_GetWallet<Api::WithRawCallbackMethod_ListWallets<
    Api::WithRawCallbackMethod_GetTransfer<Api::WithRawCallbackMethod_ListTransactions<
        Api::WithRawCallbackMethod_GetHold<Api::WithRawCallbackMethod_ListHolds<RawMoneyApi>>>>>>;

}  // namespace internal

class WalletService final : public internal::RawApi {
 public:
  // All arguments outlive the service.
  WalletService(WalletCore& core, TransferDriver& transfers, rpc::Dispatcher& dispatcher,
                metrics::Registry& registry);

 private:
  using Bytes = grpc::ByteBuffer;
  using Async = std::shared_ptr<rpc::AsyncCall>;

  // Each checks and hands over to the writer, which answers.
  void Create(Async call, const v1::CreateWalletRequest& q, v1::CreateWalletResponse& p);
  void Close(Async call, const v1::CloseWalletRequest& q, v1::CloseWalletResponse& p);
  void PayIn(Async call, const v1::TopUpRequest& q, v1::TopUpResponse& p);
  void PayOut(Async call, const v1::WithdrawRequest& q, v1::WithdrawResponse& p);
  void Move(Async call, const v1::TransferRequest& q, v1::TransferResponse& p);
  void SetAside(Async call, const v1::CreateHoldRequest& q, v1::CreateHoldResponse& p);
  void Capture(Async call, const v1::CaptureHoldRequest& q, v1::CaptureHoldResponse& p);
  void Release(Async call, const v1::ReleaseHoldRequest& q, v1::ReleaseHoldResponse& p);

  template <typename Response, typename Movement>
  void Pay(Async call, absl::StatusOr<Payment> order, Response& p, Movement movement);
  void Send(Async call, const TransferOrder& order, const std::string& currency,
            v1::TransferResponse& p);
  // Once the hold is known; these may wait for the database.
  void CaptureOf(Async call, const CaptureOrder& order, v1::CaptureHoldResponse& p);
  void ReleaseOf(Async call, const ReleaseOrder& order, v1::ReleaseHoldResponse& p);
  // The answer to CreateHold.
  void ShowHold(const Async& call, const HoldOrder& order, const HoldTimes& times,
                const std::string& currency, const accounts::Written& written,
                v1::CreateHoldResponse& p);
  void Drive(Async call, const TransferRow& transfer,
             absl::AnyInvocable<void(const TransferDriver::Outcome&)> done);

  // Answers, and counts a request that was not written.
  void Finish(rpc::AsyncCall& call, const absl::Status& status);
  void Finish(rpc::AsyncCall& call, const absl::Status& status, const Parties& parties) {
    Finish(call, ToWalletError(status, parties));
  }

  grpc::ServerUnaryReactor* CreateWallet(grpc::CallbackServerContext* c, const Bytes* q,
                                         Bytes* p) override {
    return create_wallet_.UnaryAsync(c, q, p, &WalletService::Create, this);
  }
  grpc::ServerUnaryReactor* CloseWallet(grpc::CallbackServerContext* c, const Bytes* q,
                                        Bytes* p) override {
    return close_wallet_.UnaryAsync(c, q, p, &WalletService::Close, this);
  }
  grpc::ServerUnaryReactor* TopUp(grpc::CallbackServerContext* c, const Bytes* q,
                                  Bytes* p) override {
    return top_up_.UnaryAsync(c, q, p, &WalletService::PayIn, this);
  }
  grpc::ServerUnaryReactor* Withdraw(grpc::CallbackServerContext* c, const Bytes* q,
                                     Bytes* p) override {
    return withdraw_.UnaryAsync(c, q, p, &WalletService::PayOut, this);
  }
  grpc::ServerUnaryReactor* Transfer(grpc::CallbackServerContext* c, const Bytes* q,
                                     Bytes* p) override {
    return transfer_.UnaryAsync(c, q, p, &WalletService::Move, this);
  }
  grpc::ServerUnaryReactor* CreateHold(grpc::CallbackServerContext* c, const Bytes* q,
                                       Bytes* p) override {
    return create_hold_.UnaryAsync(c, q, p, &WalletService::SetAside, this);
  }
  grpc::ServerUnaryReactor* CaptureHold(grpc::CallbackServerContext* c, const Bytes* q,
                                        Bytes* p) override {
    return capture_hold_.UnaryAsync(c, q, p, &WalletService::Capture, this);
  }
  grpc::ServerUnaryReactor* ReleaseHold(grpc::CallbackServerContext* c, const Bytes* q,
                                        Bytes* p) override {
    return release_hold_.UnaryAsync(c, q, p, &WalletService::Release, this);
  }
  grpc::ServerUnaryReactor* GetWallet(grpc::CallbackServerContext* c, const Bytes* q,
                                      Bytes* p) override {
    return get_wallet_.Unary(c, q, p, &WalletReader::GetWallet, &reader_);
  }
  grpc::ServerUnaryReactor* ListWallets(grpc::CallbackServerContext* c, const Bytes* q,
                                        Bytes* p) override {
    return list_wallets_.Unary(c, q, p, &WalletReader::ListWallets, &reader_);
  }
  grpc::ServerUnaryReactor* GetTransfer(grpc::CallbackServerContext* c, const Bytes* q,
                                        Bytes* p) override {
    return get_transfer_.Unary(c, q, p, &WalletReader::GetTransfer, &reader_);
  }
  grpc::ServerUnaryReactor* ListTransactions(grpc::CallbackServerContext* c, const Bytes* q,
                                             Bytes* p) override {
    return list_transactions_.Unary(c, q, p, &WalletReader::ListTransactions, &reader_);
  }
  grpc::ServerUnaryReactor* GetHold(grpc::CallbackServerContext* c, const Bytes* q,
                                    Bytes* p) override {
    return get_hold_.Unary(c, q, p, &WalletReader::GetHold, &reader_);
  }
  grpc::ServerUnaryReactor* ListHolds(grpc::CallbackServerContext* c, const Bytes* q,
                                      Bytes* p) override {
    return list_holds_.Unary(c, q, p, &WalletReader::ListHolds, &reader_);
  }

  WalletCore& core_;
  TransferDriver& transfers_;
  WalletReader reader_;
  metrics::Registry& registry_;
  rpc::Method create_wallet_, close_wallet_, top_up_, withdraw_, transfer_, create_hold_,
      capture_hold_, release_hold_;
  rpc::Method get_wallet_, list_wallets_, get_transfer_, list_transactions_, get_hold_, list_holds_;
};

}  // namespace saldo::wallets
