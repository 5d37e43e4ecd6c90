#include "server/wallets/sweepers.h"

#include <atomic>
#include <memory>
#include <utility>
#include <vector>

#include "absl/synchronization/blocking_counter.h"
#include "absl/time/clock.h"
#include "common/base/status_macros.h"
#include "common/observability/log.h"
#include "server/wallets/errors.h"
#include "server/wallets/movements.h"

namespace saldo::wallets {
namespace {

// Of one run, of which the writer is the longest part.
constexpr absl::Duration kRunTimeout = absl::Seconds(30);
constexpr absl::Duration kCountInterval = absl::Seconds(10);

}  // namespace

HoldSweeper::HoldSweeper(const HoldSweepConfig& config, WalletCore& core, size_t shard,
                         metrics::Registry& registry)
    : config_(config),
      core_(core),
      shard_(shard),
      expired_(registry.AddCounter("saldo_wallet_holds_expired_total",
                                   "Holds that expired and were given back by this server.")),
      open_(registry.AddGauge("saldo_wallet_holds_open", "Holds that are open.")),
      in_transit_(registry.AddGauge("saldo_wallet_transfers_in_transit",
                                    "Transfers to other shards that are debited and not ended.")),
      oldest_s_(registry.AddGauge("saldo_wallet_transfer_oldest_seconds",
                                  "Age of the oldest transfer in transit; 0 when there is none.")),
      job_("wallet-holds", {.interval = config.interval},
           [this](runtime::StopSignal&) { return RunOnce(); }) {}

absl::StatusOr<bool> HoldSweeper::RunOnce() {
  const CallContext context = CallContext::WithTimeout(kRunTimeout);
  SALDO_RETURN_IF_ERROR(Count(context));
  SALDO_ASSIGN_OR_RETURN(const std::vector<HoldRow> holds,
                         core_.store(shard_).ExpiredHolds(context, config_.holds_max));
  absl::BlockingCounter answered(static_cast<int>(holds.size()));
  std::atomic<int> expired{0};
  std::atomic<int> failed{0};
  for (const HoldRow& hold : holds) {
    const auto ended = std::make_shared<bool>(false);
    core_.Write(
        shard_, {context, {}},
        [&](const MovementContext& movement) {
          return Expire(movement, hold.hold_id, hold.wallet_id, {hold.currency, hold.amount},
                        ended);
        },
        [&, ended](const absl::StatusOr<accounts::Written>& written) {
          // One that was captured, released or expired by another server meanwhile is no failure.
          if (written.ok()) {
            expired += *ended ? 1 : 0;
          } else if (ReasonOf(written.status()) != "HOLD_NOT_OPEN") {
            ++failed;
          }
          answered.DecrementCount();
        });
  }
  answered.Wait();
  expired_.Increment(expired);
  if (failed > 0)
    return absl::UnavailableError("expired holds could not be given back, and are tried again");
  return holds.size() == static_cast<size_t>(config_.holds_max);
}

absl::Status HoldSweeper::Count(const CallContext& context) {
  const absl::Time now = absl::Now();
  if (now < count_at_) return absl::OkStatus();
  SALDO_ASSIGN_OR_RETURN(const WalletStore::Counts counts, core_.store(shard_).Count(context));
  open_.Set(static_cast<double>(counts.open_holds));
  in_transit_.Set(static_cast<double>(counts.transfers));
  oldest_s_.Set(counts.oldest_transfer_s);
  count_at_ = now + kCountInterval;
  return absl::OkStatus();
}

TransferSweeper::TransferSweeper(const TransferSweepConfig& config, WalletCore& core,
                                 TransferDriver& driver, size_t shard)
    : config_(config),
      core_(core),
      driver_(driver),
      shard_(shard),
      job_("wallet-transfers", {.interval = config.interval},
           [this](runtime::StopSignal&) { return RunOnce(); }) {}

absl::StatusOr<bool> TransferSweeper::RunOnce() {
  const CallContext context = CallContext::WithTimeout(kRunTimeout);
  SALDO_ASSIGN_OR_RETURN(const std::vector<TransferOutRow> transfers,
                         core_.store(shard_).Debited(context, config_.grace, after_created_at_,
                                                     after_id_, config_.transfers_max));
  const bool more = transfers.size() == static_cast<size_t>(config_.transfers_max);
  after_created_at_ = more ? transfers.back().created_at : absl::UnixEpoch();
  after_id_ = more ? transfers.back().transfer.transfer_id : "";
  absl::BlockingCounter answered(static_cast<int>(transfers.size()));
  for (const TransferOutRow& row : transfers) {
    driver_.Drive(row.transfer, {context, {}},
                  [&answered](const TransferDriver::Outcome&) { answered.DecrementCount(); });
  }
  answered.Wait();
  return more;
}

}  // namespace saldo::wallets
