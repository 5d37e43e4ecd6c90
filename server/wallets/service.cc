#include "server/wallets/service.h"

#include <utility>
#include <vector>

#include "common/rpc/errors.h"
#include "common/rpc/timestamps.h"
#include "server/wallets/ids.h"
#include "server/wallets/movements.h"

namespace saldo::wallets {
namespace {

using Api = v1::WalletService;
using accounts::Written;

Caller CallerOf(const rpc::AsyncCall& call) { return {call.context(), call.trace_context()}; }

std::string BalanceOf(const accounts::WrittenPosting& posting) {
  return posting.balance_after.has_value() ? posting.balance_after->ToString(posting.scale) : "";
}

}  // namespace

WalletService::WalletService(WalletCore& core, TransferDriver& transfers,
                             rpc::Dispatcher& dispatcher, metrics::Registry& registry)
    : core_(core),
      transfers_(transfers),
      reader_(core),
      registry_(registry),
      create_wallet_(dispatcher, Api::service_full_name(), "CreateWallet"),
      close_wallet_(dispatcher, Api::service_full_name(), "CloseWallet"),
      top_up_(dispatcher, Api::service_full_name(), "TopUp"),
      withdraw_(dispatcher, Api::service_full_name(), "Withdraw"),
      transfer_(dispatcher, Api::service_full_name(), "Transfer"),
      create_hold_(dispatcher, Api::service_full_name(), "CreateHold"),
      capture_hold_(dispatcher, Api::service_full_name(), "CaptureHold"),
      release_hold_(dispatcher, Api::service_full_name(), "ReleaseHold"),
      get_wallet_(dispatcher, Api::service_full_name(), "GetWallet"),
      list_wallets_(dispatcher, Api::service_full_name(), "ListWallets"),
      get_transfer_(dispatcher, Api::service_full_name(), "GetTransfer"),
      list_transactions_(dispatcher, Api::service_full_name(), "ListTransactions"),
      get_hold_(dispatcher, Api::service_full_name(), "GetHold"),
      list_holds_(dispatcher, Api::service_full_name(), "ListHolds") {}

void WalletService::Finish(rpc::AsyncCall& call, const absl::Status& status) {
  if (!status.ok()) {
    const std::string reason = ReasonOf(status);
    registry_
        .AddCounter("saldo_wallet_rejections_total",
                    "Changes of wallets that were not made, by the reason of their ErrorInfo or "
                    "their code.",
                    {{"reason", reason.empty() ? absl::StatusCodeToString(status.code()) : reason}})
        .Increment();
  }
  call.Finish(status);
}

void WalletService::Create(Async call, const v1::CreateWalletRequest& q,
                           v1::CreateWalletResponse& p) {
  const absl::StatusOr<Creation> order = Check(q, core_.scale());
  if (!order.ok()) return Finish(*call, order.status());
  const Caller caller = CallerOf(*call);
  core_.Write(
      core_.ShardOf(order->wallet_id), caller,
      [&](const MovementContext& context) { return wallets::Create(context, *order); },
      [this, call, &p, order = *order](const absl::StatusOr<Written>& written) {
        p.set_wallet_id(order.wallet_id);
        Finish(*call, written.status(),
               {.request_id = order.request_id,
                .payer = {order.wallet_id, order.currency},
                .payee = {}});
      });
}

void WalletService::Close(Async call, const v1::CloseWalletRequest& q, v1::CloseWalletResponse&) {
  const absl::StatusOr<Closing> order = Check(q);
  if (!order.ok()) return Finish(*call, order.status());
  core_.WithCurrencies(
      {order->wallet_id}, call->context(),
      [this, call, order = *order](const absl::StatusOr<WalletCore::Currencies>& currencies) {
        if (!currencies.ok()) return Finish(*call, currencies.status());
        const std::string& currency = (*currencies)[0];
        core_.Write(
            core_.ShardOf(order.wallet_id), CallerOf(*call),
            [&](const MovementContext& context) {
              return wallets::Close(context, order, currency);
            },
            [this, call, order, currency](const absl::StatusOr<Written>& written) {
              Finish(*call, written.status(),
                     {.request_id = order.request_id,
                      .payer = {order.wallet_id, currency},
                      .payee = {}});
            });
      });
}

template <typename Response, typename Movement>
void WalletService::Pay(Async call, absl::StatusOr<Payment> order, Response& p, Movement movement) {
  if (!order.ok()) return Finish(*call, order.status());
  core_.WithCurrencies(
      {order->wallet_id}, call->context(),
      [this, call, &p, movement,
       order = *order](const absl::StatusOr<WalletCore::Currencies>& currencies) {
        if (!currencies.ok()) return Finish(*call, currencies.status());
        const std::string& currency = (*currencies)[0];
        core_.Write(
            core_.ShardOf(order.wallet_id), CallerOf(*call),
            [&](const MovementContext& context) { return movement(context, order, currency); },
            [this, call, &p, order, currency](const absl::StatusOr<Written>& written) {
              if (written.ok()) {
                p.set_balance(BalanceOf(written->postings[0]));
                p.set_batch_id(written->batch_id);
              }
              Finish(*call, written.status(),
                     {.request_id = order.request_id,
                      .payer = {order.wallet_id, currency},
                      .payee = {}});
            });
      });
}

void WalletService::PayIn(Async call, const v1::TopUpRequest& q, v1::TopUpResponse& p) {
  Pay(std::move(call), Check(q, core_.scale()), p, &wallets::TopUp);
}

void WalletService::PayOut(Async call, const v1::WithdrawRequest& q, v1::WithdrawResponse& p) {
  Pay(std::move(call), Check(q, core_.scale()), p, &wallets::Withdraw);
}

void WalletService::Move(Async call, const v1::TransferRequest& q, v1::TransferResponse& p) {
  absl::StatusOr<TransferOrder> order = Check(q, core_.scale());
  if (!order.ok()) return Finish(*call, order.status());
  std::vector<std::string> wallets = {order->from_wallet_id, order->to_wallet_id};
  const CallContext context = call->context();
  core_.WithCurrencies(std::move(wallets), context,
                       [this, call = std::move(call), &p, order = *std::move(order)](
                           const absl::StatusOr<WalletCore::Currencies>& currencies) {
                         if (!currencies.ok()) return Finish(*call, currencies.status());
                         const std::string& from = (*currencies)[0];
                         const std::string& to = (*currencies)[1];
                         if (from != to)
                           return Finish(*call, CurrencyMismatch({order.from_wallet_id, from},
                                                                 {order.to_wallet_id, to}));
                         Send(call, order, from, p);
                       });
}

void WalletService::Send(Async call, const TransferOrder& order, const std::string& currency,
                         v1::TransferResponse& p) {
  const size_t shard = core_.ShardOf(order.from_wallet_id);
  const bool far = core_.ShardOf(order.to_wallet_id) != shard;
  const Caller caller = CallerOf(*call);
  core_.Write(
      shard, caller,
      [&](const MovementContext& context) {
        return far ? wallets::Send(context, order, currency)
                   : wallets::Transfer(context, order, currency);
      },
      [this, call = std::move(call), &p, order, currency,
       far](const absl::StatusOr<Written>& written) {
        if (!written.ok()) {
          return Finish(*call, written.status(),
                        {.request_id = order.request_id,
                         .payer = {order.from_wallet_id, currency},
                         .payee = {order.to_wallet_id, currency}});
        }
        p.set_transfer_id(TransferIdOf(order.from_wallet_id, order.request_id));
        p.set_balance(BalanceOf(written->postings[0]));
        p.set_batch_id(written->batch_id);
        if (!far) {
          p.set_state(v1::TRANSFER_STATE_SETTLED);
          return call->Finish(absl::OkStatus());
        }
        Drive(call,
              {.transfer_id = p.transfer_id(),
               .from_wallet_id = order.from_wallet_id,
               .to_wallet_id = order.to_wallet_id,
               .amount = order.amount,
               .currency = currency,
               .request_id = order.request_id,
               .description = order.description},
              [&p](const TransferDriver::Outcome& outcome) {
                p.set_state(outcome.state);
                p.set_refund_reason(outcome.refund_reason);
              });
      });
}

void WalletService::Drive(Async call, const TransferRow& transfer,
                          absl::AnyInvocable<void(const TransferDriver::Outcome&)> done) {
  const Caller caller = CallerOf(*call);
  transfers_.Drive(
      transfer, caller,
      [call = std::move(call), done = std::move(done)](TransferDriver::Outcome outcome) mutable {
        done(outcome);
        call->Finish(absl::OkStatus());
      });
}

void WalletService::SetAside(Async call, const v1::CreateHoldRequest& q,
                             v1::CreateHoldResponse& p) {
  const absl::StatusOr<HoldOrder> order = Check(q, core_.scale());
  if (!order.ok()) return Finish(*call, order.status());
  core_.WithCurrencies(
      {order->wallet_id}, call->context(),
      [this, call, &p, order = *order](const absl::StatusOr<WalletCore::Currencies>& currencies) {
        if (!currencies.ok()) return Finish(*call, currencies.status());
        const std::string& currency = (*currencies)[0];
        const auto times = std::make_shared<HoldTimes>();
        core_.Write(
            core_.ShardOf(order.wallet_id), CallerOf(*call),
            [&](const MovementContext& context) { return Hold(context, order, currency, times); },
            [this, call, &p, order, currency, times](const absl::StatusOr<Written>& written) {
              if (!written.ok()) {
                return Finish(*call, written.status(),
                              {.request_id = order.request_id,
                               .payer = {order.wallet_id, currency},
                               .payee = {}});
              }
              ShowHold(call, order, *times, currency, *written, p);
            });
      });
}

void WalletService::ShowHold(const Async& call, const HoldOrder& order, const HoldTimes& times,
                             const std::string& currency, const Written& written,
                             v1::CreateHoldResponse& p) {
  p.set_balance(BalanceOf(written.postings[0]));
  HoldRow row{.hold_id = HoldIdOf(order.wallet_id, order.request_id),
              .wallet_id = order.wallet_id,
              .currency = currency,
              .amount = order.amount,
              .state = "open",
              .captured = std::nullopt,
              .created_at = times.created_at,
              .expires_at = times.expires_at};
  if (times.batch_id == written.batch_id) {
    *p.mutable_hold() = ToMessage(row, core_.scale());
    return call->Finish(absl::OkStatus());
  }
  // A repetition: when it was made is asked for, and the rest is as it was then.
  const absl::Status posted = core_.Post([this, call, &p, row]() mutable {
    const auto stored = reader_.FindHold(call->context(), row.hold_id, row.wallet_id);
    if (stored.ok()) {
      row.created_at = stored->created_at;
      row.expires_at = stored->expires_at;
      *p.mutable_hold() = ToMessage(row, core_.scale());
    }
    call->Finish(stored.status());
  });
  if (!posted.ok()) call->Finish(posted);
}

void WalletService::Capture(Async call, const v1::CaptureHoldRequest& q,
                            v1::CaptureHoldResponse& p) {
  const absl::StatusOr<CaptureOrder> order = Check(q, core_.scale());
  if (!order.ok()) return Finish(*call, order.status());
  const absl::Status posted =
      core_.Post([this, call, &p, order = *order] { CaptureOf(call, order, p); });
  if (!posted.ok()) Finish(*call, posted);
}

void WalletService::CaptureOf(Async call, const CaptureOrder& order, v1::CaptureHoldResponse& p) {
  const absl::StatusOr<HoldRow> hold =
      reader_.FindHold(call->context(), order.hold_id, order.wallet_id);
  if (!hold.ok()) return Finish(*call, hold.status());
  bool far = false;
  if (!order.to_wallet_id.empty()) {
    const auto to = core_.ReadCurrencies({order.to_wallet_id}, call->context());
    if (!to.ok()) return Finish(*call, to.status());
    if ((*to)[0] != hold->currency)
      return Finish(*call, CurrencyMismatch({order.wallet_id, hold->currency},
                                            {order.to_wallet_id, (*to)[0]}));
    far = core_.ShardOf(order.to_wallet_id) != core_.ShardOf(order.wallet_id);
  }
  core_.Write(
      core_.ShardOf(order.wallet_id), CallerOf(*call),
      [&](const MovementContext& context) {
        return wallets::Capture(context, order, {hold->currency, hold->amount}, far);
      },
      [this, call, &p, order, far, row = *hold](const absl::StatusOr<Written>& written) mutable {
        if (!written.ok()) {
          return Finish(*call, written.status(),
                        {.request_id = order.request_id,
                         .payer = {order.wallet_id, row.currency},
                         .payee = {order.to_wallet_id, row.currency}});
        }
        row.state = "captured";
        row.captured = order.amount.value_or(row.amount);
        *p.mutable_hold() = ToMessage(row, core_.scale());
        if (order.to_wallet_id.empty()) return call->Finish(absl::OkStatus());
        p.set_transfer_id(TransferIdOf(order.wallet_id, order.request_id));
        if (!far) {
          p.set_transfer_state(v1::TRANSFER_STATE_SETTLED);
          return call->Finish(absl::OkStatus());
        }
        Drive(call,
              {.transfer_id = p.transfer_id(),
               .from_wallet_id = order.wallet_id,
               .to_wallet_id = order.to_wallet_id,
               .amount = *row.captured,
               .currency = row.currency,
               .request_id = order.request_id,
               .description = order.description},
              [&p](const TransferDriver::Outcome& outcome) {
                p.set_transfer_state(outcome.state);
                p.set_refund_reason(outcome.refund_reason);
              });
      });
}

void WalletService::Release(Async call, const v1::ReleaseHoldRequest& q,
                            v1::ReleaseHoldResponse& p) {
  const absl::StatusOr<ReleaseOrder> order = Check(q);
  if (!order.ok()) return Finish(*call, order.status());
  const absl::Status posted =
      core_.Post([this, call, &p, order = *order] { ReleaseOf(call, order, p); });
  if (!posted.ok()) Finish(*call, posted);
}

void WalletService::ReleaseOf(Async call, const ReleaseOrder& order, v1::ReleaseHoldResponse& p) {
  const absl::StatusOr<HoldRow> hold =
      reader_.FindHold(call->context(), order.hold_id, order.wallet_id);
  if (!hold.ok()) return Finish(*call, hold.status());
  core_.Write(
      core_.ShardOf(order.wallet_id), CallerOf(*call),
      [&](const MovementContext& context) {
        return wallets::Release(context, order, {hold->currency, hold->amount});
      },
      [this, call, &p, order, row = *hold](const absl::StatusOr<Written>& written) mutable {
        if (written.ok()) {
          row.state = "released";
          row.captured.reset();
          *p.mutable_hold() = ToMessage(row, core_.scale());
          p.set_balance(BalanceOf(written->postings[0]));
        }
        Finish(*call, written.status(),
               {.request_id = order.request_id,
                .payer = {order.wallet_id, row.currency},
                .payee = {}});
      });
}

}  // namespace saldo::wallets
