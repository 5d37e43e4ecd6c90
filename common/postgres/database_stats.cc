#include "common/postgres/database_stats.h"

#include <cstdint>

#include "common/base/status_macros.h"

namespace saldo::postgres {
namespace {

constexpr absl::Duration kCallTimeout = absl::Seconds(10);

// Transactions of the whole server: one in another database, too, keeps batch ids waiting that were
// never committed. Its own is not one of them, nor are those of vacuum, which hold nothing up.
constexpr Statement kRead{"database.stats",
                          "SELECT pg_database_size(current_database()),"
                          " coalesce((extract(epoch FROM clock_timestamp() - least("
                          "   (SELECT min(xact_start) FROM pg_stat_activity"
                          "    WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()),"
                          "   (SELECT min(prepared) FROM pg_prepared_xacts))) * 1000000)::int8, 0),"
                          " (SELECT sum(numbackends)::int8 FROM pg_stat_database),"
                          " current_setting('max_connections')::int8"};

}  // namespace

DatabaseStats::DatabaseStats(Pool& pool, metrics::Registry& registry, absl::Duration interval)
    : pool_(pool),
      size_(registry.AddGauge("saldo_postgres_database_size_bytes",
                              "Disk space of the database, without WAL.")),
      oldest_transaction_(registry.AddGauge(
          "saldo_postgres_oldest_transaction_seconds",
          "Age of the oldest transaction in the database's server; 0 without one.")),
      connections_(registry.AddGauge("saldo_postgres_server_connections",
                                     "Connections to the database's server, of all clients.")),
      connections_max_(registry.AddGauge("saldo_postgres_server_connections_max",
                                         "The max_connections of the database's server.")),
      job_("database_stats", {.interval = interval},
           [this](runtime::StopSignal&) -> absl::StatusOr<bool> {
             SALDO_RETURN_IF_ERROR(RunOnce());
             return false;
           }) {}

absl::Status DatabaseStats::RunOnce() {
  SALDO_ASSIGN_OR_RETURN(Result result, pool_.Read(CallContext::WithTimeout(kCallTimeout), kRead));
  SALDO_ASSIGN_OR_RETURN(const auto row,
                         (std::move(result).One<int64_t, int64_t, int64_t, int64_t>()));
  const auto& [bytes, oldest_us, connections, connections_max] = row;
  size_.Set(static_cast<double>(bytes));
  oldest_transaction_.Set(absl::ToDoubleSeconds(absl::Microseconds(oldest_us)));
  connections_.Set(static_cast<double>(connections));
  connections_max_.Set(static_cast<double>(connections_max));
  return absl::OkStatus();
}

}  // namespace saldo::postgres
