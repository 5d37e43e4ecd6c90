#include "server/accounts/reading/store.h"

#include <string_view>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/postgres/error.h"
#include "common/postgres/statement.h"

namespace saldo::accounts {
namespace {

using postgres::Params;
using postgres::Result;
using postgres::Statement;

// In effect until the round trip ends. Only index walks are wanted: a plan that was made while a
// partition was empty must not read it from end to end when it is full.
constexpr Statement kSettings{
    "balances.settings",
    "SELECT set_config('plan_cache_mode', CASE WHEN $1 THEN 'force_generic_plan' ELSE "
    "'force_custom_plan' END, true), set_config('enable_seqscan', 'off', true), "
    "set_config('enable_mergejoin', 'off', true), set_config('enable_memoize', 'off', true)"};

constexpr Statement kDayStarts{
    "balances.day_starts",
    "SELECT day_start(day::date, time_zone) FROM ledger, unnest($1::text[]) WITH ORDINALITY AS "
    "d (day, n) ORDER BY n"};

// Events of a day are kept when it begins this long after kept_since: they may be written a day
// before they occur, by clocks that go an hour wrong.
#define SALDO_COMPLETE_FROM "kept_since + interval '25 hours'"

// The subaccounts `s` of the accounts whose keys `k` has, as far as the filter lets them pass:
// values
// ($4) of attributes in these places ($3). What was written before an attribute was added has it
// empty. OFFSET 0 keeps the planner from another way than from key to account to subaccounts, which
// might look well while there are few of them.
#define SALDO_SUBACCOUNTS(keys)                                                                   \
  keys " CROSS JOIN LATERAL (SELECT account_id FROM accounts WHERE type_id = $1 AND key = k.key " \
       "OFFSET 0) AS a CROSS JOIN LATERAL (SELECT subaccount_id, attributes FROM subaccounts "    \
       "WHERE account_id = a.account_id OFFSET 0) AS s WHERE NOT EXISTS (SELECT FROM "            \
       "unnest($3::int4[], $4::text[]) AS f (place, value) WHERE "                                \
       "coalesce((string_to_array(s.attributes, E'\\x1f'))[f.place], '') <> f.value)"

// The events of batches that the turnovers do not hold yet, of the subaccounts asked.
// The condition on them is one that the planner cannot turn into a join, which might walk all of
// their events.
#define SALDO_PENDING_EVENTS                                                                    \
  "aggregation, unnest(pending) AS range CROSS JOIN LATERAL (SELECT subaccount_id, "            \
  "occurred_at, is_credit, amount FROM events WHERE type_id = $1 AND batch_id >= "              \
  "lower(range) AND batch_id < coalesce(upper(range), 9223372036854775807) AND (subaccount_id " \
  "IN (SELECT subaccount_id FROM subaccounts_asked)) IS TRUE OFFSET 0) AS e"

// The sums before a moment are those of the whole years, months and days before an anchor, of the
// events between it and the moment that are in the turnovers, and of all pending events before the
// moment. The anchor is the start of the moment's day or, when fewer events are to be expected
// there, its end: then those between are taken away. So the balance now is as quick at the end of a
// busy day as at its start. Events are looked for, which takes a walk down an index of each
// partition, only where the turnovers have something of this day.
constexpr Statement kSums{
    "balances.sums",
    "WITH moments AS MATERIALIZED ("
    "  SELECT n, at, day, start, next_start, after,"
    "   CASE WHEN after THEN day + 1 ELSE day END AS anchor,"
    "   CASE WHEN after THEN next_start ELSE start END AS anchor_start,"
    "   at <> start AND start < " SALDO_COMPLETE_FROM " AS dropped"
    "  FROM (SELECT *, at > start AND least(next_start, now()) - at < least(at, now()) - start AS "
    "after"
    "   FROM (SELECT n, at, day, day_start(day, time_zone) AS start, day_start(day + 1, time_zone)"
    " AS next_start"
    "    FROM (SELECT n, at, time_zone, accounting_day(at, time_zone) AS day"
    "     FROM ledger, unnest($5::timestamptz[]) WITH ORDINALITY AS m (at, n)) AS a) AS b) AS c,"
    "   account_types WHERE type_id = $1),"
    " subaccounts_asked AS MATERIALIZED ("
    "  SELECT k.n, s.subaccount_id, s.attributes FROM "
    SALDO_SUBACCOUNTS("unnest($2::text[]) WITH ORDINALITY AS k (key, n)") "),"
    " tail AS MATERIALIZED ("
    "  SELECT m.n, e.subaccount_id, sum(e.amount) FILTER (WHERE NOT e.is_credit) AS debit,"
    "   sum(e.amount) FILTER (WHERE e.is_credit) AS credit"
    "  FROM " SALDO_PENDING_EVENTS
    "  JOIN moments AS m ON e.occurred_at < m.at GROUP BY 1, 2) "
    "SELECT s.n, m.n, s.attributes, m.dropped, m.start, m.next_start,"
    " b.debit + coalesce(t.debit, 0)"
    "  + coalesce(CASE WHEN m.after THEN -r.debit ELSE r.debit END, 0),"
    " b.credit + coalesce(t.credit, 0)"
    "  + coalesce(CASE WHEN m.after THEN -r.credit ELSE r.credit END, 0) "
    "FROM subaccounts_asked AS s CROSS JOIN moments AS m "
    "LEFT JOIN tail AS t ON t.n = m.n AND t.subaccount_id = s.subaccount_id "
    "CROSS JOIN LATERAL ("
    "  SELECT coalesce(sum(debit), 0) AS debit, coalesce(sum(credit), 0) AS credit FROM ("
    "   SELECT debit, credit FROM turnovers_year WHERE subaccount_id = s.subaccount_id"
    "    AND year < date_trunc('year', m.anchor::timestamp)::date"
    "   UNION ALL SELECT debit, credit FROM turnovers_month WHERE subaccount_id = s.subaccount_id"
    "    AND month >= date_trunc('year', m.anchor::timestamp)::date"
    "    AND month < date_trunc('month', m.anchor::timestamp)::date"
    "   UNION ALL SELECT debit, credit FROM turnovers_day WHERE subaccount_id = s.subaccount_id"
    "    AND day >= date_trunc('month', m.anchor::timestamp)::date AND day < m.anchor) AS x) AS b "
    "CROSS JOIN LATERAL ("
    "  SELECT sum(amount) FILTER (WHERE NOT is_credit) AS debit,"
    "   sum(amount) FILTER (WHERE is_credit) AS credit"
    "  FROM events WHERE m.at <> m.anchor_start AND EXISTS (SELECT FROM turnovers_day"
    "    WHERE subaccount_id = s.subaccount_id AND day = m.day)"
    "   AND type_id = $1 AND subaccount_id = s.subaccount_id"
    "   AND occurred_at >= least(m.at, m.anchor_start)"
    "   AND occurred_at < greatest(m.at, m.anchor_start)"
    "   AND NOT (SELECT pending FROM aggregation) @> batch_id) AS r"};

#define SALDO_TURNOVERS(period) \
  "WITH subaccounts_asked AS MATERIALIZED (SELECT s.subaccount_id, s.attributes "              \
  "FROM " SALDO_SUBACCOUNTS("(SELECT $2::text AS key) AS k") "), sums AS ("                    \
  "  SELECT subaccount_id, t." period " AS day, debit, credit FROM subaccounts_asked AS s "    \
  "  CROSS JOIN LATERAL (SELECT " period ", debit, credit FROM turnovers_" period " "          \
  "   WHERE subaccount_id = s.subaccount_id AND " period " >= $5::text::date AND " period " "  \
  "   < $6::text::date OFFSET 0) AS t "                                                        \
  "  UNION ALL SELECT subaccount_id, "                                                         \
  "   date_trunc('" period "', accounting_day(occurred_at, time_zone)::timestamp)::date, "     \
  "   CASE WHEN is_credit THEN 0 ELSE amount END, CASE WHEN is_credit THEN amount ELSE 0 END " \
  "  FROM ledger, " SALDO_PENDING_EVENTS                                                       \
  "  WHERE occurred_at >= day_start($5::text::date, time_zone) "                               \
  "   AND occurred_at < day_start($6::text::date, time_zone)) "                                \
  "SELECT to_char(day, 'YYYY-MM-DD'), attributes, sum(debit), sum(credit) "                    \
  "FROM sums JOIN subaccounts_asked USING (subaccount_id) GROUP BY 1, 2"

constexpr Statement kDays{"turnovers.days", SALDO_TURNOVERS("day")};
constexpr Statement kMonths{"turnovers.months", SALDO_TURNOVERS("month")};
constexpr Statement kYears{"turnovers.years", SALDO_TURNOVERS("year")};

// Every subaccount gives as many events as the page holds, in order, straight from its indexes.
#define SALDO_EVENTS(position, order) \
  "SELECT " SALDO_COMPLETE_FROM ", e.* FROM account_types AS t LEFT JOIN LATERAL ("               \
  "  SELECT e.batch_id, e.ordinal, e.subaccount_id, s.attributes, e.is_credit, e.amount, "        \
  "   e.occurred_at, e.balance_after, e.info "                                                    \
  "  FROM (SELECT s.subaccount_id, s.attributes FROM "                                           \
  SALDO_SUBACCOUNTS("(SELECT $2::text AS key) AS k") ") AS s "                                    \
  "  CROSS JOIN LATERAL (SELECT * FROM events WHERE type_id = $1 "                                \
  "   AND subaccount_id = s.subaccount_id AND " position                                          \
  "   ORDER BY " order " LIMIT $10) AS e "                                                        \
  "  ORDER BY " order " LIMIT $10) AS e ON true WHERE t.type_id = $1"

constexpr Statement kEvents{
    "events.list",
    SALDO_EVENTS("occurred_at >= greatest($5, $7) AND occurred_at < $6 AND (occurred_at > $7 OR "
                 "(batch_id, ordinal) > ($8, $9))",
                 "occurred_at, batch_id, ordinal")};
constexpr Statement kEventsDescending{
    "events.list_descending",
    SALDO_EVENTS("occurred_at >= $5 AND occurred_at < $6 AND occurred_at <= $7 AND (occurred_at < "
                 "$7 OR (batch_id, ordinal) < ($8, $9))",
                 "occurred_at DESC, batch_id DESC, ordinal DESC")};

#undef SALDO_COMPLETE_FROM
#undef SALDO_SUBACCOUNTS
#undef SALDO_PENDING_EVENTS
#undef SALDO_TURNOVERS
#undef SALDO_EVENTS

// Places count from 1 in SQL.
void AddFilter(const std::vector<AttributeFilter>& filter, Params* params) {
  std::vector<int32_t> places;
  std::vector<std::string> values;
  for (const AttributeFilter& one : filter) {
    places.push_back(static_cast<int32_t>(one.index) + 1);
    values.push_back(one.value);
  }
  params->Add(places);
  params->Add(values);
}

std::string DayText(absl::CivilDay day) { return absl::FormatCivilTime(day); }

const Statement& TurnoversOf(v1::Period period) {
  if (period == v1::PERIOD_DAY) return kDays;
  return period == v1::PERIOD_MONTH ? kMonths : kYears;
}

}  // namespace

absl::StatusOr<Result> ReadingStore::Read(const CallContext& context, const Scope& scope,
                                          const Statement& statement, const Params& params) {
  const Params settings = Params::Of(scope.keep_plans);
  for (int attempt = 1;; ++attempt) {
    SALDO_ASSIGN_OR_RETURN(const postgres::Pool::Lease lease, pool_.Acquire(context));
    SALDO_RETURN_IF_ERROR(lease->Queue(kSettings, settings));
    SALDO_RETURN_IF_ERROR(lease->Queue(statement, params));
    absl::StatusOr<std::vector<Result>> results = lease->Flush(context);
    if (results.ok()) return std::move(results->back());
    // A connection may have died while it was idle.
    if (!postgres::IsRetryable(results.status()) || attempt >= 2) return results.status();
  }
}

absl::StatusOr<std::vector<absl::Time>> ReadingStore::DayStarts(
    const CallContext& context, const std::vector<absl::CivilDay>& days) {
  std::vector<std::string> texts;
  texts.reserve(days.size());
  for (const absl::CivilDay day : days) texts.push_back(DayText(day));
  SALDO_ASSIGN_OR_RETURN(Result result, pool_.Read(context, kDayStarts, texts));
  SALDO_ASSIGN_OR_RETURN(const auto rows, std::move(result).As<absl::Time>());
  std::vector<absl::Time> starts;
  for (const auto& [start] : rows) starts.push_back(start);
  if (starts.size() != days.size())
    return absl::NotFoundError("the ledger has no time zone yet: no server has been started");
  return starts;
}

absl::StatusOr<std::vector<ReadingStore::SumsBefore>> ReadingStore::ReadSums(
    const CallContext& context, const Scope& scope, const std::vector<std::string>& keys,
    const std::vector<absl::Time>& moments) {
  Params params = Params::Of(scope.type_id, keys);
  AddFilter(scope.filter, &params);
  params.Add(moments);
  SALDO_ASSIGN_OR_RETURN(Result result, Read(context, scope, kSums, params));
  SALDO_ASSIGN_OR_RETURN(
      const auto rows,
      (std::move(result)
           .As<int64_t, int64_t, std::string, bool, absl::Time, absl::Time, Decimal, Decimal>()));
  std::vector<SumsBefore> sums;
  sums.reserve(static_cast<size_t>(rows.size()));
  for (const auto& [account, moment, attributes, dropped, start, next_start, debit, credit] :
       rows) {
    sums.push_back({static_cast<size_t>(account - 1), static_cast<size_t>(moment - 1), attributes,
                    Sums{debit, credit}, dropped, start, next_start});
  }
  return sums;
}

absl::StatusOr<std::vector<ReadingStore::PeriodSums>> ReadingStore::ReadTurnovers(
    const CallContext& context, const Scope& scope, const std::string& key, v1::Period period,
    absl::CivilDay from, absl::CivilDay to) {
  Params params = Params::Of(scope.type_id, key);
  AddFilter(scope.filter, &params);
  params.Add(DayText(from));
  params.Add(DayText(to));
  SALDO_ASSIGN_OR_RETURN(Result result, Read(context, scope, TurnoversOf(period), params));
  SALDO_ASSIGN_OR_RETURN(const auto rows,
                         (std::move(result).As<std::string, std::string, Decimal, Decimal>()));
  std::vector<PeriodSums> sums;
  sums.reserve(static_cast<size_t>(rows.size()));
  for (const auto& [day, attributes, debit, credit] : rows)
    sums.push_back({day, attributes, Sums{debit, credit}});
  return sums;
}

absl::StatusOr<ReadingStore::EventList> ReadingStore::ReadEvents(const CallContext& context,
                                                                 const Scope& scope,
                                                                 const std::string& key,
                                                                 const EventRange& range) {
  Params params = Params::Of(scope.type_id, key);
  AddFilter(scope.filter, &params);
  params.Add(range.from);
  params.Add(range.to);
  params.Add(range.after_occurred_at);
  params.Add(range.after_batch_id);
  params.Add(range.after_ordinal);
  params.Add(range.limit);
  SALDO_ASSIGN_OR_RETURN(
      Result result, Read(context, scope, range.descending ? kEventsDescending : kEvents, params));
  SALDO_ASSIGN_OR_RETURN(
      const auto rows,
      (std::move(result)
           .As<absl::Time, std::optional<int64_t>, std::optional<int32_t>, std::optional<int64_t>,
               std::optional<std::string>, std::optional<bool>, std::optional<Decimal>,
               std::optional<absl::Time>, std::optional<Decimal>, std::optional<std::string>>()));
  EventList list{.complete_from = absl::InfinitePast(), .events = {}};
  for (auto row : rows) {
    auto& [complete_from, batch, ordinal, id, attributes, credit, amount, at, balance, info] = row;
    list.complete_from = complete_from;
    if (!batch.has_value()) break;  // there are none
    list.events.push_back({*batch, *ordinal, *id, *std::move(attributes), *credit, *amount, *at,
                           balance, std::move(info).value_or("")});
  }
  return list;
}

}  // namespace saldo::accounts
