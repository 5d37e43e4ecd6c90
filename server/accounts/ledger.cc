#include "server/accounts/ledger.h"

#include <string>

#include "common/base/status_macros.h"
#include "common/observability/log.h"
#include "common/runtime/thread_shard.h"

namespace saldo::accounts {
namespace {

std::vector<std::unique_ptr<ShardLedger>> MakeLedgers(const LedgerOptions& options,
                                                      shards::ShardSet& shards,
                                                      const trace::Tracer& tracer) {
  std::vector<std::unique_ptr<ShardLedger>> ledgers;
  for (size_t i = 0; i < shards.size(); ++i)
    ledgers.push_back(std::make_unique<ShardLedger>(options, shards, i, tracer));
  return ledgers;
}

}  // namespace

Ledger::Ledger(const LedgerOptions& options, shards::ShardSet& shards, rpc::Dispatcher& dispatcher,
               metrics::Registry& registry, const trace::Tracer& tracer)
    : config_(options.ledger),
      shards_(shards),
      ledgers_(MakeLedgers(options, shards, tracer)),
      service_(shards, ledgers_, dispatcher, registry) {}

absl::Status Ledger::Reload(absl::FunctionRef<void(size_t shard)> taken) {
  const auto types = AccountTypeRegistry::ReadFile(config_);
  absl::Status first_failure;
  for (const auto& ledger : ledgers_) {
    // A shard that starts later reads them then.
    if (ledger->types() == nullptr) continue;
    const runtime::ScopedShard scope(shards_.log_name(ledger->shard()));
    const absl::Status status = ledger->type_registry().Reload(types);
    if (status.ok()) {
      taken(ledger->shard());
    } else if (shards_.size() > 1) {
      log::Error("a shard keeps its old account types");
    }
    first_failure.Update(shards_.Named(ledger->shard(), status));
  }
  return first_failure;
}

void Ledger::AddTo(tasks::Kinds& kinds) {
  // Each does on demand what its job does by itself, on every shard.
  if (ledgers_[0]->aggregation() != nullptr) {
    kinds.Add({.name = "aggregate",
               .about = "adds up the turnovers of all that was written until now",
               .schedule = "*/5 * * * *",
               .handler = [this](tasks::TaskContext& task) -> absl::StatusOr<std::string> {
                 SALDO_RETURN_IF_ERROR(shards_.ForAll([&](size_t shard) {
                   return ledgers_[shard]->aggregation()->CatchUp(task.stop());
                 }));
                 return std::string("up to date");
               }});
  }
  if (ledgers_[0]->event_retention() != nullptr) {
    kinds.Add({.name = "event_retention",
               .about = "makes the partitions of events and drops those past their retention",
               .schedule = "*/10 * * * *",
               .handler = [this](tasks::TaskContext&) -> absl::StatusOr<std::string> {
                 SALDO_RETURN_IF_ERROR(shards_.ForAll([&](size_t shard) {
                   return ledgers_[shard]->event_retention()->RunOnce().status();
                 }));
                 return std::string("up to date");
               }});
  }
}

}  // namespace saldo::accounts
