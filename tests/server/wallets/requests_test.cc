// What callers may send: sizes, tokens of pages, and errors that name the field.
#include <catch2/catch.hpp>
#include <limits>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/wallets/ids.h"
#include "tests/server/wallets/wallet_server.h"

namespace saldo::wallets {
namespace {

struct World {
  Databases databases{1};
  WalletServer server{databases};
  std::string wallet = *server.Create("c1");
};

// "INVALID_ARGUMENT: page_token", or the code.
std::string Fields(const absl::Status& status) {
  google::rpc::BadRequest bad;
  std::string text = absl::StatusCodeToString(status.code());
  if (!rpc::GetDetail(status, &bad)) return text;
  for (const auto& one : bad.field_violations()) absl::StrAppend(&text, " ", one.field());
  return text;
}

TEST_CASE("tokens of pages that no call has answered are refused by their name") {
  World w;
  const std::string other = *w.server.Create("c2");
  REQUIRE(w.server.TopUp("t", w.wallet, "10").ok());
  REQUIRE(w.server.TopUp("t2", w.wallet, "10").ok());
  REQUIRE(w.server.TopUp("t3", other, "10").ok());
  REQUIRE(w.server.TopUp("t4", other, "10").ok());
  REQUIRE(w.server.Hold("h", w.wallet, "1").ok());
  REQUIRE(w.server.Hold("h2", w.wallet, "1").ok());
  const std::string hold = HoldIdOf(w.wallet, "h");
  const auto holds = [&](const std::string& token) {
    v1::ListHoldsRequest request;
    request.set_wallet_id(w.wallet);
    request.set_page_token(token);
    v1::ListHoldsResponse response;
    return w.server.Call(&Stub::ListHolds, request, &response);
  };
  const auto transactions = [&](const std::string& token) {
    v1::ListTransactionsRequest request;
    request.set_wallet_id(w.wallet);
    request.set_page_token(token);
    v1::ListTransactionsResponse response;
    return w.server.Call(&Stub::ListTransactions, request, &response);
  };
  const auto list = [&](const std::string& token) {
    v1::ListWalletsRequest request;
    request.set_page_token(token);
    v1::ListWalletsResponse response;
    return w.server.Call(&Stub::ListWallets, request, &response);
  };
  const std::string bad = "INVALID_ARGUMENT page_token";
  for (const std::string& token :
       {std::string("x"), std::string("."), "1." + hold + "0", " 1." + hold, "+1." + hold,
        absl::StrCat(std::numeric_limits<int64_t>::max(), ".", hold),
        absl::StrCat(std::numeric_limits<int64_t>::min(), ".", hold), "1." + HoldIdOf(other, "h"),
        std::string(100'000, '1')}) {
    CAPTURE(token.substr(0, 100));
    CHECK(Fields(holds(token)) == bad);
  }
  const std::string real = w.server.Transactions(w.wallet, 1).next_page_token();
  const std::string of_other = w.server.Transactions(other, 1).next_page_token();
  REQUIRE(Fields(transactions(real)) == bad);  // of another page size
  const std::string rest = real.substr(real.find('.'));
  for (const std::string& token :
       {std::string("x"), std::string("."), of_other, "1" + rest, "-1" + rest,
        absl::StrCat(std::numeric_limits<int64_t>::max(), rest), std::string(100'000, '1')}) {
    CAPTURE(token.substr(0, 100));
    CHECK(Fields(transactions(token)) == bad);
  }
  for (const std::string& token : {std::string("x"), std::string(100'000, '1'), "w" + w.wallet})
    CHECK(Fields(list(token)) == bad);
}

TEST_CASE("bounds of lists are refused by their names") {
  World w;
  struct Row {
    int64_t from;
    int64_t to;
    const char* fields;
  };
  constexpr int64_t k3000 = 32'503'680'000;
  for (const Row& row :
       {Row{0, k3000, "INVALID_ARGUMENT to"}, Row{k3000, 0, "INVALID_ARGUMENT from"},
        Row{-5, -6, "INVALID_ARGUMENT from to"},
        Row{1'800'000'000, 1'700'000'000, "INVALID_ARGUMENT from"}}) {
    v1::ListTransactionsRequest request;
    request.set_wallet_id(w.wallet);
    if (row.from != 0) request.mutable_from()->set_seconds(row.from);
    if (row.to != 0) request.mutable_to()->set_seconds(row.to);
    v1::ListTransactionsResponse response;
    CAPTURE(row.from, row.to);
    CHECK(Fields(w.server.Call(&Stub::ListTransactions, request, &response)) == row.fields);
  }
  v1::ListTransactionsRequest negative;
  negative.set_wallet_id(w.wallet);
  negative.set_page_size(-1);
  v1::ListTransactionsResponse transactions;
  CHECK(Fields(w.server.Call(&Stub::ListTransactions, negative, &transactions)) ==
        "INVALID_ARGUMENT page_size");
  v1::ListWalletsResponse wallets;
  for (const std::string& currency :
       {std::string("RU\0B", 4), std::string("rub"), std::string(100'000, 'R')}) {
    v1::ListWalletsRequest request;
    request.set_currency(currency);
    CHECK(Fields(w.server.Call(&Stub::ListWallets, request, &wallets)) ==
          "INVALID_ARGUMENT currency");
  }
}

TEST_CASE("transactions are listed as far back as events are kept") {
  World w;
  REQUIRE(w.server.TopUp("t1", w.wallet, "1").ok());
  REQUIRE(w.server.TopUp("t2", w.wallet, "2").ok());
  v1::ListTransactionsRequest request;
  request.set_wallet_id(w.wallet);
  request.set_page_size(1);
  v1::ListTransactionsResponse page;
  const auto list = [&] {
    page.Clear();
    return w.server.Call(&Stub::ListTransactions, request, &page);
  };
  REQUIRE(list().ok());
  CHECK(page.transactions(0).amount() == "2.00");
  const std::string token = page.next_page_token();
  request.set_page_token(token);
  REQUIRE(list().ok());
  CHECK(page.transactions(0).amount() == "1.00");
  w.databases.Query(
      0, "UPDATE account_types SET kept_since = clock_timestamp() - interval '48 hours'");
  CHECK(Reason(list()) == "EVENTS_DROPPED");
  request.clear_page_token();
  CHECK(list().ok());
  const int64_t now = absl::ToUnixSeconds(absl::Now());
  for (const int64_t to : {now - 40 * 3600, int64_t{1}}) {
    request.mutable_to()->set_seconds(to);
    CAPTURE(to);
    CHECK(list().ok());
    CHECK(page.transactions_size() == 0);
  }
  request.clear_to();
  request.mutable_from()->set_seconds(now - 40 * 3600);
  const absl::Status dropped = list();
  CHECK(Reason(dropped) == "EVENTS_DROPPED");
  CHECK(Detail(dropped, "after") != "");
}

TEST_CASE("ids of any size are answered, with the reason") {
  World w;
  for (const size_t size : {size_t{1}, size_t{5'000}, size_t{2'000'000}}) {
    const std::string id(size, 'x');
    CAPTURE(size);
    v1::GetHoldRequest hold;
    hold.set_hold_id(id);
    v1::GetHoldResponse shown;
    CHECK(Reason(w.server.Call(&Stub::GetHold, hold, &shown)) == "HOLD_NOT_FOUND");
    CHECK(Reason(w.server.Capture("k", id)) == "HOLD_NOT_FOUND");
    CHECK(Reason(w.server.Release("k", id)) == "HOLD_NOT_FOUND");
    CHECK(Reason(w.server.GetTransfer(id).status()) == "TRANSFER_NOT_FOUND");
    CHECK(Fields(w.server.TopUp("t", id, "1")) == "INVALID_ARGUMENT wallet_id");
    if (size == 1) continue;
    CHECK(Fields(w.server.TopUp(id, w.wallet, "1")) == "INVALID_ARGUMENT request_id");
    CHECK(Fields(w.server.TopUp("t", w.wallet, std::string(size, '1'))) ==
          "INVALID_ARGUMENT amount");
  }
  // The longest that are taken.
  std::string name;
  for (int i = 0; i < 128; ++i) name += "\xF0\x9F\x92\xB0";
  const std::string request_id(64, '~');
  const auto wallet = w.server.Create(request_id, "ABCDEFGHIJKLMNOP", "999999999999999.99", name);
  REQUIRE(wallet.ok());
  CHECK(Detail(w.server.Create("other", "RUB", "", name).status(), "external_id") == name);
  CHECK(w.server.Get(*wallet).external_id() == name);
  CHECK(w.server.TopUp(std::string(64, '!'), *wallet, "999999999999999.99").ok());
  const auto hold = w.server.Hold(std::string(64, '"'), *wallet, "999999999999999.99");
  REQUIRE(hold.ok());
  CHECK(w.server.Capture(std::string(64, '\\'), hold->hold_id(), "0.01").ok());
}

TEST_CASE("a transfer is that of its payer alone") {
  World w;
  const std::string payee = *w.server.Create("c2");
  const std::string third = *w.server.Create("c3");
  REQUIRE(w.server.TopUp("t", w.wallet, "10").ok());
  REQUIRE(w.server.Transfer("m", w.wallet, payee, "1").ok());
  const auto hold = w.server.Hold("h", w.wallet, "5");
  REQUIRE(w.server.Capture("k", hold->hold_id(), "2", payee).ok());
  for (const char* request : {"m", "k"}) {
    CHECK(w.server.GetTransfer(TransferIdOf(w.wallet, request))->to_wallet_id() == payee);
    for (const std::string& no_payer : {payee, third})
      CHECK(Reason(w.server.GetTransfer(TransferIdOf(no_payer, request)).status()) ==
            "TRANSFER_NOT_FOUND");
  }
}

}  // namespace
}  // namespace saldo::wallets
