// Random calls, one after another, against a model that is as simple as can be: on one database and
// on two, with every answer and, in the end, every balance and list compared.
#include <algorithm>
#include <catch2/catch.hpp>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "tests/server/wallets/wallet_server.h"
#include "tests/support/test_env.h"

namespace saldo::wallets {
namespace {

// Amounts in hundredths.
std::string Text(int64_t cents) {
  return Decimal::FromUnits(cents * Decimal::Units{10'000'000'000'000'000}).ToString(2);
}

struct ModelWallet {
  std::string currency;
  int64_t overdraft = 0;
  int64_t balance = 0;
  bool closed = false;
  std::vector<int64_t> changes;
};
struct ModelHold {
  std::string wallet;
  int64_t amount;
  std::string state = "open";
};

class History {
 public:
  History(size_t databases, uint64_t seed)
      : databases_(databases), first_(databases_), second_(databases_), random_(seed) {}

  void Run(int steps) {
    for (int i = 0; i < 6; ++i) Create();
    for (int i = 0; i < steps; ++i) Step();
    Compare();
  }

 private:
  int64_t Random(int64_t from, int64_t to) {
    return std::uniform_int_distribution<int64_t>(from, to)(random_);
  }
  WalletServer& Server() { return Random(0, 1) == 0 ? first_ : second_; }
  std::string NewId() { return "r" + std::to_string(++ids_); }
  std::string AnyWallet() {
    auto it = wallets_.begin();
    std::advance(it, Random(0, static_cast<int64_t>(wallets_.size()) - 1));
    return it->first;
  }

  // What a call must answer: by one server, and again by any.
  template <typename Call>
  void Expect(const std::string& what, const std::string& expected, Call call) {
    INFO("step " << ids_ << ": " << what);
    CHECK(Reason(call(Server())) == expected);
    if (Random(0, 3) == 0) CHECK(Reason(call(Server())) == expected);
  }

  std::string WhyNotTake(const std::string& id, int64_t amount) const {
    const ModelWallet& wallet = wallets_.at(id);
    if (wallet.closed) return "WALLET_CLOSED";
    return wallet.balance - amount < -wallet.overdraft ? "INSUFFICIENT_FUNDS" : "OK";
  }
  void Add(const std::string& id, int64_t amount) {
    wallets_[id].balance += amount;
    wallets_[id].changes.push_back(amount);
  }

  void Create() {
    const std::string request = NewId();
    const std::string currency = Random(0, 3) == 0 ? "USD" : "RUB";
    const int64_t overdraft = Random(0, 1) * Random(0, 2000);
    const auto wallet = Server().Create(request, currency, Text(overdraft));
    REQUIRE(wallet.ok());
    CHECK(*Server().Create(request, currency, Text(overdraft)) == *wallet);
    wallets_[*wallet].currency = currency;
    wallets_[*wallet].overdraft = overdraft;
  }

  void Step() {
    const int64_t choice = Random(0, 99);
    if (choice < 3) return Create();
    if (choice < 7) return Close();
    if (choice < 25) return TopUp();
    if (choice < 35) return Withdraw();
    if (choice < 65) return Transfer();
    if (choice < 80) return Hold();
    EndHold();
  }

  void TopUp() {
    const std::string id = NewId(), wallet = AnyWallet();
    const int64_t amount = Random(1, 5000);
    const std::string expected = wallets_[wallet].closed ? "WALLET_CLOSED" : "OK";
    Expect("top up", expected,
           [&](WalletServer& server) { return server.TopUp(id, wallet, Text(amount)); });
    if (expected == "OK") Add(wallet, amount);
  }
  void Withdraw() {
    const std::string id = NewId(), wallet = AnyWallet();
    const int64_t amount = Random(1, 3000);
    const std::string expected = WhyNotTake(wallet, amount);
    Expect("withdraw", expected,
           [&](WalletServer& server) { return server.Withdraw(id, wallet, Text(amount)); });
    if (expected == "OK") Add(wallet, -amount);
  }
  // Which of several reasons is told depends on where the wallets are: a payee of another shard is
  // seen only after the debit.
  void Transfer() {
    const std::string id = NewId(), from = AnyWallet(), to = AnyWallet();
    const int64_t amount = Random(1, 3000);
    std::string expected = WhyNotTake(from, amount);
    const bool far = first_.shards.map().Of(from) != first_.shards.map().Of(to);
    if (from == to) {
      expected = "SAME_WALLET";
    } else if (wallets_[from].currency != wallets_[to].currency) {
      expected = "CURRENCY_MISMATCH";
    } else if (wallets_[to].closed && !far) {
      expected = "WALLET_CLOSED";
    }
    const bool refunded = far && expected == "OK" && wallets_[to].closed;
    v1::TransferResponse response;
    Expect("transfer", expected, [&](WalletServer& server) {
      return server.Transfer(id, from, to, Text(amount), &response);
    });
    if (expected != "OK") return;
    CHECK(response.state() ==
          (refunded ? v1::TRANSFER_STATE_REFUNDED : v1::TRANSFER_STATE_SETTLED));
    const auto transfer = Server().GetTransfer(response.transfer_id());
    REQUIRE(transfer.ok());
    CHECK(transfer->state() == response.state());
    CHECK(transfer->amount() == Text(amount));
    CHECK(transfer->to_wallet_id() == to);
    Add(from, -amount);
    Add(refunded ? from : to, amount);
  }
  void Hold() {
    const std::string id = NewId(), wallet = AnyWallet();
    const int64_t amount = Random(1, 2000);
    const std::string expected = WhyNotTake(wallet, amount);
    std::string hold_id;
    Expect("hold", expected, [&](WalletServer& server) {
      const auto hold = server.Hold(id, wallet, Text(amount));
      if (hold.ok()) hold_id = hold->hold_id();
      return hold.status();
    });
    if (expected != "OK") return;
    Add(wallet, -amount);
    holds_.emplace_back(hold_id, ModelHold{wallet, amount});
  }
  void EndHold() {
    if (holds_.empty()) return;
    auto& [hold_id, hold] =
        holds_[static_cast<size_t>(Random(0, static_cast<int64_t>(holds_.size()) - 1))];
    const std::string id = NewId();
    std::string expected = hold.state == "open" ? "OK" : "HOLD_NOT_OPEN";
    if (Random(0, 2) == 0) {
      Expect("release", expected,
             [&, h = hold_id](WalletServer& server) { return server.Release(id, h); });
      if (expected != "OK") return;
      hold.state = "released";
      Add(hold.wallet, hold.amount);
      return;
    }
    const int64_t amount = Random(1, hold.amount);
    const std::string to = Random(0, 1) == 0 ? "" : AnyWallet();
    const bool far =
        !to.empty() && first_.shards.map().Of(hold.wallet) != first_.shards.map().Of(to);
    if (to == hold.wallet) {
      expected = "SAME_WALLET";
    } else if (!to.empty() && wallets_[to].currency != wallets_[hold.wallet].currency) {
      expected = "CURRENCY_MISMATCH";
    } else if (expected == "OK" && !to.empty() && wallets_[to].closed && !far) {
      expected = "WALLET_CLOSED";
    }
    Expect("capture", expected, [&, h = hold_id](WalletServer& server) {
      return server.Capture(id, h, Text(amount), to);
    });
    if (expected != "OK") return;
    hold.state = "captured";
    if (amount < hold.amount) Add(hold.wallet, hold.amount - amount);
    if (!to.empty()) Add(wallets_[to].closed ? hold.wallet : to, amount);
  }
  void Close() {
    const std::string id = NewId(), wallet = AnyWallet();
    int64_t open = 0;
    for (const auto& [hold_id, hold] : holds_)
      open += hold.wallet == wallet && hold.state == "open" ? 1 : 0;
    std::string expected = "OK";
    if (wallets_[wallet].closed) {
      expected = "WALLET_CLOSED";
    } else if (open > 0) {
      expected = "WALLET_HAS_HOLDS";
    } else if (wallets_[wallet].balance != 0) {
      expected = "WALLET_NOT_EMPTY";
    }
    Expect("close", expected, [&](WalletServer& server) { return server.Close(id, wallet); });
    if (expected == "OK") wallets_[wallet].closed = true;
  }

  void Compare() {
    for (const auto& [id, model] : wallets_) {
      const v1::Wallet wallet = Server().Get(id);
      int64_t held = 0;
      for (const auto& [hold_id, hold] : holds_)
        held += hold.wallet == id && hold.state == "open" ? hold.amount : 0;
      CHECK(wallet.balance() == Text(model.balance));
      CHECK(wallet.held() == Text(held));
      CHECK(wallet.available() == Text(model.balance + model.overdraft));
      CHECK((wallet.state() == v1::WALLET_STATE_CLOSED) == model.closed);
      std::vector<int64_t> listed;
      std::string token;
      do {
        const auto page = Server().Transactions(id, 7, token);
        for (const v1::Transaction& one : page.transactions()) {
          CHECK(one.kind() != v1::WALLET_EVENT_KIND_UNSPECIFIED);
          listed.push_back(
              static_cast<int64_t>(Decimal::Parse(one.amount())->units() / 10'000'000'000'000'000));
        }
        token = page.next_page_token();
      } while (!token.empty());
      // Two of one microsecond may be listed in either order.
      std::vector<int64_t> expected(model.changes.rbegin(), model.changes.rend());
      std::sort(listed.begin(), listed.end());
      std::sort(expected.begin(), expected.end());
      CHECK(listed == expected);
    }
    CHECK(Imbalance(databases_) == "");
  }

  Databases databases_;
  WalletServer first_;
  WalletServer second_;
  std::mt19937_64 random_;
  int ids_ = 0;
  std::map<std::string, ModelWallet> wallets_;
  std::vector<std::pair<std::string, ModelHold>> holds_;
};

TEST_CASE("random calls answer as the model does, on one database") {
  INFO("SALDO_TEST_SEED=" << testing::Seed());
  History(1, testing::Seed()).Run(400);
}

TEST_CASE("random calls answer as the model does, on two databases") {
  INFO("SALDO_TEST_SEED=" << testing::Seed());
  History(2, testing::Seed()).Run(400);
}

}  // namespace
}  // namespace saldo::wallets
