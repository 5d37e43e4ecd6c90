// Requests that are committed together: their way from ids and locks through decisions to rows.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/base/call_context.h"
#include "common/postgres/pool.h"
#include "common/postgres/transaction.h"
#include "server/accounts/writing/account_ids.h"
#include "server/accounts/writing/book.h"
#include "server/accounts/writing/part_batches.h"
#include "server/accounts/writing/request.h"
#include "server/accounts/writing/store.h"
#include "server/outbox/outbox.h"

namespace saldo::accounts {

// Ids for new accounts and subaccounts, taken from the database in blocks. Of one thread.
class NewIds {
 public:
  // Sees to it that there are `count` of each.
  absl::Status Reserve(postgres::Pool& pool, const CallContext& context, int64_t count);
  int64_t TakeAccount() { return accounts_.Take(); }
  int64_t TakeSubaccount() { return subaccounts_.Take(); }
  void Forget() { accounts_ = subaccounts_ = {}; }

 private:
  struct Stock {
    std::vector<int64_t> blocks;  // of kIdBlock ids, the one in use at the back
    int64_t used = 0;             // of that one
    int64_t left = 0;
    int64_t Take();
  };
  Stock accounts_;
  Stock subaccounts_;
};

// What a request of the group carries besides its content.
struct GroupItem {
  const WriteRequest* request;
  std::string_view traceparent;
};

// Whether a request was not decided, for it needs what another one of its batch changes.
bool IsForNextBatch(const absl::Status& status);

// Made anew for each try.
class Group {
 public:
  // `items`, `ids` and `new_ids` outlive the group.
  Group(absl::Span<const GroupItem> items, AccountIds& ids, NewIds& new_ids);

  // Finds the ids of all accounts, and picks those of new ones. Outside the transaction.
  absl::Status Resolve(postgres::Pool& pool, const CallContext& context);

  // The transaction: locks, reads, decides, and leaves the rows and messages to its COMMIT.
  absl::Status Run(postgres::Transaction& tx, const outbox::Outbox& outbox);

  // After Run: whether anything is written, and the answer to each request, valid if the
  // transaction commits. One that must wait for the next batch has a status that IsForNextBatch.
  bool writes() const { return !accepted_.empty(); }
  int32_t events() const { return events_; }
  std::vector<absl::StatusOr<Written>>& outcomes() { return outcomes_; }

  // After the commit: remembers the ids of what is now in the database, and tells the parts.
  void Learn();

 private:
  struct Target {
    int64_t account;
    int64_t subaccount;
    bool new_account;
    bool new_subaccount;
  };
  // Of an account or subaccount that is not in the database yet.
  struct NewAccount {
    int64_t id;
    const AccountType* type;
    bool used = false;  // by a request that was accepted
  };
  struct NewSubaccount {
    int64_t id;
    const AccountType* type;
    std::string_view key;
    bool used = false;
  };

  absl::Status LookUp(postgres::Pool& pool, const CallContext& context);
  void PickNewIds();
  std::vector<int64_t> AccountsToLock() const;
  void Decide(const Before& before);
  absl::StatusOr<Written> DecideOne(size_t index, const Before& before);
  absl::Status CheckOpenings(const WriteRequest& request) const;
  absl::Status CheckClosings(const WriteRequest& request) const;
  void OpenAndClose(const WriteRequest& request);
  // Of an account that keeps balances; nothing when there is none.
  std::optional<int64_t> IdOf(const AccountType& type, std::string_view key) const;
  void AddRows(size_t index, Written* written, const Before& before);
  absl::Status AnswerRepeats(postgres::Transaction& tx);
  void AddAccountRows();
  void AddBalanceRows();
  void AddRequestRows();

  const absl::Span<const GroupItem> items_;
  AccountIds& ids_;
  NewIds& new_ids_;

  int64_t unknown_ = 0;               // subaccounts that had to be looked up
  std::vector<Target> targets_;       // of all postings, in order
  std::vector<size_t> first_target_;  // of each request
  // By type and key; by account and attributes. Ordered: rows are inserted in this order.
  std::map<std::pair<int32_t, std::string_view>, NewAccount> new_accounts_;
  std::map<std::pair<int64_t, std::string_view>, NewSubaccount> new_subaccounts_;

  PartBatches parts_;
  Book book_;
  absl::flat_hash_map<std::string_view, const KnownRequest*> known_;
  // Requests of the group that were accepted, by id.
  std::map<std::string_view, size_t> accepted_;
  std::vector<std::pair<size_t, const KnownRequest*>> repeats_;
  std::vector<absl::StatusOr<Written>> outcomes_;
  int32_t events_ = 0;
  Rows rows_;
  std::vector<std::string> assets_;
  std::vector<outbox::Message> messages_;
};

}  // namespace saldo::accounts
