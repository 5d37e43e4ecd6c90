#include "server/accounts/shard_ledger.h"

#include <utility>

namespace saldo::accounts {

namespace {

postgres::PoolOptions WriterPool(postgres::PoolOptions options) {
  options.name = "writer";
  options.connection.application_name += "-writer";
  options.connection.index_plans_only = true;
  // One writes; another may have to ask what became of its COMMIT.
  options.max_connections = 2;
  return options;
}

}  // namespace

ShardLedger::ShardLedger(const LedgerOptions& options, shards::ShardSet& shards, size_t shard,
                         const trace::Tracer& tracer)
    : shard_(shard),
      types_(options.ledger, shards.pool(shard), shards.registry(shard), options.built_in),
      writer_pool_(WriterPool(shards.pool(shard).options()), shards.registry(shard)),
      writer_(options.writer, writer_pool_, shards.outbox(shard), shards.registry(shard), tracer),
      reader_(shards.pool(shard)) {
  shards.Add(shard, types_);
  if (options.aggregation.enabled) {
    aggregation_.emplace(options.aggregation.options, shards.pool(shard), shards.registry(shard));
    shards.Add(shard, *aggregation_);
  }
  if (options.event_retention.enabled) {
    EventRetentionOptions retention = options.event_retention.options;
    retention.request_retention = options.ledger.idempotency_retention;
    event_retention_.emplace(retention, shards.pool(shard), shards.registry(shard));
    shards.Add(shard, *event_retention_);
  }
  shards.Add(shard, writer_);
}

}  // namespace saldo::accounts
