// The jobs of one shard: holds that expired are given back, transfers to other shards that were
// left under way are driven on. Any number of servers may run them.
#pragma once

#include <cstddef>
#include <functional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "common/base/call_context.h"
#include "common/observability/metrics.h"
#include "common/runtime/periodic_job.h"
#include "common/runtime/service.h"
#include "server/wallets/config.h"
#include "server/wallets/core.h"
#include "server/wallets/transfers.h"

namespace saldo::wallets {

class HoldSweeper final : public runtime::Service {
 public:
  // All but `config` outlive it. `registry` is the shard's.
  HoldSweeper(const HoldSweepConfig& config, WalletCore& core, size_t shard,
              metrics::Registry& registry);
  ~HoldSweeper() override { Stop(); }

  std::string_view name() const override { return "wallet-holds"; }
  absl::Status Start() override { return job_.Start(); }
  void Stop() override { job_.Stop(); }

  // Gives back the oldest expired holds. Whether there may be more. Also counts what is open.
  absl::StatusOr<bool> RunOnce();

 private:
  absl::Status Count(const CallContext& context);

  const HoldSweepConfig config_;
  WalletCore& core_;
  const size_t shard_;
  metrics::Counter& expired_;
  metrics::Gauge& open_;
  metrics::Gauge& in_transit_;
  metrics::Gauge& oldest_s_;
  absl::Time count_at_ = absl::InfinitePast();  // of the job's thread
  runtime::PeriodicJob job_;
};

class TransferSweeper final : public runtime::Service {
 public:
  // All but `config` outlive it.
  TransferSweeper(const TransferSweepConfig& config, WalletCore& core, TransferDriver& driver,
                  size_t shard);
  ~TransferSweeper() override { Stop(); }

  std::string_view name() const override { return "wallet-transfers"; }
  absl::Status Start() override { return job_.Start(); }
  void Stop() override { job_.Stop(); }

  // Drives on some of the transfers under way, the older ones first. Whether there are more.
  absl::StatusOr<bool> RunOnce();

 private:
  const TransferSweepConfig config_;
  WalletCore& core_;
  TransferDriver& driver_;
  const size_t shard_;
  // Where the last run ended, so that those which cannot be driven do not keep out the others.
  absl::Time after_created_at_ = absl::UnixEpoch();
  std::string after_id_;
  runtime::PeriodicJob job_;
};

}  // namespace saldo::wallets
