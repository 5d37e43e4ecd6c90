// Locks as a part of a server: their service, who waits for them, and the conditions of
// WriteEvents.
#pragma once

#include <string_view>

#include "absl/status/status.h"
#include "common/observability/trace.h"
#include "common/rpc/dispatcher.h"
#include "common/runtime/service.h"
#include "server/accounts/writing/request_extension.h"
#include "server/keys/sharded_types.h"
#include "server/locks/acquiring.h"
#include "server/locks/config.h"
#include "server/locks/extension.h"
#include "server/locks/part.h"
#include "server/locks/service.h"
#include "server/shards/shard_set.h"
#include "server/tasks/kinds.h"

namespace saldo::locks {

// Started after the shards, before the server of calls.
class Locks final : public runtime::Service {
 public:
  // Adds its parts to the shards. All arguments but `config` outlive it.
  Locks(const LocksConfig& config, const keys::ShardedTypes& types, shards::ShardSet& shards,
        rpc::Dispatcher& dispatcher, const trace::Tracer& tracer)
      : shards_(shards),
        acquiring_(config, shards, tracer),
        service_(types, acquiring_, dispatcher),
        extension_(types, part_) {}

  std::string_view name() const override { return acquiring_.name(); }
  absl::Status Start() override { return acquiring_.Start(); }
  void Stop() override { acquiring_.Stop(); }

  grpc::Service& service() { return service_; }
  // For Ledger::Add.
  const accounts::RequestExtension& extension() const { return extension_; }
  void AddTo(tasks::Kinds& kinds);
  // Answers all calls that wait, now and from now on: before a stop, which would wait for them.
  void EndWaits() { acquiring_.EndWaits(); }

 private:
  shards::ShardSet& shards_;
  LockTokensPart part_;
  Acquiring acquiring_;
  LockService service_;
  LockExtension extension_;
};

}  // namespace saldo::locks
