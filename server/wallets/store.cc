#include "server/wallets/store.h"

#include <utility>

#include "common/base/status_macros.h"
#include "common/postgres/statement.h"
#include "server/wallets/story.h"

namespace saldo::wallets {
namespace {

using postgres::Result;
using postgres::Statement;

constexpr Statement kCurrencies{
    "wallets.currencies",
    "SELECT wallet_id, currency FROM wallets WHERE wallet_id = ANY ($1::text[])"};

// The balance is that of the ledger's account, whose key is made of the wallet's id and currency.
#define SALDO_WALLET_COLUMNS                                                                       \
  "SELECT w.wallet_id, w.currency, coalesce(w.external_id, ''), w.overdraft_limit, "               \
  "w.created_at, w.closed_at, b.balance, "                                                         \
  "coalesce((SELECT sum(h.amount) FROM wallet_holds AS h "                                         \
  "WHERE h.wallet_id = w.wallet_id AND h.state = 'open'), 0) "                                     \
  "FROM wallets AS w "                                                                             \
  "JOIN account_types AS t ON t.name = 'saldo_wallet' "                                            \
  "JOIN accounts AS a ON a.type_id = t.type_id AND a.key = w.wallet_id || E'\\x1f' || w.currency " \
  "JOIN account_balances AS b USING (account_id) "
constexpr Statement kFind{"wallets.find", SALDO_WALLET_COLUMNS "WHERE w.wallet_id = $1"};
constexpr Statement kList{
    "wallets.list", SALDO_WALLET_COLUMNS "WHERE w.wallet_id > $1 ORDER BY w.wallet_id LIMIT $2"};
constexpr Statement kListOfCurrency{
    "wallets.list_of_currency", SALDO_WALLET_COLUMNS
    "WHERE w.wallet_id > $1 AND w.currency = $3 ORDER BY w.wallet_id LIMIT $2"};
#undef SALDO_WALLET_COLUMNS

#define SALDO_HOLD_COLUMNS                                                           \
  "SELECT h.hold_id, h.wallet_id, w.currency, h.amount, "                            \
  "CASE WHEN h.state = 'open' AND h.expires_at <= clock_timestamp() THEN 'expired' " \
  "ELSE h.state END, h.captured, h.created_at, h.expires_at "                        \
  "FROM wallet_holds AS h JOIN wallets AS w USING (wallet_id) "
constexpr Statement kFindHold{"wallets.find_hold", SALDO_HOLD_COLUMNS "WHERE h.hold_id = $1"};
constexpr Statement kListHolds{"wallets.list_holds", SALDO_HOLD_COLUMNS
                               "WHERE h.wallet_id = $1 AND h.state = 'open' "
                               "AND h.expires_at > clock_timestamp() "
                               "AND (h.expires_at, h.hold_id) > ($2, $3) "
                               "ORDER BY h.expires_at, h.hold_id LIMIT $4"};
constexpr Statement kExpiredHolds{"wallets.expired_holds", SALDO_HOLD_COLUMNS
                                  "WHERE h.state = 'open' AND h.expires_at <= clock_timestamp() "
                                  "ORDER BY h.expires_at LIMIT $1"};
#undef SALDO_HOLD_COLUMNS

#define SALDO_TRANSFER_COLUMNS                                                       \
  "SELECT transfer_id, from_wallet_id, to_wallet_id, amount, currency, request_id, " \
  "description, state, coalesce(refund_reason, ''), created_at FROM wallet_transfers_out "
constexpr Statement kFindTransferOut{"wallets.find_transfer_out",
                                     SALDO_TRANSFER_COLUMNS "WHERE transfer_id = $1"};
constexpr Statement kDebited{"wallets.debited_transfers", SALDO_TRANSFER_COLUMNS
                             "WHERE state = 'debited' "
                             "AND created_at <= clock_timestamp() - make_interval(secs => $1) "
                             "AND (created_at, transfer_id) > ($2, $3) "
                             "ORDER BY created_at, transfer_id LIMIT $4"};
#undef SALDO_TRANSFER_COLUMNS
constexpr Statement kFindTransferIn{
    "wallets.find_transfer_in",
    "SELECT from_wallet_id, to_wallet_id, amount, currency, coalesce(refused_reason, '') "
    "FROM wallet_transfers_in WHERE transfer_id = $1"};
// The credits of one request to wallets. Their infos are read here, not by PostgreSQL: that may
// look at those of other requests first, and a JSON that jsonb refuses would fail the query.
constexpr Statement kFindWritten{
    "wallets.find_written_transfer",
    "SELECT a.key, e.amount, e.occurred_at, coalesce(e.info, '') "
    "FROM write_requests AS r "
    "JOIN events AS e ON e.batch_id = r.batch_id AND e.ordinal >= r.first_ordinal "
    "AND e.ordinal < r.first_ordinal + r.events "
    "JOIN subaccounts AS s USING (subaccount_id) "
    "JOIN accounts AS a USING (account_id) "
    "JOIN account_types AS t ON t.type_id = a.type_id AND t.name = 'saldo_wallet' "
    "WHERE r.request_id = $1 AND e.is_credit"};
constexpr Statement kCount{
    "wallets.count",
    "SELECT (SELECT count(*) FROM wallet_holds WHERE state = 'open'), "
    "(SELECT count(*) FROM wallet_transfers_out WHERE state = 'debited'), "
    "coalesce((SELECT extract(epoch FROM clock_timestamp() - min(created_at))::float8 "
    "FROM wallet_transfers_out WHERE state = 'debited'), 0)"};

// The part's.
constexpr Statement kLockWallets{
    "wallets.lock_wallets",
    "SELECT wallet_id, closed_at IS NOT NULL FROM wallets WHERE wallet_id = ANY ($1::text[]) "
    "ORDER BY wallet_id FOR UPDATE"};
constexpr Statement kLockHolds{
    "wallets.lock_holds",
    "SELECT hold_id, state, expires_at, amount FROM wallet_holds WHERE hold_id = ANY ($1::text[]) "
    "ORDER BY hold_id FOR UPDATE"};
constexpr Statement kLockTransfersOut{
    "wallets.lock_transfers_out",
    "SELECT transfer_id, state FROM wallet_transfers_out WHERE transfer_id = ANY ($1::text[]) "
    "ORDER BY transfer_id FOR UPDATE"};
constexpr Statement kFindTransfersIn{
    "wallets.find_transfers_in",
    "SELECT transfer_id FROM wallet_transfers_in WHERE transfer_id = ANY ($1::text[])"};
constexpr Statement kCountOpen{
    "wallets.count_open",
    "SELECT wallet_id, "
    "(SELECT count(*) FROM wallet_holds AS h WHERE h.wallet_id = w.wallet_id AND h.state = "
    "'open'), "
    "(SELECT count(*) FROM wallet_transfers_out AS t WHERE t.from_wallet_id = w.wallet_id "
    "AND t.state = 'debited') "
    "FROM unnest($1::text[]) AS w (wallet_id)"};
constexpr Statement kClock{"wallets.clock", "SELECT clock_timestamp()"};

constexpr Statement kInsertWallets{
    "wallets.insert_wallets",
    "INSERT INTO wallets (wallet_id, currency, external_id, overdraft_limit, created_at) "
    "SELECT wallet_id, currency, nullif(external_id, ''), overdraft_limit, $1 "
    "FROM unnest($2::text[], $3::text[], $4::text[], $5::numeric[]) "
    "AS n (wallet_id, currency, external_id, overdraft_limit)"};
constexpr Statement kCloseWallets{
    "wallets.close_wallets",
    "UPDATE wallets SET closed_at = $1 WHERE wallet_id = ANY ($2::text[])"};
constexpr Statement kInsertHolds{
    "wallets.insert_holds",
    "INSERT INTO wallet_holds (hold_id, wallet_id, amount, state, created_at, expires_at) "
    "SELECT unnest($2::text[]), unnest($3::text[]), unnest($4::numeric[]), 'open', $1, "
    "unnest($5::timestamptz[])"};
constexpr Statement kEndHolds{
    "wallets.end_holds",
    "UPDATE wallet_holds AS h SET state = n.state, captured = n.captured, ended_at = $1 "
    "FROM unnest($2::text[], $3::text[], $4::numeric[]) AS n (hold_id, state, captured) "
    "WHERE h.hold_id = n.hold_id"};
constexpr Statement kInsertTransfersOut{
    "wallets.insert_transfers_out",
    "INSERT INTO wallet_transfers_out (transfer_id, from_wallet_id, to_wallet_id, amount, "
    "currency, request_id, description, state, created_at) "
    "SELECT unnest($2::text[]), unnest($3::text[]), unnest($4::text[]), unnest($5::numeric[]), "
    "unnest($6::text[]), unnest($7::text[]), unnest($8::text[]), 'debited', $1"};
constexpr Statement kInsertTransfersIn{
    "wallets.insert_transfers_in",
    "INSERT INTO wallet_transfers_in (transfer_id, from_wallet_id, to_wallet_id, amount, "
    "currency, refused_reason, created_at) "
    "SELECT transfer_id, from_wallet_id, to_wallet_id, amount, currency, "
    "nullif(refused_reason, ''), $1 "
    "FROM unnest($2::text[], $3::text[], $4::text[], $5::numeric[], $6::text[], $7::text[]) "
    "AS n (transfer_id, from_wallet_id, to_wallet_id, amount, currency, refused_reason)"};
constexpr Statement kEndTransfers{
    "wallets.end_transfers",
    "UPDATE wallet_transfers_out AS t SET ended_at = $1, refund_reason = nullif(n.reason, ''), "
    "state = CASE WHEN n.reason = '' THEN 'settled' ELSE 'refunded' END "
    "FROM unnest($2::text[], $3::text[]) AS n (transfer_id, reason) "
    "WHERE t.transfer_id = n.transfer_id"};

absl::StatusOr<std::vector<WalletRow>> ReadWallets(absl::StatusOr<Result> result) {
  SALDO_RETURN_IF_ERROR(result.status());
  SALDO_ASSIGN_OR_RETURN(const auto rows,
                         (std::move(*result)
                              .As<std::string, std::string, std::string, Decimal, absl::Time,
                                  std::optional<absl::Time>, Decimal, Decimal>()));
  std::vector<WalletRow> wallets;
  for (const auto& [id, currency, external, overdraft, created, closed, balance, held] : rows)
    wallets.push_back({id, currency, external, overdraft, created, closed, balance, held});
  return wallets;
}

absl::StatusOr<std::vector<HoldRow>> ReadHolds(absl::StatusOr<Result> result) {
  SALDO_RETURN_IF_ERROR(result.status());
  SALDO_ASSIGN_OR_RETURN(const auto rows,
                         (std::move(*result)
                              .As<std::string, std::string, std::string, Decimal, std::string,
                                  std::optional<Decimal>, absl::Time, absl::Time>()));
  std::vector<HoldRow> holds;
  for (const auto& [id, wallet, currency, amount, state, captured, created, expires] : rows)
    holds.push_back({id, wallet, currency, amount, state, captured, created, expires});
  return holds;
}

absl::StatusOr<std::vector<TransferOutRow>> ReadTransfers(absl::StatusOr<Result> result) {
  SALDO_RETURN_IF_ERROR(result.status());
  SALDO_ASSIGN_OR_RETURN(
      const auto rows, (std::move(*result)
                            .As<std::string, std::string, std::string, Decimal, std::string,
                                std::string, std::string, std::string, std::string, absl::Time>()));
  std::vector<TransferOutRow> transfers;
  for (const auto& [id, from, to, amount, currency, request, text, state, reason, created] : rows)
    transfers.push_back({{id, from, to, amount, currency, request, text}, state, reason, created});
  return transfers;
}

template <typename T>
std::optional<T> FirstOf(std::vector<T> list) {
  if (list.empty()) return std::nullopt;
  return std::move(list.front());
}

}  // namespace

absl::StatusOr<std::vector<WalletStore::Currency>> WalletStore::Currencies(
    const CallContext& context, const std::vector<std::string>& wallet_ids) {
  SALDO_ASSIGN_OR_RETURN(Result result, pool_.Read(context, kCurrencies, wallet_ids));
  SALDO_ASSIGN_OR_RETURN(const auto rows, (std::move(result).As<std::string, std::string>()));
  std::vector<Currency> currencies;
  for (const auto& [id, currency] : rows) currencies.push_back({id, currency});
  return currencies;
}

absl::StatusOr<std::optional<WalletRow>> WalletStore::Find(const CallContext& context,
                                                           const std::string& wallet_id) {
  SALDO_ASSIGN_OR_RETURN(auto wallets, ReadWallets(pool_.Read(context, kFind, wallet_id)));
  return FirstOf(std::move(wallets));
}

absl::StatusOr<std::vector<WalletRow>> WalletStore::List(const CallContext& context,
                                                         const std::string& currency,
                                                         const std::string& after, int32_t limit) {
  if (currency.empty()) return ReadWallets(pool_.Read(context, kList, after, limit));
  return ReadWallets(pool_.Read(context, kListOfCurrency, after, limit, currency));
}

absl::StatusOr<std::optional<HoldRow>> WalletStore::FindHold(const CallContext& context,
                                                             const std::string& hold_id) {
  SALDO_ASSIGN_OR_RETURN(auto holds, ReadHolds(pool_.Read(context, kFindHold, hold_id)));
  return FirstOf(std::move(holds));
}

absl::StatusOr<std::vector<HoldRow>> WalletStore::ListHolds(const CallContext& context,
                                                            const std::string& wallet_id,
                                                            absl::Time after_expires_at,
                                                            const std::string& after_hold_id,
                                                            int32_t limit) {
  return ReadHolds(
      pool_.Read(context, kListHolds, wallet_id, after_expires_at, after_hold_id, limit));
}

absl::StatusOr<std::vector<HoldRow>> WalletStore::ExpiredHolds(const CallContext& context,
                                                               int32_t limit) {
  return ReadHolds(pool_.Read(context, kExpiredHolds, limit));
}

absl::StatusOr<std::optional<TransferOutRow>> WalletStore::FindTransferOut(
    const CallContext& context, const std::string& transfer_id) {
  SALDO_ASSIGN_OR_RETURN(auto transfers,
                         ReadTransfers(pool_.Read(context, kFindTransferOut, transfer_id)));
  return FirstOf(std::move(transfers));
}

absl::StatusOr<std::optional<NewTransferIn>> WalletStore::FindTransferIn(
    const CallContext& context, const std::string& transfer_id) {
  SALDO_ASSIGN_OR_RETURN(Result result, pool_.Read(context, kFindTransferIn, transfer_id));
  SALDO_ASSIGN_OR_RETURN(
      const auto rows,
      (std::move(result).As<std::string, std::string, Decimal, std::string, std::string>()));
  if (rows.empty()) return std::optional<NewTransferIn>();
  const auto& [from, to, amount, currency, reason] = rows[0];
  return std::optional<NewTransferIn>(
      NewTransferIn{{transfer_id, from, to, amount, currency, "", ""}, reason});
}

absl::StatusOr<std::vector<TransferOutRow>> WalletStore::Debited(const CallContext& context,
                                                                 absl::Duration grace,
                                                                 absl::Time after_created_at,
                                                                 const std::string& after_id,
                                                                 int32_t limit) {
  return ReadTransfers(pool_.Read(context, kDebited, absl::ToDoubleSeconds(grace), after_created_at,
                                  after_id, limit));
}

absl::StatusOr<std::optional<WrittenTransfer>> WalletStore::FindWrittenTransfer(
    const CallContext& context, const std::string& write_id, const std::string& transfer_id) {
  SALDO_ASSIGN_OR_RETURN(Result result, pool_.Read(context, kFindWritten, write_id));
  SALDO_ASSIGN_OR_RETURN(const auto rows,
                         (std::move(result).As<std::string, Decimal, absl::Time, std::string>()));
  for (const auto& [key, amount, occurred_at, info] : rows) {
    if (TransferIdIn(info) != transfer_id) continue;
    const size_t separator = key.find('\x1f');
    return std::optional<WrittenTransfer>(
        WrittenTransfer{key.substr(0, separator), key.substr(separator + 1), amount, occurred_at});
  }
  return std::optional<WrittenTransfer>();
}

absl::StatusOr<WalletStore::Counts> WalletStore::Count(const CallContext& context) {
  SALDO_ASSIGN_OR_RETURN(Result result, pool_.Read(context, kCount));
  SALDO_ASSIGN_OR_RETURN(const auto row, (std::move(result).One<int64_t, int64_t, double>()));
  const auto& [holds, transfers, oldest] = row;
  return Counts{holds, transfers, oldest};
}

absl::Status LockWallets(postgres::Transaction& tx, const std::vector<std::string>& wallet_ids) {
  return tx.Defer(kLockWallets, wallet_ids);
}
absl::Status LockHolds(postgres::Transaction& tx, const std::vector<std::string>& hold_ids) {
  return tx.Defer(kLockHolds, hold_ids);
}
absl::Status LockTransfersOut(postgres::Transaction& tx, const std::vector<std::string>& ids) {
  return tx.Defer(kLockTransfersOut, ids);
}
absl::Status FindTransfersIn(postgres::Transaction& tx, const std::vector<std::string>& ids) {
  return tx.Defer(kFindTransfersIn, ids);
}
absl::Status CountOpen(postgres::Transaction& tx, const std::vector<std::string>& wallet_ids) {
  return tx.Defer(kCountOpen, wallet_ids);
}
absl::Status ReadClock(postgres::Transaction& tx) { return tx.Defer(kClock); }

absl::StatusOr<std::vector<LockedWallet>> ReadLockedWallets(Result result) {
  SALDO_ASSIGN_OR_RETURN(const auto rows, (std::move(result).As<std::string, bool>()));
  std::vector<LockedWallet> wallets;
  for (const auto& [id, closed] : rows) wallets.push_back({id, closed});
  return wallets;
}

absl::StatusOr<std::vector<LockedHold>> ReadLockedHolds(Result result) {
  SALDO_ASSIGN_OR_RETURN(const auto rows,
                         (std::move(result).As<std::string, std::string, absl::Time, Decimal>()));
  std::vector<LockedHold> holds;
  for (const auto& [id, state, expires_at, amount] : rows)
    holds.push_back({id, state, expires_at, amount});
  return holds;
}

absl::StatusOr<std::vector<LockedTransfer>> ReadLockedTransfers(Result result) {
  SALDO_ASSIGN_OR_RETURN(const auto rows, (std::move(result).As<std::string, std::string>()));
  std::vector<LockedTransfer> transfers;
  for (const auto& [id, state] : rows) transfers.push_back({id, state});
  return transfers;
}

absl::StatusOr<std::vector<std::string>> ReadTransfersIn(Result result) {
  SALDO_ASSIGN_OR_RETURN(const auto rows, std::move(result).As<std::string>());
  std::vector<std::string> ids;
  for (const auto& [id] : rows) ids.push_back(id);
  return ids;
}

absl::StatusOr<std::vector<OpenCounts>> ReadOpenCounts(Result result) {
  SALDO_ASSIGN_OR_RETURN(const auto rows, (std::move(result).As<std::string, int64_t, int64_t>()));
  std::vector<OpenCounts> counts;
  for (const auto& [id, holds, transfers] : rows) counts.push_back({id, holds, transfers});
  return counts;
}

absl::StatusOr<absl::Time> ReadClockResult(Result result) {
  SALDO_ASSIGN_OR_RETURN(const auto row, std::move(result).One<absl::Time>());
  return std::get<0>(row);
}

namespace {

absl::Status WriteWallets(postgres::Transaction& tx, absl::Time now, const PartRows& rows) {
  if (!rows.new_wallets.empty()) {
    std::vector<std::string_view> ids, currencies, externals;
    std::vector<Decimal> limits;
    for (const NewWallet* row : rows.new_wallets) {
      ids.push_back(row->wallet_id);
      currencies.push_back(row->currency);
      externals.push_back(row->external_id);
      limits.push_back(row->overdraft_limit);
    }
    SALDO_RETURN_IF_ERROR(tx.Defer(kInsertWallets, now, ids, currencies, externals, limits));
  }
  if (rows.closed_wallets.empty()) return absl::OkStatus();
  return tx.Defer(kCloseWallets, now, rows.closed_wallets);
}

absl::Status WriteHolds(postgres::Transaction& tx, absl::Time now, const PartRows& rows) {
  if (!rows.new_holds.empty()) {
    std::vector<std::string_view> ids, wallets;
    std::vector<Decimal> amounts;
    std::vector<absl::Time> expiries;
    for (const PartRows::Hold& row : rows.new_holds) {
      ids.push_back(row.hold->hold_id);
      wallets.push_back(row.hold->wallet_id);
      amounts.push_back(row.hold->amount);
      expiries.push_back(row.expires_at);
    }
    SALDO_RETURN_IF_ERROR(tx.Defer(kInsertHolds, now, ids, wallets, amounts, expiries));
  }
  if (rows.ended_holds.empty()) return absl::OkStatus();
  std::vector<std::string_view> ids, states;
  std::vector<std::optional<Decimal>> captured;
  for (const EndHold* row : rows.ended_holds) {
    const bool is_capture = row->how == HoldEnd::kCaptured;
    ids.push_back(row->hold_id);
    states.emplace_back(is_capture                      ? "captured"
                        : row->how == HoldEnd::kExpired ? "expired"
                                                        : "released");
    captured.push_back(is_capture ? std::optional<Decimal>(row->captured) : std::nullopt);
  }
  return tx.Defer(kEndHolds, now, ids, states, absl::MakeConstSpan(captured));
}

// Column by column.
struct TransferColumns {
  std::vector<std::string_view> ids, froms, tos, currencies, requests, descriptions;
  std::vector<Decimal> amounts;
  void Add(const TransferRow& row) {
    ids.push_back(row.transfer_id);
    froms.push_back(row.from_wallet_id);
    tos.push_back(row.to_wallet_id);
    amounts.push_back(row.amount);
    currencies.push_back(row.currency);
    requests.push_back(row.request_id);
    descriptions.push_back(row.description);
  }
};

absl::Status WriteTransfers(postgres::Transaction& tx, absl::Time now, const PartRows& rows) {
  if (!rows.transfers_out.empty()) {
    TransferColumns c;
    for (const NewTransferOut* row : rows.transfers_out) c.Add(row->transfer);
    SALDO_RETURN_IF_ERROR(tx.Defer(kInsertTransfersOut, now, c.ids, c.froms, c.tos, c.amounts,
                                   c.currencies, c.requests, c.descriptions));
  }
  if (!rows.transfers_in.empty()) {
    TransferColumns c;
    std::vector<std::string_view> reasons;
    for (const NewTransferIn* row : rows.transfers_in) {
      c.Add(row->transfer);
      reasons.push_back(row->refused_reason);
    }
    SALDO_RETURN_IF_ERROR(
        tx.Defer(kInsertTransfersIn, now, c.ids, c.froms, c.tos, c.amounts, c.currencies, reasons));
  }
  if (rows.ended_transfers.empty()) return absl::OkStatus();
  std::vector<std::string_view> ids, reasons;
  for (const EndTransfer* row : rows.ended_transfers) {
    ids.push_back(row->transfer_id);
    reasons.push_back(row->refund_reason);
  }
  return tx.Defer(kEndTransfers, now, ids, reasons);
}

}  // namespace

absl::Status WriteRows(postgres::Transaction& tx, absl::Time now, const PartRows& rows) {
  SALDO_RETURN_IF_ERROR(WriteWallets(tx, now, rows));
  SALDO_RETURN_IF_ERROR(WriteHolds(tx, now, rows));
  return WriteTransfers(tx, now, rows);
}

}  // namespace saldo::wallets
