#include "server/wallets/wallets.h"

namespace saldo::wallets {

Wallets::Wallets(const WalletsOptions& options, shards::ShardSet& shards, accounts::Ledger& ledger,
                 rpc::Dispatcher& dispatcher, metrics::Registry& registry)
    : core_(options.wallets, shards, ledger, registry),
      transfers_(core_),
      service_(core_, transfers_, dispatcher, registry) {
  for (size_t shard = 0; shard < shards.size(); ++shard) {
    if (options.holds.enabled) {
      hold_sweepers_.push_back(
          std::make_unique<HoldSweeper>(options.holds, core_, shard, shards.registry(shard)));
      shards.Add(shard, *hold_sweepers_.back());
    }
    // With one shard no transfer is ever under way.
    if (options.transfers.enabled && shards.size() > 1) {
      transfer_sweepers_.push_back(
          std::make_unique<TransferSweeper>(options.transfers, core_, transfers_, shard));
      shards.Add(shard, *transfer_sweepers_.back());
    }
  }
}

}  // namespace saldo::wallets
