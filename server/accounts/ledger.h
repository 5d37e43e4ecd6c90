// The ledger as a part of a server: a ledger on each shard, and the service that knows which of
// them a request is for.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "common/observability/metrics.h"
#include "common/observability/trace.h"
#include "common/rpc/dispatcher.h"
#include "server/accounts/service.h"
#include "server/accounts/shard_ledger.h"
#include "server/shards/shard_set.h"
#include "server/tasks/kinds.h"

namespace saldo::accounts {

class Ledger {
 public:
  // Adds its parts to the shards, which start and stop them; calls need them. All arguments but
  // `options` outlive the ledger.
  Ledger(const LedgerOptions& options, shards::ShardSet& shards, rpc::Dispatcher& dispatcher,
         metrics::Registry& registry, const trace::Tracer& tracer);

  grpc::Service& service() { return service_; }
  void AddTo(tasks::Kinds& kinds);
  // Before Start of the shards: a slice that takes part in WriteEvents.
  void Add(const RequestExtension& extension) { service_.Add(extension); }
  // Reads the account types again, once for all shards that have started. The first failure is the
  // answer; a shard that takes the new types works with them, also when another one does not, and
  // `taken` is called for it.
  absl::Status Reload(absl::FunctionRef<void(size_t shard)> taken);

  // For the slices that write and read through the ledger. See ShardLedger.
  Writer& writer(size_t shard) { return ledgers_[shard]->writer(); }
  BalanceReader& reader(size_t shard) { return ledgers_[shard]->reader(); }
  std::shared_ptr<const AccountTypes> types(size_t shard) const { return ledgers_[shard]->types(); }

 private:
  const LedgerConfig config_;
  shards::ShardSet& shards_;
  const std::vector<std::unique_ptr<ShardLedger>> ledgers_;  // in the order of shards
  AccountService service_;
};

}  // namespace saldo::accounts
