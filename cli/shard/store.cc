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

constexpr Statement kAccountTypes{
    "shard.account_types",
    "SELECT 'account', name, key_attributes, sharding_attributes FROM account_types ORDER BY name"};
// Types of what is sharded and no account; the table comes with the first of them.
constexpr Statement kHasKeyedTypes{"shard.has_keyed_types",
                                   "SELECT to_regclass('keyed_types') IS NOT NULL"};
constexpr Statement kKeyedTypes{
    "shard.keyed_types",
    "SELECT kind::text, name, key_attributes, sharding_attributes FROM keyed_types "
    "ORDER BY kind, name"};

absl::Status AddTypes(postgres::Connection& connection, const CallContext& context,
                      const Statement& statement, std::vector<KeyedType>* types) {
  SALDO_ASSIGN_OR_RETURN(Result result, connection.Query(context, statement));
  SALDO_ASSIGN_OR_RETURN(const auto rows,
                         (std::move(result)
                              .As<std::string, std::string, std::vector<std::string_view>,
                                  std::vector<std::string_view>>()));
  for (const auto& [kind, name, key, sharding] : rows) {
    types->push_back({kind, name, {key.begin(), key.end()}, {sharding.begin(), sharding.end()}});
  }
  return absl::OkStatus();
}

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
  std::vector<KeyedType> types;
  SALDO_RETURN_IF_ERROR(AddTypes(connection, context, kAccountTypes, &types));
  SALDO_ASSIGN_OR_RETURN(Result result, connection.Query(context, kHasKeyedTypes));
  SALDO_ASSIGN_OR_RETURN(const auto there, std::move(result).One<bool>());
  if (std::get<0>(there)) SALDO_RETURN_IF_ERROR(AddTypes(connection, context, kKeyedTypes, &types));
  return types;
}

}  // namespace saldo::cli::shard
