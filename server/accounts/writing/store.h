// The SQL of writing events.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "common/base/call_context.h"
#include "common/base/decimal.h"
#include "common/postgres/params.h"
#include "common/postgres/pool.h"
#include "common/postgres/transaction.h"
#include "server/accounts/writing/book.h"
#include "server/accounts/writing/request.h"

namespace saldo::accounts {

// What names a subaccount. The views outlive the call.
struct SubaccountName {
  int32_t type_id;
  std::string_view key;
  std::string_view attributes;
};
struct SubaccountIds {
  std::optional<int64_t> account;
  std::optional<int64_t> subaccount;
};
// The ids of those that exist, in the order of `names`.
absl::StatusOr<std::vector<SubaccountIds>> FindSubaccounts(
    postgres::Pool& pool, const CallContext& context, const std::vector<SubaccountName>& names);

// Ids for new rows: blocks of kIdBlock, each by its first id.
inline constexpr int64_t kIdBlock = 1000;
struct IdBlocks {
  std::vector<int64_t> accounts;
  std::vector<int64_t> subaccounts;
};
absl::StatusOr<IdBlocks> TakeIdBlocks(postgres::Pool& pool, const CallContext& context,
                                      int account_blocks, int subaccount_blocks);

// A request that was accepted before.
struct KnownRequest {
  std::string id;
  Fingerprint fingerprint;
  int64_t batch_id;
  int32_t first_ordinal;
  int32_t events;
};
struct LockedBalance {
  int64_t account_id;
  Book::Balance balance;
};
// What a batch starts from. Rows of `balances` are locked until the transaction ends.
struct Before {
  std::vector<KnownRequest> requests;
  std::vector<LockedBalance> balances;
  int64_t batch_id;  // of this batch, taken after all locks
  int32_t epoch;     // of write_requests
  // Of each account type, by its id.
  absl::flat_hash_map<int64_t, int64_t> redefinitions;
};
// The accounts with balances that a batch is about.
struct AccountsOfBatch {
  std::vector<int64_t> locked;  // by id, ascending
  // Of those to be created.
  std::vector<int32_t> new_types;
  std::vector<std::string_view> new_keys;
};
// What the parts of other slices do in this round trip.
struct PartReads {
  // Leaves their locks and reads to it; how many statements.
  absl::FunctionRef<absl::StatusOr<int>(postgres::Transaction&)> defer;
  absl::FunctionRef<absl::Status(absl::Span<postgres::Result>)> take;
};
// One round trip. ABORTED when an account to be created is there by now: the batch has to find its
// accounts anew.
absl::StatusOr<Before> ReadBefore(postgres::Transaction& tx,
                                  const std::vector<std::string_view>& request_ids,
                                  const AccountsOfBatch& accounts, const PartReads& parts);

// The answers that were given to these requests, in their order. DATA_LOSS for one whose events are
// no longer all there.
absl::StatusOr<std::vector<absl::StatusOr<Written>>> ReadAnswers(
    postgres::Transaction& tx, const std::vector<KnownRequest>& requests);

// The rows of one batch, column by column, as the statements take them. Rows with a unique key are
// added in its order, so that two servers that insert the same ones wait for each other in one
// order.
struct Rows {
  struct {
    std::vector<int64_t> ids;
    std::vector<int32_t> types;
    std::vector<std::string_view> keys, assets;
  } accounts;
  struct {
    std::vector<int64_t> ids, accounts;
    std::vector<std::string_view> attributes;
  } subaccounts;
  struct Balances {
    std::vector<int64_t> accounts;
    std::vector<Decimal> balances;
    std::vector<std::optional<Decimal>> minimums;  // of new ones
    std::vector<int32_t> closed;                   // 0 or 1
  } new_balances, changed_balances;
  struct {
    std::vector<std::string_view> ids;
    std::vector<postgres::Bytes> fingerprints;
    std::vector<int32_t> first_ordinals, events;
  } requests;
  // Ordinals count from 1 in this order.
  struct {
    std::vector<int64_t> subaccounts;
    std::vector<absl::Time> times;
    std::vector<int32_t> types;
    std::vector<int32_t> flags;  // kCredit, kBalanced
    std::vector<Decimal> amounts;
    std::vector<std::optional<Decimal>> balances_after;
    std::vector<std::string_view> infos;
  } events;
};
inline constexpr int32_t kCredit = 1;
inline constexpr int32_t kBalanced = 2;

// Leaves all rows to the transaction's last round trip.
absl::Status Write(postgres::Transaction& tx, const Before& before, const Rows& rows);

}  // namespace saldo::accounts
