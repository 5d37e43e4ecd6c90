// What `saldo verify` checks of wallets on one shard: that their own rows say what the ledger's
// accounts say. See store.h for the form of the answers; without wallets nothing is checked.
#pragma once

#include "common/postgres/statement.h"

namespace saldo::cli::verify {

#define SALDO_FIRST_OF(first, rows)                                             \
  "(SELECT count(*) AS checked, count(*) FILTER (WHERE wrong) AS wrong,"        \
  " min(ARRAY[" first "]::numeric[]) FILTER (WHERE wrong) AS first FROM (" rows \
  ") AS rows) AS totals"

// Reasons: 1 no account, 2 no wallet, 3 the limit, 4 closed, 5 below the limit, 6 in use though
// closed.
inline constexpr postgres::Statement kWallets{
    "verify.wallets",
    "SELECT checked, wrong, first[1]::int8, NULL::int8, CASE first[2]"
    " WHEN 1 THEN 'a wallet has no account'"
    " WHEN 2 THEN 'the account is of no wallet'"
    " WHEN 3 THEN format('its limit is %s, and its overdraft_limit %s', first[4]::text,"
    "  first[5]::text)"
    " WHEN 4 THEN 'the wallet and its account do not agree whether it is closed'"
    " WHEN 5 THEN format('its balance is %s, beyond its overdraft_limit of %s', first[3]::text,"
    "  first[5]::text)"
    " WHEN 6 THEN format('it is closed, with a balance of %s and %s holds and transfers open',"
    "  first[3]::text, first[6]::text) END "
    "FROM " SALDO_FIRST_OF(
        "account_id, reason, balance, min_balance, overdraft_limit, under_way",
        "SELECT *, reason IS NOT NULL AS wrong FROM ("
        " SELECT account_id, balance, min_balance, overdraft_limit,"
        "  coalesce(under_way, 0) AS under_way, CASE"
        "  WHEN balance IS NULL THEN 1 WHEN wallet_id IS NULL THEN 2"
        "  WHEN min_balance IS DISTINCT FROM -overdraft_limit THEN 3"
        "  WHEN closed <> (closed_at IS NOT NULL) THEN 4"
        "  WHEN balance < -overdraft_limit THEN 5"
        "  WHEN closed AND (balance <> 0 OR under_way > 0) THEN 6 END AS reason"
        " FROM (SELECT *, wallet_id || E'\\x1f' || currency AS key FROM wallets) AS w"
        " FULL JOIN (SELECT a.account_id, a.key, b.balance, b.min_balance, b.closed"
        "  FROM accounts AS a JOIN account_types AS t USING (type_id)"
        "  LEFT JOIN account_balances AS b USING (account_id) WHERE t.name = 'saldo_wallet') AS a"
        " USING (key) LEFT JOIN (SELECT wallet_id, count(*) AS under_way FROM ("
        "  SELECT wallet_id FROM wallet_holds WHERE state = 'open' UNION ALL"
        "  SELECT from_wallet_id FROM wallet_transfers_out WHERE state = 'debited') AS u"
        "  GROUP BY 1) AS under_way USING (wallet_id)) AS reasons")};

// The balance of each account of one kind of the other side, out of turnovers and events that are
// pending, against the sum of the rows that account for it: `rows` have a key and an amount.
#define SALDO_OTHER_SIDE(kind, rows)                                                       \
  "SELECT checked, wrong, first[1]::int8, NULL::int8,"                                     \
  " format('its balance is %s, and it should be %s', first[2]::text, first[3]::text) "     \
  "FROM " SALDO_FIRST_OF(                                                                  \
      "account_id, total, expected",                                                       \
      "WITH contra AS MATERIALIZED ("                                                      \
      "  SELECT a.account_id, a.key, s.subaccount_id FROM accounts AS a"                   \
      "  JOIN account_types AS t USING (type_id) JOIN subaccounts AS s USING (account_id)" \
      "  WHERE t.name = 'saldo_wallet_contra' AND a.key LIKE E'%\\x1f" kind                \
      "'),"                                                                                \
      " sums AS (SELECT account_id, sum(change) AS total FROM ("                           \
      "   SELECT account_id, credit - debit AS change FROM turnovers_year"                 \
      "    JOIN contra USING (subaccount_id)"                                              \
      "   UNION ALL SELECT account_id, CASE WHEN is_credit THEN amount ELSE -amount END"   \
      "    FROM events JOIN contra USING (subaccount_id)"                                  \
      "    WHERE batch_id >= (SELECT lower(pending) FROM aggregation)"                     \
      "    AND (SELECT pending FROM aggregation) @> batch_id) AS changes GROUP BY 1),"     \
      " wanted AS (SELECT key, sum(amount) AS expected FROM (" rows                        \
      ") AS r GROUP BY 1)"                                                                 \
      " SELECT *, total <> expected AS wrong FROM ("                                       \
      "  SELECT account_id, trim_scale(coalesce(total, 0)) AS total,"                      \
      "   trim_scale(coalesce(expected, 0)) AS expected"                                   \
      "  FROM contra LEFT JOIN sums USING (account_id) FULL JOIN wanted USING (key)) AS joined")
inline constexpr postgres::Statement kHeld{
    "verify.held",
    SALDO_OTHER_SIDE("hold",
                     "SELECT wallet_id || E'\\x1f' || currency || E'\\x1fhold' AS key, amount"
                     " FROM wallet_holds JOIN wallets USING (wallet_id) WHERE state = 'open'")};
inline constexpr postgres::Statement kInTransit{
    "verify.in_transit",
    SALDO_OTHER_SIDE("transit",
                     "SELECT from_wallet_id || E'\\x1f' || currency || E'\\x1ftransit' AS key,"
                     " amount FROM wallet_transfers_out WHERE state = 'debited'")};
// Credits to other shards that are settled, less what was credited from them.
inline constexpr postgres::Statement kClearing{
    "verify.clearing",
    SALDO_OTHER_SIDE("clearing",
                     "SELECT from_wallet_id || E'\\x1f' || currency || E'\\x1fclearing' AS key,"
                     " amount FROM wallet_transfers_out WHERE state = 'settled'"
                     " UNION ALL SELECT to_wallet_id || E'\\x1f' || currency || E'\\x1fclearing',"
                     " -amount FROM wallet_transfers_in WHERE refused_reason IS NULL")};
#undef SALDO_OTHER_SIDE
#undef SALDO_FIRST_OF

}  // namespace saldo::cli::verify
