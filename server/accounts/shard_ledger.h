// The ledger of one shard: what writes, reads and looks after its database.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <vector>

#include "common/observability/trace.h"
#include "common/postgres/pool.h"
#include "server/accounts/aggregation/aggregation.h"
#include "server/accounts/aggregation/config.h"
#include "server/accounts/aggregation/retention.h"
#include "server/accounts/reading/reader.h"
#include "server/accounts/types/config.h"
#include "server/accounts/types/registry.h"
#include "server/accounts/writing/writer.h"
#include "server/shards/shard_set.h"

namespace saldo::accounts {

struct LedgerOptions {
  LedgerConfig ledger;                   // section ledger
  WriterOptions writer;                  // section ledger.writer
  AggregationConfig aggregation;         // section jobs.aggregation
  EventRetentionConfig event_retention;  // section jobs.event_retention
  // Types of other slices, besides those of the types file.
  std::vector<AccountType> built_in = {};
};

class ShardLedger {
 public:
  // Adds its parts to the shard, which starts and stops them. `shards` and `tracer` outlive this.
  ShardLedger(const LedgerOptions& options, shards::ShardSet& shards, size_t shard,
              const trace::Tracer& tracer);

  size_t shard() const { return shard_; }
  // The types of this moment; their ids are this database's. Null until the shard has started.
  std::shared_ptr<const AccountTypes> types() const { return types_.current(); }
  AccountTypeRegistry& type_registry() { return types_; }
  Writer& writer() { return writer_; }
  BalanceReader& reader() { return reader_; }
  // Null when it is switched off.
  Aggregation* aggregation() { return aggregation_.has_value() ? &*aggregation_ : nullptr; }
  EventRetention* event_retention() {
    return event_retention_.has_value() ? &*event_retention_ : nullptr;
  }

 private:
  const size_t shard_;
  AccountTypeRegistry types_;
  postgres::Pool writer_pool_;
  std::optional<Aggregation> aggregation_;
  std::optional<EventRetention> event_retention_;
  Writer writer_;
  BalanceReader reader_;
};

}  // namespace saldo::accounts
