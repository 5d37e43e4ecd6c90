#include "cli/verify/store.h"

#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "cli/verify/wallet_checks.h"
#include "common/base/status_macros.h"
#include "common/base/strings.h"
#include "common/postgres/result.h"

namespace saldo::cli::verify {
namespace {

using postgres::Result;
using postgres::Statement;
using postgres::Transaction;

// Taken before the snapshot: a partition that is there now stays until the end, and one that is
// gone is gone for the snapshot as well. What is dropped of other tables meanwhile is not missed.
constexpr Statement kHold{"verify.hold",
                          "LOCK TABLE events, sequenced_batches, outbox IN ACCESS SHARE MODE"};
// The snapshots of several shards wait for one another. New partitions have no statistics: without
// nested loops a wrong guess costs little. What does not fit in the memory goes to temporary files.
constexpr Statement kSettings{"verify.settings",
                              "SELECT set_config('statement_timeout', '0', true),"
                              " set_config('idle_in_transaction_session_timeout', '0', true), "
                              "set_config('work_mem', '64MB', true), "
                              "set_config('enable_nestloop', 'off', true), "
                              "set_config('plan_cache_mode', 'force_custom_plan', true)"};
constexpr Statement kLedger{"verify.ledger",
                            "SELECT now(), coalesce((SELECT time_zone FROM ledger), 'UTC')"};
// An event is written a day after it occurred at the earliest, and clocks may be an hour apart.
constexpr Statement kTypes{
    "verify.types",
    "SELECT type_id, name, scale, keeps_balance,"
    " CASE WHEN kept_since = '-infinity' THEN '-infinity' ELSE (day +"
    "  CASE WHEN day_start(day, $1) < kept_since + interval '25 hours' THEN 1 ELSE 0 END)::text "
    "END "
    "FROM (SELECT *, accounting_day(kept_since + interval '25 hours', $1) AS day"
    "  FROM account_types) AS t ORDER BY type_id"};
constexpr Statement kName{
    "verify.name",
    "SELECT t.name, t.key_attributes, a.key, t.auxiliary_attributes, s.attributes "
    "FROM accounts AS a JOIN account_types AS t USING (type_id)"
    " LEFT JOIN subaccounts AS s ON s.account_id = a.account_id AND s.subaccount_id = $2 "
    "WHERE a.account_id = coalesce($1,"
    " (SELECT account_id FROM subaccounts WHERE subaccount_id = $2))"};

// Every check answers: how many were checked, how many of them are wrong, and of the first of
// these: its account and subaccount, either NULL, and what is wrong with it. "First" is the least
// of arrays of numbers whose head says what comes first.
//
// Those of a type take its id ($1), its scale ($2), the time zone ($3), the day to begin with ($4)
// and the first day that is whole ($5).
#define SALDO_AMOUNT_OF(x, scale) \
  "coalesce(round(" x ", greatest(" scale ", min_scale(" x ")))::text, 'none')"
#define SALDO_AMOUNT(x) SALDO_AMOUNT_OF(x, "$2::int4")
#define SALDO_TOTALS(counted, first, rows)                                      \
  "(SELECT count(" counted                                                      \
  ") AS checked, count(*) FILTER (WHERE wrong) AS wrong,"                       \
  " min(ARRAY[" first "]::numeric[]) FILTER (WHERE wrong) AS first FROM (" rows \
  ") AS rows) AS totals"
#define SALDO_OF_TYPE                                                                   \
  " JOIN subaccounts AS s USING (subaccount_id) JOIN accounts AS a USING (account_id) " \
  "WHERE a.type_id = $1 "
#define SALDO_SIGNED "CASE WHEN is_credit THEN amount ELSE -amount END"
// Below this, batches may have lost their events of some types.
#define SALDO_WHOLE_BATCHES                                                                      \
  "(SELECT coalesce(max(low), 0) FROM (SELECT min(p.lower_bound) AS low FROM account_types AS t" \
  " JOIN partitions AS p ON p.parent = 'events_' || t.type_id WHERE t.kept_since > '-infinity' " \
  "GROUP BY t.type_id) AS dropped)"

// Reasons: 1 the first, 2 a gap, 3 messages_before, 4 the last, 5 nothing is there.
constexpr Statement kSequence{
    "verify.sequence",
    "SELECT checked, wrong, NULL::int8, NULL::int8, CASE first[2]"
    " WHEN 1 THEN format('the first seq that is kept is %s, not %s', first[1], first[3])"
    " WHEN 2 THEN format('seq %s, batch %s, comes after seq %s', first[1], first[4], first[3])"
    " WHEN 3 THEN format('seq %s, batch %s: messages_before is %s; those before it have %s',"
    "  first[1], first[4], first[5], first[3])"
    " WHEN 4 THEN format('the sequencer says seq %s and %s messages; the last batch, seq %s,"
    " makes %s', first[3], first[4], first[1], first[5])"
    " WHEN 5 THEN format('the sequencer says seq %s, and no batch is there', first[3]) END "
    "FROM " SALDO_TOTALS(
        "counted", "seq, reason, expected, batch_id, found",
        "SELECT seq, batch_id, reason, reason IS NOT NULL AS wrong,"
        " CASE reason WHEN 1 THEN low WHEN 2 THEN before WHEN 3 THEN message WHEN 4 THEN last_seq"
        " END AS expected, messages_before AS found, CASE WHEN last_seq IS NULL THEN 1 END AS "
        "counted"
        " FROM ("
        " SELECT *, CASE WHEN before IS NULL AND seq <> low THEN 1 WHEN seq <> before + 1 THEN 2"
        "  WHEN messages_before <> message THEN 3 END AS reason FROM ("
        "  SELECT seq, batch_id, messages_before, lag(seq) OVER w AS before,"
        "   lag(messages_before + messages) OVER w AS message, bounds.low, NULL::int8 AS last_seq"
        "  FROM sequenced_batches, (SELECT greatest(1, min(lower_bound)) AS low FROM partitions"
        "   WHERE parent = 'sequenced_batches') AS bounds WINDOW w AS (ORDER BY seq)) AS batches"
        " UNION ALL SELECT b.seq, s.last_message, b.messages_before + b.messages, NULL, NULL, NULL,"
        "  s.last_seq, CASE WHEN b.seq IS NULL AND s.last_seq > 0 THEN 5"
        "   WHEN b.seq <> s.last_seq OR b.messages_before + b.messages <> s.last_message THEN 4 END"
        "  FROM sequencer AS s LEFT JOIN (SELECT * FROM sequenced_batches ORDER BY seq DESC LIMIT "
        "1)"
        "   AS b ON true) AS checked")};

// Ids of batches grow from pass to pass but for gaps, so what lies above those of the first passes
// that are kept was not sequenced earlier.
constexpr Statement kBatches{
    "verify.batches",
    "SELECT checked, wrong, NULL::int8, NULL::int8, CASE first[2]"
    " WHEN 0 THEN format('batch %s is committed and has no seq, though the sequencer is past it',"
    "  first[1])"
    " ELSE format('batch %s has %s seqs', first[1], first[2]) END "
    "FROM " SALDO_TOTALS(
        "*", "batch_id, seqs",
        "SELECT batch_id, coalesce(seqs, 0) AS seqs, coalesce(seqs, 0) <> 1 AS wrong FROM ("
        " SELECT batch_id FROM batches, sequencer AS s WHERE batch_id <= s.scanned_to"
        "  AND batch_id <> ALL (s.gaps) AND batch_id > (SELECT CASE WHEN min(seq) = 1 THEN 0"
        "   ELSE max(batch_id) END FROM sequenced_batches WHERE seq < 200000 +"
        "   (SELECT min(seq) FROM sequenced_batches))) AS b"
        " FULL JOIN (SELECT batch_id, count(*) AS seqs FROM sequenced_batches GROUP BY 1) AS q"
        " USING (batch_id)")};

constexpr Statement kOutbox{
    "verify.outbox",
    "SELECT checked, wrong, NULL::int8, NULL::int8, format("
    "'batch %s says %s messages, and has %s, numbered up to %s',"
    " first[1], first[2], first[3], first[4]) "
    "FROM " SALDO_TOTALS(
        "*", "batch_id, messages, found, last",
        "SELECT batch_id, messages, coalesce(found, 0) AS found, coalesce(last, 0) AS last,"
        " (coalesce(found, 0), coalesce(last, 0)) <> (messages, messages) AS wrong"
        " FROM sequenced_batches LEFT JOIN ("
        "  SELECT batch_id, count(*) AS found, max(ordinal) AS last FROM outbox GROUP BY 1) AS o"
        " USING (batch_id) WHERE batch_id >="
        "  (SELECT min(lower_bound) FROM partitions WHERE parent = 'outbox')")};

constexpr Statement kPending{
    "verify.pending",
    "SELECT checked, wrong, NULL::int8, NULL::int8, CASE"
    " WHEN first[2] IS NULL THEN format('batch ids from %s on are not all pending, and have no "
    "seq',"
    "  first[1])"
    " ELSE format('batch %s, seq %s, is %s; the aggregation has come to seq %s', first[1], "
    "first[2],"
    "  CASE WHEN first[2] > first[3] THEN 'not pending' ELSE 'pending' END,"
    "  coalesce(first[3]::text, 'none')) END "
    "FROM " SALDO_TOTALS(
        "seq", "batch_id, seq, cursor",
        "WITH at AS (SELECT (SELECT pending FROM aggregation) AS pending,"
        "  (SELECT seq FROM cursors WHERE consumer = 'aggregation') AS cursor)"
        " SELECT batch_id, seq, cursor,"
        "  (pending @> batch_id) IS DISTINCT FROM (seq > cursor) AS wrong FROM sequenced_batches, "
        "at"
        " UNION ALL SELECT scanned_to + 1, NULL, cursor,"
        "  (pending @> int8range(scanned_to + 1, NULL)) IS NOT TRUE FROM sequencer, at"
        " UNION ALL SELECT gap, NULL, cursor, (pending @> gap) IS NOT TRUE"
        "  FROM sequencer, unnest(gaps) AS gap, at")};

constexpr Statement kAccounts{
    "verify.accounts",
    "SELECT checked, wrong, NULL::int8, NULL::int8, CASE WHEN first[3] IS NULL"
    " THEN format('subaccount %s is of account %s, which is not there', first[2], first[1])"
    " ELSE format('account %s is of type %s, which is not there', first[1], first[3]) END "
    "FROM " SALDO_TOTALS(
        "subaccount_id", "account_id, subaccount_id, type_id",
        "SELECT account_id, subaccount_id, a.type_id, t.type_id IS NULL AS wrong FROM accounts AS a"
        " FULL JOIN subaccounts AS s USING (account_id) LEFT JOIN account_types AS t"
        " ON t.type_id = a.type_id")};

constexpr Statement kTurnoverSubaccounts{
    "verify.turnover_subaccounts",
    "SELECT checked, wrong, NULL::int8, NULL::int8,"
    " format('there are turnovers of subaccount %s, which is not there', first[1]) "
    "FROM " SALDO_TOTALS(
        "*", "subaccount_id",
        "SELECT subaccount_id, s.subaccount_id IS NULL AS wrong FROM ("
        " SELECT subaccount_id FROM turnovers_day UNION SELECT subaccount_id FROM turnovers_month"
        " UNION SELECT subaccount_id FROM turnovers_year) AS t"
        " LEFT JOIN subaccounts AS s USING (subaccount_id)")};

constexpr Statement kEventAccounts{
    "verify.event_accounts",
    "SELECT checked, wrong, NULL::int8, NULL::int8, CASE WHEN first[4] IS NULL"
    " THEN format('batch %s, ordinal %s: subaccount %s is not there, or not its account',"
    "  first[1], first[2], first[3])"
    " ELSE format('batch %s, ordinal %s: subaccount %s is of type %s', first[1], first[2], "
    "first[3],"
    "  first[4]) END "
    "FROM " SALDO_TOTALS("*", "batch_id, ordinal, subaccount_id, type_id",
                         "SELECT e.batch_id, e.ordinal, e.subaccount_id, a.type_id,"
                         " a.type_id IS DISTINCT FROM $1 AS wrong FROM events AS e"
                         " LEFT JOIN subaccounts AS s USING (subaccount_id)"
                         " LEFT JOIN accounts AS a USING (account_id) WHERE e.type_id = $1")};

// The day of an event is looked up among the starts of all days, as the aggregation does for recent
// ones: accounting_day takes five times as long. Of a day whose events are not all kept, the
// turnovers are at least theirs.
constexpr Statement kDays{
    "verify.days",
    "SELECT checked, wrong, NULL::int8, first[1]::int8, format("
    "'on %s turnovers_day has debit %s, credit %s; its events make debit %s, credit %s',"
    " '2000-01-01'::date + first[2]::int4, " SALDO_AMOUNT("first[3]") ", " SALDO_AMOUNT(
        "first[4]") ", " SALDO_AMOUNT("first[5]") ", " SALDO_AMOUNT("first[6]") ") "
    "FROM " SALDO_TOTALS("*",
        "subaccount_id, day - '2000-01-01'::date, t_debit, t_credit, e_debit, e_credit",
        "WITH calendar AS MATERIALIZED ("
        "  SELECT array_agg(day_start('1999-12-01'::date + n, $3) ORDER BY n) AS starts"
        "  FROM generate_series(1, CURRENT_DATE - '1999-12-01'::date + 5) AS n),"
        " dated AS (SELECT subaccount_id, is_credit, amount, CASE"
        "   WHEN bucket > 0 AND bucket < CURRENT_DATE - '1999-12-01'::date + 5"
        "   THEN '1999-12-01'::date + bucket ELSE accounting_day(occurred_at, $3) END AS day"
        "  FROM (SELECT *, width_bucket(occurred_at, (SELECT starts FROM calendar)) AS bucket"
        "   FROM events WHERE type_id = $1"
        "   AND occurred_at >= day_start(coalesce($4::date, '-infinity'), $3)"
        "   AND (batch_id < (SELECT lower(pending) FROM aggregation)"
        "    OR NOT (SELECT pending FROM aggregation) @> batch_id)) AS e),"
        " sums AS (SELECT subaccount_id, day,"
        "   coalesce(sum(amount) FILTER (WHERE NOT is_credit), 0) AS e_debit,"
        "   coalesce(sum(amount) FILTER (WHERE is_credit), 0) AS e_credit FROM dated GROUP BY 1, 2)"
        " SELECT *, CASE WHEN day >= $5::date THEN (e_debit, e_credit) IS DISTINCT FROM"
        "   (t_debit, t_credit) ELSE e_debit > t_debit OR e_credit > t_credit END AS wrong"
        " FROM (SELECT subaccount_id, day, coalesce(e_debit, 0) AS e_debit, coalesce(e_credit, 0)"
        "   AS e_credit, coalesce(t_debit, 0) AS t_debit, coalesce(t_credit, 0) AS t_credit,"
        "   sums.day IS NOT NULL AS has_events FROM sums FULL JOIN ("
        "   SELECT subaccount_id, day, debit AS t_debit, credit AS t_credit FROM turnovers_day"
        SALDO_OF_TYPE
        "   AND day >= coalesce($4::date, '-infinity')) AS t USING (subaccount_id, day)) AS days"
        " WHERE has_events OR day >= $5::date")};

#define SALDO_SUMS(of, part) \
  "SELECT checked, wrong, NULL::int8, first[1]::int8, format("                                   \
  "'in the " of " of %s turnovers_" of " has debit %s, credit %s; its " part                     \
  "s make debit %s, credit %s',"                                                                 \
  " '2000-01-01'::date + first[2]::int4, " SALDO_AMOUNT("first[3]") ", "                         \
  SALDO_AMOUNT("first[4]") ", " SALDO_AMOUNT("first[5]") ", " SALDO_AMOUNT("first[6]") ") "      \
  "FROM " SALDO_TOTALS("*",                                                                      \
  "subaccount_id, " of " - '2000-01-01'::date, debit, credit, p_debit, p_credit",                \
  "SELECT *, (debit, credit) IS DISTINCT FROM (p_debit, p_credit) AS wrong FROM ("               \
  " SELECT subaccount_id, date_trunc('" of "', " part "::timestamp)::date AS " of ","            \
  "  sum(debit) AS p_debit, sum(credit) AS p_credit FROM turnovers_" part SALDO_OF_TYPE          \
  " GROUP BY 1, 2) AS p FULL JOIN (SELECT subaccount_id, " of ", debit, credit FROM turnovers_"  \
  of SALDO_OF_TYPE ") AS t USING (subaccount_id, " of ")")
constexpr Statement kMonths{"verify.months", SALDO_SUMS("month", "day")};
constexpr Statement kYears{"verify.years", SALDO_SUMS("year", "month")};

constexpr Statement kStored{
    "verify.stored",
    "SELECT checked, wrong, first[1]::int8, NULL::int8, 'no balance is stored for it' "
    "FROM " SALDO_TOTALS(
        "*", "account_id",
        "SELECT a.account_id, b.account_id IS NULL AS wrong FROM accounts AS a"
        " LEFT JOIN account_balances AS b USING (account_id) WHERE a.type_id = $1")};

constexpr Statement kBalances{
    "verify.balances",
    "SELECT checked, wrong, first[1]::int8, NULL::int8, format("
    "'the stored balance is %s; its years and its pending events make %s', " SALDO_AMOUNT(
        "first[2]") ", " SALDO_AMOUNT("first[3]") ") "
    "FROM " SALDO_TOTALS("*", "account_id, balance, total",
        "SELECT account_id, balance, coalesce(total, 0) AS total,"
        " balance IS DISTINCT FROM coalesce(total, 0) AS wrong FROM account_balances AS b"
        " JOIN accounts AS owner USING (account_id) LEFT JOIN ("
        "  SELECT account_id, sum(change) AS total FROM ("
        "   SELECT account_id, credit - debit AS change FROM turnovers_year" SALDO_OF_TYPE
        "   UNION ALL SELECT s.account_id, " SALDO_SIGNED " FROM events AS e"
        "   JOIN subaccounts AS s USING (subaccount_id) WHERE e.type_id = $1"
        "   AND e.batch_id >= (SELECT lower(pending) FROM aggregation)"
        "   AND (SELECT pending FROM aggregation) @> e.batch_id) AS changes GROUP BY 1) AS sums"
        " USING (account_id) WHERE owner.type_id = $1")};

// Reasons: 1 no balance, 2 the step before, 3 the stored balance. The first event that is kept has
// nothing before it when none was dropped, and something unknown otherwise.
constexpr Statement kChain{
    "verify.chain",
    "SELECT checked, wrong, first[1]::int8, NULL::int8, CASE first[4]"
    " WHEN 1 THEN format('batch %s, ordinal %s: the event has no balance_after', first[2],"
    "  first[3])"
    " WHEN 2 THEN format('batch %s, ordinal %s: balance_after is %s; it was %s before, and the"
    " event changes it by %s', first[2], first[3], " SALDO_AMOUNT("first[7]") ", " SALDO_AMOUNT(
        "first[5]") ", " SALDO_AMOUNT("first[6]") ")"
    " WHEN 3 THEN format('the stored balance is %s; balance_after of the last event, batch %s,"
    " ordinal %s, is %s', " SALDO_AMOUNT("first[8]") ", first[2], first[3], " SALDO_AMOUNT(
        "first[7]") ") END "
    "FROM " SALDO_TOTALS("*",
        "account_id, batch_id, ordinal, reason, before, change, balance_after, balance",
        "SELECT *, reason IS NOT NULL AS wrong FROM (SELECT c.*, b.balance, CASE"
        "  WHEN balance_after IS NULL THEN 1 WHEN balance_after <> before + change THEN 2"
        "  WHEN is_last AND balance_after IS DISTINCT FROM b.balance THEN 3 END AS reason"
        " FROM (SELECT *, lead(batch_id) OVER w IS NULL AS is_last,"
        "   lag(balance_after, 1, CASE WHEN $5 = '-infinity' THEN 0::numeric END) OVER w AS before"
        "  FROM (SELECT s.account_id, e.batch_id, e.ordinal, e.balance_after,"
        "   " SALDO_SIGNED " AS change FROM events AS e JOIN subaccounts AS s USING (subaccount_id)"
        "   WHERE e.type_id = $1) AS e WINDOW w AS (PARTITION BY account_id"
        "   ORDER BY batch_id, ordinal)) AS c"
        " LEFT JOIN account_balances AS b USING (account_id)) AS steps")};

constexpr Statement kBalanced{
    "verify.balanced",
    "SELECT checked, wrong, NULL::int8, NULL::int8, format("
    "'batch %s: its balanced events in %s make %s, not 0', first[1],"
    " (SELECT asset FROM accounts WHERE account_id = first[2]::int8), " SALDO_AMOUNT_OF(
        "first[3]", "0") ") "
    "FROM " SALDO_TOTALS("*", "batch_id, account_id, total",
        "SELECT batch_id, asset, min(account_id) AS account_id, sum(" SALDO_SIGNED ") AS total,"
        " sum(" SALDO_SIGNED ") <> 0 AS wrong FROM events JOIN subaccounts USING (subaccount_id)"
        " JOIN accounts USING (account_id) WHERE is_balanced AND batch_id >= " SALDO_WHOLE_BATCHES
        " GROUP BY 1, 2")};
constexpr Statement kBalancedTotals{
    "verify.balanced_totals",
    "SELECT asset, count(*), trim_scale(sum(" SALDO_SIGNED
    "))::text FROM events"
    " JOIN subaccounts USING (subaccount_id) JOIN accounts USING (account_id)"
    " WHERE is_balanced AND batch_id >= " SALDO_WHOLE_BATCHES " GROUP BY asset ORDER BY asset"};
constexpr Statement kImbalances{
    "verify.imbalances",
    "SELECT count(*), count(*) FILTER (WHERE amount <> 0), NULL::int8, NULL::int8, (SELECT format("
    "'the aggregation has found an imbalance of %s in %s', " SALDO_AMOUNT_OF(
        "amount", "0") ", asset) FROM imbalances WHERE amount <> 0 ORDER BY asset LIMIT 1) "
    "FROM imbalances"};

// The requests of a batch part its events among them; one without events begins where the next one
// does. Either all requests of a batch are kept or none. Reasons: 1 no events, 2 ordinals are
// missing, 3 the request before, 4 the last request.
constexpr Statement kRequests{
    "verify.requests",
    "SELECT checked, wrong, NULL::int8, NULL::int8, CASE first[3]"
    " WHEN 1 THEN format('a request has %s events in batch %s, which has none', first[4], first[1])"
    " WHEN 2 THEN format('batch %s has %s events, with ordinals from %s to %s', first[1], first[6],"
    "  first[7], first[8])"
    " WHEN 3 THEN format('in batch %s a request begins at ordinal %s, not %s', first[1], first[2],"
    "  first[5])"
    " WHEN 4 THEN format('batch %s has %s events; its requests, up to ordinal %s, have %s',"
    "  first[1], first[6], first[2], first[2] + first[4] - 1) END "
    "FROM " SALDO_TOTALS(
        "first_ordinal",
        "batch_id, first_ordinal, reason, events, expected, coalesce(n, 0), low, high",
        "SELECT *, reason IS NOT NULL AS wrong FROM (SELECT *, CASE"
        "  WHEN n IS NULL AND events > 0 THEN 1"
        "  WHEN low <> 1 OR high <> n OR total <> n * (n + 1) / 2 THEN 2"
        "  WHEN first_ordinal <> expected THEN 3"
        "  WHEN is_last AND first_ordinal + events - 1 <> coalesce(n, 0) THEN 4 END AS reason"
        " FROM (SELECT batch_id, first_ordinal, events, lead(batch_id) OVER w IS NULL AS is_last,"
        "   lag(first_ordinal + events, 1, 1) OVER w AS expected FROM write_requests"
        "  WHERE batch_id >= " SALDO_WHOLE_BATCHES
        "  WINDOW w AS (PARTITION BY batch_id ORDER BY first_ordinal, events)) AS r"
        " FULL JOIN (SELECT batch_id, count(*) AS n, min(ordinal) AS low, max(ordinal) AS high,"
        "   sum(ordinal) AS total FROM events WHERE batch_id >= " SALDO_WHOLE_BATCHES
        "  GROUP BY 1) AS e USING (batch_id)) AS joined")};

constexpr Check kChecks[] = {
    {"sequence", "batches", Scope::kLedger, false, kSequence},
    {"batches", "batches", Scope::kLedger, false, kBatches},
    {"outbox", "batches", Scope::kLedger, false, kOutbox},
    {"pending", "batches", Scope::kLedger, false, kPending},
    {"accounts", "subaccounts", Scope::kLedger, false, kAccounts},
    {"turnover subaccounts", "subaccounts", Scope::kLedger, false, kTurnoverSubaccounts},
    {"events", "events", Scope::kType, false, kEventAccounts},
    {"days", "days", Scope::kType, false, kDays},
    {"months", "months", Scope::kType, false, kMonths},
    {"years", "years", Scope::kType, false, kYears},
    {"stored balances", "accounts", Scope::kTypeWithBalance, false, kStored},
    {"balances", "balances", Scope::kTypeWithBalance, false, kBalances},
    {"balance chain", "events", Scope::kTypeWithBalance, false, kChain},
    {"balanced", "batches", Scope::kLedger, true, kBalanced},
    {"imbalances", "assets", Scope::kLedger, false, kImbalances},
    {"requests", "requests", Scope::kLedger, true, kRequests},
    {"wallets", "wallets", Scope::kLedger, true, kWallets},
    {"held", "accounts", Scope::kLedger, true, kHeld},
    {"in transit", "accounts", Scope::kLedger, true, kInTransit},
    {"clearing", "accounts", Scope::kLedger, true, kClearing},
};

std::string Pairs(const std::vector<std::string_view>& attributes, std::string_view values) {
  const std::vector<std::string> parts = absl::StrSplit(AsAbsl(values), '\x1f');
  std::string text;
  for (size_t i = 0; i < attributes.size(); ++i) {
    absl::StrAppend(&text, i > 0 ? ", " : "",
                    AsAbsl(attributes[i].substr(0, attributes[i].find(' '))), "=",
                    i < parts.size() ? parts[i] : "");
  }
  return text;
}

// "wallet{client_id=1, currency=RUB} product=taxi: ", or what is known of it.
absl::StatusOr<std::string> NameOf(Transaction& tx, std::optional<int64_t> account,
                                   std::optional<int64_t> subaccount) {
  if (!account.has_value() && !subaccount.has_value()) return "";
  SALDO_ASSIGN_OR_RETURN(Result result, tx.Query(kName, account, subaccount));
  SALDO_ASSIGN_OR_RETURN(
      const auto rows, (std::move(result)
                            .As<std::string_view, std::vector<std::string_view>, std::string_view,
                                std::vector<std::string_view>, std::optional<std::string_view>>()));
  if (rows.empty()) {
    return subaccount.has_value() ? absl::StrCat("subaccount ", *subaccount, ": ")
                                  : absl::StrCat("account ", *account, ": ");
  }
  const auto [type, key_names, key, names, attributes] = rows[0];
  std::string text = absl::StrCat(AsAbsl(type), "{", Pairs(key_names, key), "}");
  if (attributes.has_value() && !names.empty())
    absl::StrAppend(&text, " ", Pairs(names, *attributes));
  return text + ": ";
}

}  // namespace

absl::Span<const Check> Checks() { return kChecks; }

const Statement& BalancedTotals() { return kBalancedTotals; }

absl::StatusOr<Ledger> TakeSnapshot(Transaction& tx) {
  SALDO_RETURN_IF_ERROR(tx.Defer(kHold));
  SALDO_RETURN_IF_ERROR(tx.Defer(kSettings));
  SALDO_ASSIGN_OR_RETURN(Result result, tx.Query(kLedger));
  Ledger ledger;
  SALDO_ASSIGN_OR_RETURN(const auto row, (std::move(result).One<absl::Time, std::string>()));
  std::tie(ledger.snapshot_at, ledger.time_zone) = row;
  SALDO_ASSIGN_OR_RETURN(result, tx.Query(kTypes, ledger.time_zone));
  SALDO_ASSIGN_OR_RETURN(
      const auto types, (std::move(result).As<int32_t, std::string, int32_t, bool, std::string>()));
  for (const auto& [id, name, scale, keeps_balance, whole_since] : types)
    ledger.types.push_back({id, name, scale, keeps_balance, whole_since});
  return ledger;
}

absl::StatusOr<Finding> Run(Transaction& tx, const Check& check, const Ledger& ledger,
                            const LedgerType* type, const std::string& since) {
  postgres::Params params;
  if (type != nullptr) {
    params = postgres::Params::Of(
        type->type_id, type->scale, ledger.time_zone,
        since.empty() ? std::nullopt : std::optional<std::string_view>(since), type->whole_since);
  }
  SALDO_ASSIGN_OR_RETURN(Result result, tx.QueryParams(check.statement, params));
  SALDO_ASSIGN_OR_RETURN(const auto row,
                         (std::move(result)
                              .One<int64_t, int64_t, std::optional<int64_t>, std::optional<int64_t>,
                                   std::optional<std::string>>()));
  const auto& [checked, wrong, account, subaccount, what] = row;
  Finding finding{.checked = checked, .wrong = wrong, .first = ""};
  if (wrong == 0) return finding;
  SALDO_ASSIGN_OR_RETURN(finding.first, NameOf(tx, account, subaccount));
  finding.first += what.value_or("");
  return finding;
}

}  // namespace saldo::cli::verify
