// States as a part of a server: what takes part in the ledger's writes, and the service.
#pragma once

#include <utility>

#include "common/observability/metrics.h"
#include "common/rpc/dispatcher.h"
#include "server/accounts/writing/request_extension.h"
#include "server/shards/shard_set.h"
#include "server/states/extension.h"
#include "server/states/part.h"
#include "server/states/service.h"

namespace saldo::states {

// Outlives the writers.
class States {
 public:
  // All arguments outlive it.
  States(shards::ShardSet& shards, const TypesOfShard& types, WriterOfShard writers,
         rpc::Dispatcher& dispatcher, metrics::Registry& registry)
      : part_(registry),
        extension_(shards.map(), types, part_),
        service_(shards, types, std::move(writers), part_, dispatcher) {}

  grpc::Service& service() { return service_; }
  const accounts::RequestExtension& extension() const { return extension_; }

 private:
  const StatesPart part_;
  const StateExtension extension_;
  StateService service_;
};

}  // namespace saldo::states
