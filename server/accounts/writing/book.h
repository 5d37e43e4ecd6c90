// The balances of the accounts that one batch touches, and the rule that keeps them within their
// limits. Pure: what it is told, it decides.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/types/span.h"
#include "common/base/decimal.h"
#include "server/accounts/types/account_type.h"

namespace saldo::accounts {

struct BookEntry {
  const AccountType* type;
  std::string_view key;  // encoded; for what is said of the account
  int64_t account_id;
  bool is_credit;
  Decimal amount;  // above 0
};

class Book {
 public:
  struct Balance {
    Decimal amount;
    std::optional<Decimal> min_balance = std::nullopt;  // where not that of the type
    bool closed = false;
    bool changed = false;
  };

  // An account of a type that keeps balances, with what it has before the batch.
  void Open(int64_t account_id, Balance balance) { balances_[account_id] = balance; }

  // Applies a request's entries in their order, all of them or none. `after` gets, for each, the
  // balance that its account then has, or nothing where the type keeps none. The limits hold for
  // the request as a whole: in between, a balance may lie beyond them.
  //
  // FAILED_PRECONDITION with ErrorInfo {BALANCE_BELOW_MINIMUM or BALANCE_ABOVE_MAXIMUM; account,
  // balance, limit} for the first account that would end outside its limits; a balance that lies
  // outside already (the limits were changed) may move towards them. FAILED_PRECONDITION with
  // {ACCOUNT_CLOSED; account} for one that is closed. OUT_OF_RANGE when a balance would not fit a
  // Decimal.
  absl::Status Apply(absl::Span<const BookEntry> entries,
                     std::vector<std::optional<Decimal>>* after);

  // As Apply, but nothing stays changed.
  absl::Status Try(absl::Span<const BookEntry> entries, std::vector<std::optional<Decimal>>* after);

  // Lets no more entries in. `account` names it in faults. FAILED_PRECONDITION with
  // {ACCOUNT_NOT_EMPTY; account, balance} unless its balance is zero. Closing twice is fine.
  absl::Status CheckClose(int64_t account_id, const AccountType& type, std::string_view key) const;
  void Close(int64_t account_id);

  const absl::flat_hash_map<int64_t, Balance>& balances() const { return balances_; }

 private:
  struct Undo {
    int64_t account_id;
    Balance before;
    const BookEntry* first;  // of the request on this account
  };

  absl::Status Post(absl::Span<const BookEntry> entries,
                    std::vector<std::optional<Decimal>>* after);
  absl::Status CheckLimits() const;
  void TakeBack();

  absl::flat_hash_map<int64_t, Balance> balances_;
  // What the request under way has changed: each account once.
  std::vector<Undo> undo_;
  absl::flat_hash_map<int64_t, size_t> undo_of_;
};

}  // namespace saldo::accounts
