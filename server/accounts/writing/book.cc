#include "server/accounts/writing/book.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/rpc/errors.h"
#include "server/accounts/types/attributes.h"

namespace saldo::accounts {
namespace {

absl::Status Beyond(const BookEntry& entry, std::string_view reason, absl::string_view what,
                    Decimal before, Decimal after, Decimal limit) {
  const int scale = entry.type->scale;
  const std::string account = DescribeAccount(*entry.type, entry.key);
  return rpc::WithErrorInfo(
      absl::FailedPreconditionError(
          absl::StrCat("the balance of ", account, " is ", before.ToString(scale), " and would be ",
                       after.ToString(scale), ", ", what, " ", limit.ToString(scale))),
      reason, "saldo",
      {{"account", account},
       {"balance", before.ToString(scale)},
       {"limit", limit.ToString(scale)}});
}

absl::Status Closed(const BookEntry& entry) {
  const std::string account = DescribeAccount(*entry.type, entry.key);
  return rpc::WithErrorInfo(absl::FailedPreconditionError(absl::StrCat(account, " is closed")),
                            "ACCOUNT_CLOSED", "saldo", {{"account", account}});
}

}  // namespace

absl::Status Book::Apply(absl::Span<const BookEntry> entries,
                         std::vector<std::optional<Decimal>>* after) {
  undo_.clear();
  undo_of_.clear();
  absl::Status status = Post(entries, after);
  if (status.ok()) status = CheckLimits();
  if (!status.ok()) TakeBack();
  return status;
}

absl::Status Book::Try(absl::Span<const BookEntry> entries,
                       std::vector<std::optional<Decimal>>* after) {
  SALDO_RETURN_IF_ERROR(Apply(entries, after));
  TakeBack();
  return absl::OkStatus();
}

absl::Status Book::Post(absl::Span<const BookEntry> entries,
                        std::vector<std::optional<Decimal>>* after) {
  after->clear();
  for (const BookEntry& entry : entries) {
    if (!entry.type->keeps_balance) {
      after->emplace_back();
      continue;
    }
    const auto found = balances_.find(entry.account_id);
    if (found == balances_.end()) {
      return absl::InternalError(
          absl::StrCat("the balance of account ", entry.account_id, " was not read"));
    }
    Balance& balance = found->second;
    if (balance.closed) return Closed(entry);
    if (undo_of_.try_emplace(entry.account_id, undo_.size()).second) {
      undo_.push_back({entry.account_id, balance, &entry});
    }
    const bool fits = entry.is_credit
                          ? Decimal::Add(balance.amount, entry.amount, &balance.amount)
                          : Decimal::Subtract(balance.amount, entry.amount, &balance.amount);
    if (!fits) {
      return absl::OutOfRangeError(
          absl::StrCat("the balance of ", DescribeAccount(*entry.type, entry.key),
                       " would have more than ", Decimal::kIntegerDigits, " digits"));
    }
    balance.changed = true;
    after->emplace_back(balance.amount);
  }
  return absl::OkStatus();
}

absl::Status Book::CheckLimits() const {
  for (const Undo& one : undo_) {
    const Decimal before = one.before.amount;
    const Decimal after = balances_.at(one.account_id).amount;
    const AccountType& type = *one.first->type;
    const std::optional<Decimal>& minimum =
        one.before.min_balance.has_value() ? one.before.min_balance : type.min_balance;
    if (minimum.has_value() && after < *minimum && after < before) {
      return Beyond(*one.first, "BALANCE_BELOW_MINIMUM", "below the minimum of", before, after,
                    *minimum);
    }
    if (type.max_balance.has_value() && after > *type.max_balance && after > before) {
      return Beyond(*one.first, "BALANCE_ABOVE_MAXIMUM", "above the maximum of", before, after,
                    *type.max_balance);
    }
  }
  return absl::OkStatus();
}

absl::Status Book::CheckClose(int64_t account_id, const AccountType& type,
                              std::string_view key) const {
  const auto found = balances_.find(account_id);
  if (found == balances_.end())
    return absl::InternalError(
        absl::StrCat("the balance of account ", account_id, " was not read"));
  const Decimal balance = found->second.amount;
  if (balance.IsZero()) return absl::OkStatus();
  const std::string account = DescribeAccount(type, key);
  return rpc::WithErrorInfo(absl::FailedPreconditionError(absl::StrCat(
                                "the balance of ", account, " is ", balance.ToString(type.scale),
                                "; it can be closed at zero only")),
                            "ACCOUNT_NOT_EMPTY", "saldo",
                            {{"account", account}, {"balance", balance.ToString(type.scale)}});
}

void Book::Close(int64_t account_id) {
  Balance& balance = balances_[account_id];
  balance.changed |= !balance.closed;
  balance.closed = true;
}

void Book::TakeBack() {
  for (const Undo& one : undo_) balances_[one.account_id] = one.before;
}

}  // namespace saldo::accounts
