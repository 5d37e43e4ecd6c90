// Wallets as a part of a server: their service, and the jobs on each shard.
#pragma once

#include <memory>
#include <vector>

#include "common/observability/metrics.h"
#include "common/rpc/dispatcher.h"
#include "common/runtime/service.h"
#include "server/accounts/ledger.h"
#include "server/shards/shard_set.h"
#include "server/wallets/config.h"
#include "server/wallets/core.h"
#include "server/wallets/service.h"
#include "server/wallets/sweepers.h"
#include "server/wallets/transfers.h"

namespace saldo::wallets {

class Wallets {
 public:
  // Adds its jobs to the shards, which start and stop them. All arguments but `options` outlive it;
  // the ledger has the types of BuiltInTypes.
  Wallets(const WalletsOptions& options, shards::ShardSet& shards, accounts::Ledger& ledger,
          rpc::Dispatcher& dispatcher, metrics::Registry& registry);

  grpc::Service& service() { return service_; }
  // Calls need it. Stopped after calls, and before the shards.
  runtime::Service& part() { return core_; }

  WalletCore& core() { return core_; }
  TransferDriver& transfers() { return transfers_; }

 private:
  WalletCore core_;
  TransferDriver transfers_;
  WalletService service_;
  std::vector<std::unique_ptr<HoldSweeper>> hold_sweepers_;
  std::vector<std::unique_ptr<TransferSweeper>> transfer_sweepers_;
};

}  // namespace saldo::wallets
