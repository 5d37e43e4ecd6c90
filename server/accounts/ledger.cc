#include "server/accounts/ledger.h"

#include <utility>

#include "common/base/status_macros.h"

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

Ledger::Ledger(LedgerOptions options, postgres::Pool& pool, const outbox::Outbox& outbox,
               rpc::Dispatcher& dispatcher, metrics::Registry& registry,
               const trace::Tracer& tracer)
    : types_(options.ledger, pool, registry),
      writer_pool_(WriterPool(pool.options()), registry),
      writer_(options.writer, writer_pool_, outbox, registry, tracer),
      reader_(pool),
      service_([this] { return types_.current(); }, writer_, reader_, dispatcher, registry) {
  if (options.aggregation.enabled)
    aggregation_.emplace(options.aggregation.options, pool, registry);
  if (options.event_retention.enabled) {
    options.event_retention.options.request_retention = options.ledger.idempotency_retention;
    event_retention_.emplace(options.event_retention.options, pool, registry);
  }
}

void Ledger::AddTo(runtime::ServiceGroup& parts) {
  parts.Add(types_);
  if (aggregation_.has_value()) parts.Add(*aggregation_);
  if (event_retention_.has_value()) parts.Add(*event_retention_);
  parts.Add(writer_);
}

void Ledger::AddTo(tasks::Kinds& kinds) {
  // Each does on demand what its job does by itself.
  if (aggregation_.has_value()) {
    kinds.Add({.name = "aggregate",
               .about = "adds up the turnovers of all that was written until now",
               .schedule = "*/5 * * * *",
               .handler = [this](tasks::TaskContext& task) -> absl::StatusOr<std::string> {
                 SALDO_RETURN_IF_ERROR(aggregation_->CatchUp(task.stop()));
                 return std::string("up to date");
               }});
  }
  if (event_retention_.has_value()) {
    kinds.Add({.name = "event_retention",
               .about = "makes the partitions of events and drops those past their retention",
               .schedule = "*/10 * * * *",
               .handler = [this](tasks::TaskContext&) -> absl::StatusOr<std::string> {
                 SALDO_RETURN_IF_ERROR(event_retention_->RunOnce().status());
                 return std::string("up to date");
               }});
  }
}

}  // namespace saldo::accounts
