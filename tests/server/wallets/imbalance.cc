#include "tests/server/wallets/wallet_server.h"

namespace saldo::wallets {
namespace {

// Of the events of one kind of the other side; of wallets for "wallet".
std::string SumOf(const std::string& kind) {
  return "SELECT coalesce(sum(CASE WHEN e.is_credit THEN e.amount ELSE -e.amount END), 0) "
         "FROM events AS e JOIN subaccounts USING (subaccount_id) "
         "JOIN accounts AS a USING (account_id) "
         "JOIN account_types AS t ON t.type_id = a.type_id "
         "WHERE t.name LIKE 'saldo_wallet%' AND " +
         (kind == "wallet" ? "t.name = 'saldo_wallet'"
                           : "t.name = 'saldo_wallet_contra' AND a.key LIKE E'%\\x1f" + kind + "'");
}

constexpr const char* kWrongBalances =
    "SELECT count(*) FROM wallets AS w "
    "JOIN account_types AS t ON t.name = 'saldo_wallet' "
    "LEFT JOIN accounts AS a ON a.type_id = t.type_id "
    "AND a.key = w.wallet_id || E'\\x1f' || w.currency "
    "LEFT JOIN account_balances AS b USING (account_id) "
    "WHERE b.balance IS NULL OR b.balance < -w.overdraft_limit "
    "OR b.min_balance <> -w.overdraft_limit OR b.closed <> (w.closed_at IS NOT NULL) "
    "OR (b.closed AND b.balance <> 0) "
    "OR b.balance <> (SELECT coalesce(sum(CASE WHEN e.is_credit THEN e.amount ELSE -e.amount END), "
    "0) FROM events AS e JOIN subaccounts AS s USING (subaccount_id) "
    "WHERE s.account_id = a.account_id)";

}  // namespace

std::string Imbalance(const Databases& databases) {
  std::string wrong;
  const auto expect = [&wrong](const std::string& what, const Decimal& got, const Decimal& want) {
    if (got != want) wrong += what + " is " + got.ToString() + ", not " + want.ToString() + "; ";
  };
  Decimal in_transit, uncredited;
  for (size_t i = 0; i < databases.size(); ++i) {
    const auto number = [&](const std::string& sql) {
      return *Decimal::Parse(databases.Query(i, sql));
    };
    expect("wallets with wrong balances", number(kWrongBalances), Decimal());
    Decimal all;
    for (const char* kind : {"wallet", "hold", "external", "transit", "clearing"})
      (void)Decimal::Add(all, number(SumOf(kind)), &all);
    expect("the sum of a database", all, Decimal());
    expect("held", number(SumOf("hold")),
           number("SELECT coalesce(sum(amount), 0) FROM wallet_holds WHERE state = 'open'"));
    expect("in transit", number(SumOf("transit")),
           number("SELECT coalesce(sum(amount), 0) FROM wallet_transfers_out "
                  "WHERE state = 'debited'"));
    (void)Decimal::Add(in_transit, number(SumOf("transit")), &in_transit);
    (void)Decimal::Add(in_transit, number(SumOf("clearing")), &in_transit);
    (void)Decimal::Add(uncredited,
                       number("SELECT coalesce(sum(amount), 0) FROM wallet_transfers_out "
                              "WHERE state <> 'refunded'"),
                       &uncredited);
    (void)Decimal::Subtract(uncredited,
                            number("SELECT coalesce(sum(amount), 0) FROM wallet_transfers_in "
                                   "WHERE refused_reason IS NULL"),
                            &uncredited);
  }
  expect("clearing and transit", in_transit, uncredited);
  return wrong;
}

}  // namespace saldo::wallets
