#include "server/accounts/writing/store.h"

#include <algorithm>
#include <utility>

#include "common/base/status_macros.h"
#include "common/postgres/statement.h"

namespace saldo::accounts {
namespace {

using postgres::Result;
using postgres::Statement;

constexpr Statement kFind{
    "accounts.find",
    "SELECT wanted.ordinal::int4, a.account_id, s.subaccount_id "
    "FROM unnest($1::int4[], $2::text[], $3::text[]) WITH ORDINALITY"
    "   AS wanted (type_id, key, attributes, ordinal) "
    "JOIN accounts AS a ON a.type_id = wanted.type_id AND a.key = wanted.key COLLATE \"C\" "
    "LEFT JOIN subaccounts AS s"
    "  ON s.account_id = a.account_id AND s.attributes = wanted.attributes COLLATE \"C\""};
constexpr Statement kAccountBlocks{
    "accounts.account_id_blocks",
    "SELECT nextval('account_id_blocks') FROM generate_series(1, $1::int4)"};
constexpr Statement kSubaccountBlocks{
    "accounts.subaccount_id_blocks",
    "SELECT nextval('subaccount_id_blocks') FROM generate_series(1, $1::int4)"};

// See advance_write_request_epoch: nobody writes in another epoch until this transaction ends.
constexpr Statement kHoldEpoch{"accounts.hold_epoch",
                               "SELECT pg_advisory_xact_lock_shared(2003985777)"};
// An account that is not there has no row to lock, so those who create accounts with limits do it
// one after the other. The lock's number spells "newa".
constexpr Statement kCreateAlone{"accounts.create_alone",
                                 "SELECT pg_advisory_xact_lock(1852143457)"};
constexpr Statement kAnyThere{
    "accounts.any_there",
    "SELECT EXISTS (SELECT FROM unnest($1::int4[], $2::text[]) AS wanted (type_id, key) "
    "JOIN accounts AS a ON a.type_id = wanted.type_id AND a.key = wanted.key COLLATE \"C\")"};
constexpr Statement kFindRequests{
    "accounts.find_requests",
    "SELECT request_id, fingerprint, batch_id, first_ordinal, events FROM write_requests "
    "WHERE request_id = ANY ($1::text[])"};
// In the order of ids, as every writer locks them.
constexpr Statement kLockBalances{
    "accounts.lock_balances",
    "SELECT account_id, balance, min_balance, closed FROM account_balances "
    "WHERE account_id = ANY ($1::int8[]) ORDER BY account_id FOR UPDATE"};
// Last: the ids of batches follow the order of changes only when they are taken after all locks.
constexpr Statement kTakeBatchId{
    "accounts.take_batch_id",
    "SELECT nextval('batch_id_seq'), epoch, types.ids, types.redefinitions "
    "FROM write_request_epoch, (SELECT coalesce(array_agg(type_id::int8), '{}') AS ids, "
    "coalesce(array_agg(redefinition::int8), '{}') AS redefinitions FROM account_types) AS types"};

constexpr Statement kReadAnswers{
    "accounts.read_answers",
    "SELECT r.ordinal::int4, e.subaccount_id, e.balance_after, t.scale "
    "FROM unnest($1::int8[], $2::int4[], $3::int4[]) WITH ORDINALITY"
    "  AS r (batch_id, first, events, ordinal) "
    "JOIN events AS e ON e.batch_id = r.batch_id"
    "  AND e.ordinal >= r.first AND e.ordinal < r.first + r.events "
    "JOIN account_types AS t USING (type_id) "
    "ORDER BY r.ordinal, e.ordinal"};

constexpr Statement kInsertAccounts{
    "accounts.insert_accounts",
    "INSERT INTO accounts (account_id, type_id, key, asset) "
    "SELECT * FROM unnest($1::int8[], $2::int4[], $3::text[], $4::text[])"};
constexpr Statement kInsertSubaccounts{
    "accounts.insert_subaccounts",
    "INSERT INTO subaccounts (subaccount_id, account_id, attributes) "
    "SELECT * FROM unnest($1::int8[], $2::int8[], $3::text[])"};
constexpr Statement kInsertBalances{"accounts.insert_balances",
                                    "INSERT INTO account_balances (account_id, balance, "
                                    "min_balance, closed) SELECT n.account_id, n.balance, "
                                    "n.min_balance, n.closed <> 0 FROM unnest($1::int8[], "
                                    "$2::numeric[], $3::numeric[], $4::int4[]) "
                                    "AS n (account_id, balance, min_balance, closed)"};
constexpr Statement kUpdateBalances{
    "accounts.update_balances",
    "UPDATE account_balances AS b SET balance = new.balance, closed = new.closed <> 0 "
    "FROM unnest($1::int8[], $2::numeric[], $3::int4[]) AS new (account_id, balance, closed) "
    "WHERE b.account_id = new.account_id"};
// Arrays are unnested in the list of columns, where their rows stream: unnest in FROM stores all of
// them first.
constexpr Statement kInsertEvents{
    "accounts.insert_events",
    "INSERT INTO events (batch_id, ordinal, subaccount_id, occurred_at, type_id, is_credit, "
    "is_balanced, amount, balance_after, info) "
    "SELECT $1, e.ordinal, e.subaccount_id, e.occurred_at, e.type_id, e.flags & 1 <> 0, "
    "e.flags & 2 <> 0, e.amount, e.balance_after, nullif(e.info, '') "
    "FROM (SELECT unnest($2::int8[]) AS subaccount_id, unnest($3::timestamptz[]) AS occurred_at, "
    "unnest($4::int4[]) AS type_id, unnest($5::int4[]) AS flags, unnest($6::numeric[]) AS amount, "
    "unnest($7::numeric[]) AS balance_after, unnest($8::text[]) AS info, "
    "generate_series(1, cardinality($2)) AS ordinal) AS e"};
constexpr Statement kInsertRequests{
    "accounts.insert_requests",
    "INSERT INTO write_requests (batch_id, epoch, request_id, fingerprint, first_ordinal, events) "
    "SELECT $1, $2, unnest($3::text[]), unnest($4::bytea[]), unnest($5::int4[]), "
    "unnest($6::int4[])"};

absl::StatusOr<std::vector<int64_t>> TakeBlocks(postgres::Pool& pool, const CallContext& context,
                                                const Statement& statement, int count) {
  std::vector<int64_t> blocks;
  if (count == 0) return blocks;
  SALDO_ASSIGN_OR_RETURN(Result result, pool.Read(context, statement, static_cast<int32_t>(count)));
  SALDO_ASSIGN_OR_RETURN(const auto rows, std::move(result).As<int64_t>());
  for (const auto& [first] : rows) blocks.push_back(first);
  return blocks;
}

absl::StatusOr<std::vector<KnownRequest>> KnownRequests(Result result) {
  SALDO_ASSIGN_OR_RETURN(
      const auto rows,
      (std::move(result).As<std::string, std::string_view, int64_t, int32_t, int32_t>()));
  std::vector<KnownRequest> requests;
  for (auto [id, fingerprint, batch_id, first_ordinal, events] : rows) {
    KnownRequest request{.id = std::move(id),
                         .fingerprint = {},
                         .batch_id = batch_id,
                         .first_ordinal = first_ordinal,
                         .events = events};
    if (fingerprint.size() != request.fingerprint.size())
      return absl::DataLossError("a fingerprint in write_requests has the wrong length");
    std::copy(fingerprint.begin(), fingerprint.end(), request.fingerprint.begin());
    requests.push_back(std::move(request));
  }
  return requests;
}

}  // namespace

absl::StatusOr<std::vector<SubaccountIds>> FindSubaccounts(
    postgres::Pool& pool, const CallContext& context, const std::vector<SubaccountName>& names) {
  std::vector<int32_t> types;
  std::vector<std::string_view> keys, attributes;
  for (const SubaccountName& name : names) {
    types.push_back(name.type_id);
    keys.push_back(name.key);
    attributes.push_back(name.attributes);
  }
  SALDO_ASSIGN_OR_RETURN(Result result, pool.Read(context, kFind, types, keys, attributes));
  SALDO_ASSIGN_OR_RETURN(const auto rows,
                         (std::move(result).As<int32_t, int64_t, std::optional<int64_t>>()));
  std::vector<SubaccountIds> found(names.size());
  for (const auto& [ordinal, account, subaccount] : rows)
    found[static_cast<size_t>(ordinal) - 1] = {account, subaccount};
  return found;
}

absl::StatusOr<IdBlocks> TakeIdBlocks(postgres::Pool& pool, const CallContext& context,
                                      int account_blocks, int subaccount_blocks) {
  IdBlocks blocks;
  SALDO_ASSIGN_OR_RETURN(blocks.accounts,
                         TakeBlocks(pool, context, kAccountBlocks, account_blocks));
  SALDO_ASSIGN_OR_RETURN(blocks.subaccounts,
                         TakeBlocks(pool, context, kSubaccountBlocks, subaccount_blocks));
  return blocks;
}

absl::StatusOr<Before> ReadBefore(postgres::Transaction& tx,
                                  const std::vector<std::string_view>& request_ids,
                                  const AccountsOfBatch& accounts, const PartReads& parts) {
  const bool creates = !accounts.new_types.empty();
  const bool locks = !accounts.locked.empty();
  SALDO_RETURN_IF_ERROR(tx.Defer(kHoldEpoch));
  if (creates) {
    SALDO_RETURN_IF_ERROR(tx.Defer(kCreateAlone));
    SALDO_RETURN_IF_ERROR(tx.Defer(kAnyThere, accounts.new_types, accounts.new_keys));
  }
  const size_t before_parts = creates ? 3 : 1;
  SALDO_ASSIGN_OR_RETURN(const int part_statements, parts.defer(tx));
  if (locks) SALDO_RETURN_IF_ERROR(tx.Defer(kLockBalances, accounts.locked));
  // After the locks: when they waited for another server that was writing one of these requests,
  // it is found, rather than decided again on the balances that it left.
  SALDO_RETURN_IF_ERROR(tx.Defer(kFindRequests, request_ids));
  SALDO_RETURN_IF_ERROR(tx.Defer(kTakeBatchId));
  SALDO_ASSIGN_OR_RETURN(std::vector<Result> results, tx.Send());
  Before before;
  if (creates) {
    SALDO_ASSIGN_OR_RETURN(const auto there, std::move(results[2]).One<bool>());
    if (std::get<0>(there)) return absl::AbortedError("another server has created an account");
  }
  SALDO_RETURN_IF_ERROR(parts.take(
      absl::MakeSpan(results).subspan(before_parts, static_cast<size_t>(part_statements))));
  SALDO_ASSIGN_OR_RETURN(before.requests, KnownRequests(std::move(results[results.size() - 2])));
  if (locks) {
    SALDO_ASSIGN_OR_RETURN(const auto rows,
                           (std::move(results[results.size() - 3])
                                .As<int64_t, Decimal, std::optional<Decimal>, bool>()));
    for (const auto& [account_id, balance, minimum, closed] : rows) {
      before.balances.push_back(
          {account_id, {.amount = balance, .min_balance = minimum, .closed = closed}});
    }
  }
  SALDO_ASSIGN_OR_RETURN(
      const auto row, (std::move(results.back())
                           .One<int64_t, int32_t, std::vector<int64_t>, std::vector<int64_t>>()));
  const auto& [batch_id, epoch, types, redefinitions] = row;
  before.batch_id = batch_id;
  before.epoch = epoch;
  for (size_t i = 0; i < types.size(); ++i) before.redefinitions[types[i]] = redefinitions[i];
  return before;
}

absl::StatusOr<std::vector<absl::StatusOr<Written>>> ReadAnswers(
    postgres::Transaction& tx, const std::vector<KnownRequest>& requests) {
  std::vector<int64_t> batches;
  std::vector<int32_t> firsts, counts;
  std::vector<absl::StatusOr<Written>> answers;
  for (const KnownRequest& request : requests) {
    batches.push_back(request.batch_id);
    firsts.push_back(request.first_ordinal);
    counts.push_back(request.events);
    answers.emplace_back(Written{request.batch_id, request.first_ordinal, {}});
  }
  SALDO_ASSIGN_OR_RETURN(Result result, tx.Query(kReadAnswers, batches, firsts, counts));
  SALDO_ASSIGN_OR_RETURN(
      const auto rows, (std::move(result).As<int32_t, int64_t, std::optional<Decimal>, int32_t>()));
  for (const auto& [ordinal, subaccount, balance, scale] : rows)
    answers[static_cast<size_t>(ordinal) - 1]->postings.push_back({subaccount, balance, scale});
  for (size_t i = 0; i < requests.size(); ++i) {
    if (answers[i]->postings.size() != static_cast<size_t>(requests[i].events))
      answers[i] = absl::DataLossError("the events of an accepted request are not all there");
  }
  return answers;
}

absl::Status Write(postgres::Transaction& tx, const Before& before, const Rows& rows) {
  if (!rows.accounts.ids.empty()) {
    SALDO_RETURN_IF_ERROR(tx.Defer(kInsertAccounts, rows.accounts.ids, rows.accounts.types,
                                   rows.accounts.keys, rows.accounts.assets));
  }
  if (!rows.subaccounts.ids.empty()) {
    SALDO_RETURN_IF_ERROR(tx.Defer(kInsertSubaccounts, rows.subaccounts.ids,
                                   rows.subaccounts.accounts, rows.subaccounts.attributes));
  }
  if (!rows.new_balances.accounts.empty()) {
    SALDO_RETURN_IF_ERROR(
        tx.Defer(kInsertBalances, rows.new_balances.accounts, rows.new_balances.balances,
                 absl::MakeConstSpan(rows.new_balances.minimums), rows.new_balances.closed));
  }
  if (!rows.changed_balances.accounts.empty()) {
    SALDO_RETURN_IF_ERROR(tx.Defer(kUpdateBalances, rows.changed_balances.accounts,
                                   rows.changed_balances.balances, rows.changed_balances.closed));
  }
  SALDO_RETURN_IF_ERROR(tx.Defer(kInsertRequests, before.batch_id, before.epoch, rows.requests.ids,
                                 rows.requests.fingerprints, rows.requests.first_ordinals,
                                 rows.requests.events));
  if (rows.events.subaccounts.empty()) return absl::OkStatus();
  return tx.Defer(kInsertEvents, before.batch_id, rows.events.subaccounts, rows.events.times,
                  rows.events.types, rows.events.flags, rows.events.amounts,
                  absl::MakeConstSpan(rows.events.balances_after), rows.events.infos);
}

}  // namespace saldo::accounts
