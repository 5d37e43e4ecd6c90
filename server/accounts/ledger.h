// The ledger as a part of a server: its account types, writer, jobs and service.
#pragma once

#include <memory>
#include <optional>

#include "absl/status/status.h"
#include "common/config/binder.h"
#include "common/observability/metrics.h"
#include "common/observability/trace.h"
#include "common/postgres/pool.h"
#include "common/rpc/dispatcher.h"
#include "common/runtime/service_group.h"
#include "server/accounts/aggregation/aggregation.h"
#include "server/accounts/aggregation/config.h"
#include "server/accounts/aggregation/retention.h"
#include "server/accounts/reading/reader.h"
#include "server/accounts/service.h"
#include "server/accounts/types/config.h"
#include "server/accounts/types/registry.h"
#include "server/accounts/writing/writer.h"
#include "server/outbox/outbox.h"
#include "server/tasks/kinds.h"

namespace saldo::accounts {

struct LedgerOptions {
  LedgerConfig ledger;                   // section ledger
  WriterOptions writer;                  // section ledger.writer
  AggregationConfig aggregation;         // section jobs.aggregation
  EventRetentionConfig event_retention;  // section jobs.event_retention
};

class Ledger {
 public:
  // All arguments but `options` outlive the ledger.
  Ledger(LedgerOptions options, postgres::Pool& pool, const outbox::Outbox& outbox,
         rpc::Dispatcher& dispatcher, metrics::Registry& registry, const trace::Tracer& tracer);

  grpc::Service& service() { return service_; }
  // In the order in which they start; they need the database, and calls need them.
  void AddTo(runtime::ServiceGroup& parts);
  void AddTo(tasks::Kinds& kinds);
  // Reads the account types again.
  absl::Status Reload() { return types_.Reload(); }

 private:
  AccountTypeRegistry types_;
  postgres::Pool writer_pool_;
  std::optional<Aggregation> aggregation_;
  std::optional<EventRetention> event_retention_;
  Writer writer_;
  BalanceReader reader_;
  AccountService service_;
};

}  // namespace saldo::accounts
