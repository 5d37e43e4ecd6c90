#include "cli/shard/store.h"

#include <string_view>
#include <tuple>
#include <utility>

#include "common/base/status_macros.h"
#include "common/postgres/result.h"
#include "common/postgres/statement.h"

namespace saldo::cli::shard {
namespace {

using postgres::Result;
using postgres::Statement;

// Batches that have no seq yet count as well, up to a bound, so that a sequencer that stands still
// is seen.
constexpr Statement kFigures{
    "shard.figures",
    "SELECT pg_database_size(current_database()), s.last_seq,"
    " s.last_seq - (SELECT seq FROM cursors WHERE consumer = 'relay') + w.batches,"
    " s.last_seq - (SELECT seq FROM cursors WHERE consumer = 'aggregation') + w.batches,"
    " (SELECT reltuples::int8 FROM pg_class WHERE oid = 'accounts'::regclass) "
    "FROM sequencer AS s CROSS JOIN LATERAL (SELECT count(*) AS batches FROM"
    "  ((SELECT batch_id FROM batches WHERE batch_id > s.scanned_to ORDER BY batch_id LIMIT 10000)"
    "   UNION ALL SELECT batch_id FROM batches WHERE batch_id = ANY (s.gaps)) AS b) AS w"};
// Above this, counting takes seconds.
constexpr int64_t kCountedMax = 1'000'000;
constexpr Statement kCount{"shard.count_accounts", "SELECT count(*) FROM accounts"};

constexpr Statement kTypes{
    "shard.types",
    "SELECT 'account', name, key_attributes, sharding_attributes FROM account_types "
    "UNION ALL SELECT kind, name, key_attributes, sharding_attributes FROM keyed_types "
    "ORDER BY 1, 2"};

}  // namespace

absl::StatusOr<Figures> ReadFigures(postgres::Connection& connection, const CallContext& context) {
  Figures figures;
  SALDO_ASSIGN_OR_RETURN(Result result, connection.Query(context, kFigures));
  SALDO_ASSIGN_OR_RETURN(
      const auto row,
      (std::move(result)
           .One<int64_t, int64_t, std::optional<int64_t>, std::optional<int64_t>, int64_t>()));
  std::tie(figures.bytes, figures.last_seq, figures.relay_lag, figures.aggregation_lag,
           figures.accounts) = row;
  figures.accounts_estimated = figures.accounts > kCountedMax;
  if (figures.accounts_estimated) return figures;
  SALDO_ASSIGN_OR_RETURN(result, connection.Query(context, kCount));
  SALDO_ASSIGN_OR_RETURN(const auto count, std::move(result).One<int64_t>());
  figures.accounts = std::get<0>(count);
  return figures;
}

absl::StatusOr<std::vector<KeyedType>> ReadTypes(postgres::Connection& connection,
                                                 const CallContext& context) {
  SALDO_ASSIGN_OR_RETURN(Result result, connection.Query(context, kTypes));
  SALDO_ASSIGN_OR_RETURN(const auto rows,
                         (std::move(result)
                              .As<std::string, std::string, std::vector<std::string_view>,
                                  std::vector<std::string_view>>()));
  std::vector<KeyedType> types;
  for (const auto& [kind, name, key, sharding] : rows)
    types.push_back({kind, name, {key.begin(), key.end()}, {sharding.begin(), sharding.end()}});
  return types;
}

}  // namespace saldo::cli::shard
