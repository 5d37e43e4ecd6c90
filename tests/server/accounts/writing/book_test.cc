// The decisions of the writer, step by step, and against a naive model over random histories.
#include "server/accounts/writing/book.h"

#include <catch2/catch.hpp>
#include <map>
#include <random>
#include <string>

#include "absl/strings/str_split.h"
#include "common/rpc/errors.h"
#include "tests/server/accounts/account_types.h"
#include "tests/support/test_env.h"

namespace saldo::accounts {
namespace {

const AccountType& Fee() {
  static const AccountType type = FeeType();
  return type;
}
const AccountType& Wallet() {
  static const AccountType type = WalletType();
  return type;
}

std::string Reason(const absl::Status& status) {
  google::rpc::ErrorInfo info;
  return rpc::GetDetail(status, &info) ? info.reason() : std::string();
}

BookEntry Entry(int64_t account, const std::string& amount) {
  const Decimal value = D(amount);
  return {&Wallet(), "7\x1fRUB", account, value.IsPositive(), value.IsNegative() ? -value : value};
}

TEST_CASE("a book applies one request a line") {
  // Balances before, entries "account:amount" of one request, balances after, reason.
  struct Step {
    std::map<int64_t, std::string> before;
    std::vector<std::pair<int64_t, std::string>> entries;
    std::map<int64_t, std::string> after;
    std::string reason;
  };
  const auto step = GENERATE(values<Step>({
      {{{1, "0"}}, {{1, "5"}}, {{1, "5"}}, ""},
      {{{1, "5"}}, {{1, "-5"}}, {{1, "0"}}, ""},
      {{{1, "5"}}, {{1, "-5.01"}}, {{1, "5"}}, "BALANCE_BELOW_MINIMUM"},
      {{{1, "0"}}, {{1, "1000"}}, {{1, "1000"}}, ""},
      {{{1, "0"}}, {{1, "1000.01"}}, {{1, "0"}}, "BALANCE_ABOVE_MAXIMUM"},
      // The request counts as a whole: in between it may lie beyond the limits.
      {{{1, "5"}}, {{1, "-9"}, {1, "4"}}, {{1, "0"}}, ""},
      {{{1, "999"}}, {{1, "9"}, {1, "-8"}}, {{1, "1000"}}, ""},
      // All or nothing.
      {{{1, "5"}, {2, "0"}}, {{2, "3"}, {1, "-6"}}, {{1, "5"}, {2, "0"}}, "BALANCE_BELOW_MINIMUM"},
      {{{1, "5"}, {2, "0"}}, {{1, "-5"}, {2, "5"}}, {{1, "0"}, {2, "5"}}, ""},
      // A balance that is outside already, for the limits were changed, may move back.
      {{{1, "-9"}}, {{1, "1"}}, {{1, "-8"}}, ""},
      {{{1, "-9"}}, {{1, "-1"}}, {{1, "-9"}}, "BALANCE_BELOW_MINIMUM"},
      {{{1, "2000"}}, {{1, "-1"}}, {{1, "1999"}}, ""},
      {{{1, "2000"}}, {{1, "1"}}, {{1, "2000"}}, "BALANCE_ABOVE_MAXIMUM"},
  }));
  Book book;
  for (const auto& [account, balance] : step.before) book.Open(account, {.amount = D(balance)});
  std::vector<BookEntry> entries;
  for (const auto& [account, amount] : step.entries) entries.push_back(Entry(account, amount));
  std::vector<std::optional<Decimal>> after;

  const absl::Status tried = book.Try(entries, &after);
  for (const auto& [account, balance] : step.before)
    CHECK(book.balances().at(account).amount == D(balance));
  const absl::Status status = book.Apply(entries, &after);
  CHECK(tried.message() == status.message());
  CHECK(Reason(status) == step.reason);
  for (const auto& [account, balance] : step.after) {
    CHECK(book.balances().at(account).amount == D(balance));
    CHECK(book.balances().at(account).changed == (D(balance) != D(step.before.at(account))));
  }
}

TEST_CASE("a rejection tells the account, its balance and the limit") {
  Book book;
  book.Open(1, {.amount = D("3.5")});
  std::vector<std::optional<Decimal>> after;
  const absl::Status status = book.Apply({Entry(1, "-4")}, &after);
  CHECK(absl::IsFailedPrecondition(status));
  CHECK(std::string(status.message()) ==
        "the balance of wallet{client_id=7, currency=RUB} is 3.50 and would be -0.50, below the "
        "minimum of 0.00");
  google::rpc::ErrorInfo info;
  REQUIRE(rpc::GetDetail(status, &info));
  CHECK(info.metadata().at("account") == "wallet{client_id=7, currency=RUB}");
  CHECK(info.metadata().at("balance") == "3.50");
  CHECK(info.metadata().at("limit") == "0.00");
}

TEST_CASE("a balance that would not fit is refused and stays") {
  AccountType endless = WalletType();
  endless.max_balance.reset();
  Book book;
  book.Open(1, {.amount = Decimal::Max()});
  std::vector<std::optional<Decimal>> after;
  BookEntry entry = Entry(1, "1");
  entry.type = &endless;
  CHECK(absl::IsOutOfRange(book.Apply({entry}, &after)));
  CHECK(book.balances().at(1).amount == Decimal::Max());
}

TEST_CASE("types without limits have no balance in the book") {
  Book book;
  std::vector<std::optional<Decimal>> after;
  REQUIRE(book.Apply({{&Fee(), "7\x1fRUB", 5, false, D("1")}}, &after).ok());
  REQUIRE(after.size() == 1);
  CHECK_FALSE(after[0].has_value());
  CHECK(book.balances().empty());
}

TEST_CASE("random histories keep to a naive model") {
  std::mt19937 random(testing::Seed());
  const auto pick = [&random](int low, int high) {
    return std::uniform_int_distribution<int>(low, high)(random);
  };
  Book book;
  std::map<int64_t, int64_t> model;  // in cents
  for (int64_t account = 1; account <= 5; ++account) {
    book.Open(account, {.amount = Decimal()});
    model[account] = 0;
  }
  int accepted = 0;
  for (int round = 0; round < 5000; ++round) {
    std::vector<BookEntry> entries;
    std::map<int64_t, int64_t> next = model;
    std::vector<int64_t> running;
    for (int i = pick(1, 4); i > 0; --i) {
      const int64_t account = pick(1, 5);
      const int64_t cents = pick(1, 40'000);
      const bool credit = pick(0, 1) == 1;
      next[account] += credit ? cents : -cents;
      running.push_back(next[account]);
      BookEntry entry = Entry(account, "1");
      entry.is_credit = credit;
      entry.amount =
          Decimal::FromUnits(static_cast<Decimal::Units>(cents) * 10'000'000'000'000'000);
      entries.push_back(entry);
    }
    bool allowed = true;
    for (const auto& [account, cents] : next) {
      if (cents < 0 || cents > 100'000) allowed = false;
    }
    std::vector<std::optional<Decimal>> after;
    const absl::Status status = book.Apply(entries, &after);
    REQUIRE(status.ok() == allowed);
    if (allowed) {
      ++accepted;
      model = next;
      for (size_t i = 0; i < running.size(); ++i)
        REQUIRE(after[i]->units() / 10'000'000'000'000'000 == running[i]);
    }
    for (const auto& [account, cents] : model)
      REQUIRE(book.balances().at(account).amount.units() / 10'000'000'000'000'000 == cents);
  }
  CHECK(accepted > 500);
}

}  // namespace
}  // namespace saldo::accounts
