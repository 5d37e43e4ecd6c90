#include "server/wallets/transfers.h"

#include <utility>

#include "absl/time/clock.h"
#include "common/observability/log.h"
#include "server/wallets/errors.h"

namespace saldo::wallets {
namespace {

// How often it is told why transfers are left under way.
constexpr absl::Duration kLogInterval = absl::Seconds(10);

constexpr const char* kDecided = "TRANSFER_DECIDED";

// Whether it is asked what was decided before.
bool MayBeDecided(const absl::Status& status) {
  const std::string reason = ReasonOf(status);
  return reason == kDecided || reason == "REQUEST_ID_REUSED";
}

// Whether the payee can never be credited: everything else is tried again.
bool IsRefusal(const std::string& reason) {
  return reason == "WALLET_CLOSED" || reason == "WALLET_NOT_FOUND";
}

}  // namespace

void TransferDriver::Drive(TransferRow transfer, const Caller& caller, Done done) {
  auto shared = std::make_shared<TransferRow>(std::move(transfer));
  Decide(
      *shared, caller,
      [this, shared, caller, done = std::move(done)](absl::StatusOr<std::string> refused) mutable {
        if (!refused.ok()) {
          LogLeft("payee", *shared, refused.status());
          return done({});
        }
        std::string reason = *std::move(refused);
        End(*shared, reason, caller,
            [this, shared, reason, done = std::move(done)](const absl::Status& status) mutable {
              if (!status.ok()) {
                LogLeft("payer", *shared, status);
                return done({});
              }
              done({.state =
                        reason.empty() ? v1::TRANSFER_STATE_SETTLED : v1::TRANSFER_STATE_REFUNDED,
                    .refund_reason = reason});
            });
      });
}

void TransferDriver::LogLeft(const char* at, const TransferRow& transfer,
                             const absl::Status& status) {
  const bool waits = !absl::IsDataLoss(status);
  const absl::Time now = absl::Now();
  int64_t others = 0;
  {
    absl::MutexLock lock(&mutex_);
    LogLimit& limit = waits ? waiting_ : undecidable_;
    if (now < limit.again_at) {
      ++limit.unlogged;
      return;
    }
    limit.again_at = now + kLogInterval;
    others = std::exchange(limit.unlogged, 0);
  }
  log::Write(
      waits ? log::Level::kWarning : log::Level::kError,
      waits ? "a transfer is left in transit, and tried again"
            : "a transfer stays in transit until people decide it",
      {{"transfer_id", transfer.transfer_id}, {"at", at}, {"reason", status}, {"others", others}});
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
        if (MayBeDecided(status)) return AskDecision(transfer, caller, std::move(decided));
        const std::string reason = ReasonOf(status);
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
        if (MayBeDecided(written.status()))
          return AskDecision(transfer, caller, std::move(decided));
        decided(written.status());
      });
}

void TransferDriver::AskDecision(const TransferRow& transfer, const Caller& caller,
                                 Decided decided) {
  const auto shared = std::make_shared<Decided>(std::move(decided));
  const size_t shard = core_.ShardOf(transfer.to_wallet_id);
  const absl::Status posted = core_.Post([this, shard, shared, transfer, caller] {
    const auto row = core_.store(shard).FindTransferIn(caller.context, transfer.transfer_id);
    if (!row.ok()) return (*shared)(core_.shards().Named(shard, row.status()));
    if (!row->has_value()) return (*shared)(absl::InternalError("a transfer's row is gone"));
    const TransferRow& known = (*row)->transfer;
    if (known.to_wallet_id != transfer.to_wallet_id || known.amount != transfer.amount ||
        known.currency != transfer.currency)
      return (*shared)(OtherTransfer(transfer.transfer_id));
    (*shared)((*row)->refused_reason);
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
