#include "server/wallets/transfers.h"

#include <utility>

#include "server/wallets/errors.h"

namespace saldo::wallets {
namespace {

constexpr const char* kDecided = "TRANSFER_DECIDED";

metrics::Counter& OutcomeCounter(metrics::Registry& registry, const std::string& outcome) {
  return registry.AddCounter("saldo_wallet_transfers_total",
                             "Transfers between wallets by the state that was reached; one that "
                             "was answered as debited is counted again when it ends.",
                             {{"outcome", outcome}});
}

// Whether the payee can never be credited: everything else is tried again.
bool IsRefusal(const std::string& reason) {
  return reason == "WALLET_CLOSED" || reason == "WALLET_NOT_FOUND";
}

}  // namespace

TransferDriver::TransferDriver(WalletCore& core, metrics::Registry& registry)
    : core_(core),
      settled_(OutcomeCounter(registry, "settled")),
      debited_(OutcomeCounter(registry, "debited")),
      refunded_(OutcomeCounter(registry, "refunded")) {}

void TransferDriver::Count(v1::TransferState state) {
  metrics::Counter& counter = state == v1::TRANSFER_STATE_SETTLED    ? settled_
                              : state == v1::TRANSFER_STATE_REFUNDED ? refunded_
                                                                     : debited_;
  counter.Increment();
}

void TransferDriver::Drive(TransferRow transfer, const Caller& caller, Done done) {
  auto shared = std::make_shared<TransferRow>(std::move(transfer));
  Decide(
      *shared, caller,
      [this, shared, caller, done = std::move(done)](absl::StatusOr<std::string> refused) mutable {
        if (!refused.ok()) return done({});
        std::string reason = *std::move(refused);
        End(*shared, reason, caller,
            [this, reason, done = std::move(done)](const absl::Status& status) mutable {
              Outcome outcome;
              if (status.ok()) {
                outcome.state =
                    reason.empty() ? v1::TRANSFER_STATE_SETTLED : v1::TRANSFER_STATE_REFUNDED;
                outcome.refund_reason = reason;
              }
              if (status.ok()) Count(outcome.state);
              done(std::move(outcome));
            });
      });
}

void TransferDriver::Decide(const TransferRow& transfer, const Caller& caller, Decided decided) {
  const size_t shard = core_.ShardOf(transfer.to_wallet_id);
  core_.Write(
      shard, caller,
      [&transfer](const MovementContext& context) { return Credit(context, transfer); },
      [this, transfer, caller,
       decided = std::move(decided)](absl::StatusOr<accounts::Written> written) mutable {
        if (written.ok()) return decided(std::string());
        const absl::Status status =
            ToWalletError(written.status(), {.request_id = transfer.request_id,
                                             .payer = {transfer.to_wallet_id, transfer.currency},
                                             .payee = {}});
        const std::string reason = ReasonOf(status);
        if (reason == kDecided) return AskDecision(transfer, caller, std::move(decided));
        if (IsRefusal(reason)) return Refuse(transfer, reason, caller, std::move(decided));
        decided(status);
      });
}

void TransferDriver::Refuse(const TransferRow& transfer, const std::string& reason,
                            const Caller& caller, Decided decided) {
  core_.Write(
      core_.ShardOf(transfer.to_wallet_id), caller,
      [&](const MovementContext& context) { return wallets::Refuse(context, transfer, reason); },
      [this, transfer, caller, reason,
       decided = std::move(decided)](absl::StatusOr<accounts::Written> written) mutable {
        if (written.ok()) return decided(reason);
        if (ReasonOf(written.status()) == kDecided)
          return AskDecision(transfer, caller, std::move(decided));
        decided(written.status());
      });
}

void TransferDriver::AskDecision(const TransferRow& transfer, const Caller& caller,
                                 Decided decided) {
  const auto shared = std::make_shared<Decided>(std::move(decided));
  const size_t shard = core_.ShardOf(transfer.to_wallet_id);
  const absl::Status posted = core_.Post([this, shard, shared, id = transfer.transfer_id, caller] {
    const auto row = core_.store(shard).FindTransferIn(caller.context, id);
    if (!row.ok()) return (*shared)(row.status());
    if (!row->has_value()) return (*shared)(absl::InternalError("a transfer's row is gone"));
    (*shared)(**row);
  });
  if (!posted.ok()) (*shared)(posted);
}

void TransferDriver::End(const TransferRow& transfer, const std::string& refund_reason,
                         const Caller& caller, absl::AnyInvocable<void(absl::Status)> ended) {
  core_.Write(
      core_.ShardOf(transfer.from_wallet_id), caller,
      [&](const MovementContext& context) {
        return refund_reason.empty() ? Settle(context, transfer)
                                     : Refund(context, transfer, refund_reason);
      },
      [ended = std::move(ended)](const absl::StatusOr<accounts::Written>& written) mutable {
        // Ended by another one, who had the same decision.
        const bool done = written.ok() || ReasonOf(written.status()) == kDecided;
        ended(done ? absl::OkStatus() : written.status());
      });
}

}  // namespace saldo::wallets
