// Calls to wallets, on one database: what they answer, what they leave, what they refuse.
#include <catch2/catch.hpp>
#include <set>
#include <string>

#include "server/wallets/ids.h"
#include "tests/server/wallets/wallet_server.h"

namespace saldo::wallets {
namespace {

struct World {
  Databases databases{1};
  WalletServer server{databases};
  int64_t Number(const std::string& sql) const { return std::stoll(databases.Query(0, sql)); }
};

TEST_CASE("money comes in, moves and goes out, and every step can be repeated") {
  World w;
  const std::string anna = *w.server.Create("c1", "RUB", "", "anna");
  const std::string boris = *w.server.Create("c2");
  for (int repeat = 0; repeat < 2; ++repeat) {
    v1::TopUpResponse top_up;
    REQUIRE(w.server.TopUp("t1", anna, "100", &top_up).ok());
    CHECK(top_up.balance() == "100.00");
    v1::TransferResponse transfer;
    REQUIRE(w.server.Transfer("m1", anna, boris, "30.5", &transfer).ok());
    CHECK(transfer.state() == v1::TRANSFER_STATE_SETTLED);
    CHECK(transfer.balance() == "69.50");
    CHECK(transfer.transfer_id() == TransferIdOf(anna, "m1"));
    REQUIRE(w.server.Withdraw("w1", boris, "0.50").ok());
    CHECK(*w.server.Create("c1", "RUB", "", "anna") == anna);
  }
  CHECK(w.server.Balance(anna) == "69.50");
  CHECK(w.server.Balance(boris) == "30.00");
  CHECK(w.Number("SELECT count(*) FROM events") == 6);
  CHECK(w.Number("SELECT count(*) FROM imbalances WHERE amount <> 0") == 0);
  CHECK(Imbalance(w.databases) == "");

  v1::GetWalletRequest request;
  request.set_external_id("anna");
  v1::GetWalletResponse response;
  REQUIRE(w.server.Call(&Stub::GetWallet, request, &response).ok());
  CHECK(response.wallet().wallet_id() == anna);
  CHECK(response.wallet().available() == "69.50");
  CHECK(response.wallet().held() == "0.00");
  CHECK(response.wallet().state() == v1::WALLET_STATE_OPEN);

  const auto transfer = w.server.GetTransfer(TransferIdOf(anna, "m1"));
  REQUIRE(transfer.ok());
  CHECK(transfer->to_wallet_id() == boris);
  CHECK(transfer->amount() == "30.50");
  CHECK(transfer->currency() == "RUB");
  CHECK(transfer->state() == v1::TRANSFER_STATE_SETTLED);
  for (const std::string& id : {TransferIdOf(anna, "t1"), TransferIdOf(boris, "m1"),
                                std::string("t_"), TransferIdOf(anna, "none")})
    CHECK(Reason(w.server.GetTransfer(id).status()) == "TRANSFER_NOT_FOUND");
}

TEST_CASE("what is refused, and why") {
  World w;
  const std::string rub = *w.server.Create("c1", "RUB", "10", "one");
  const std::string other = *w.server.Create("c2");
  const std::string usd = *w.server.Create("c3", "USD");
  const std::string none = WalletIdOf("", "nobody");
  REQUIRE(w.server.TopUp("t", rub, "5").ok());

  CHECK(Reason(w.server.Create("c9", "RUB", "", "one").status()) == "WALLET_EXISTS");
  CHECK(Detail(w.server.Create("c9", "EUR", "", "one").status(), "wallet_id") == rub);
  CHECK(Reason(w.server.Create("c2", "EUR").status()) == "REQUEST_ID_REUSED");
  CHECK(Detail(w.server.Create("c2", "EUR").status(), "request_id") == "c2");
  CHECK(Reason(w.server.Transfer("m", rub, rub, "1")) == "SAME_WALLET");
  CHECK(Reason(w.server.Transfer("m", rub, usd, "1")) == "CURRENCY_MISMATCH");
  CHECK(Detail(w.server.Transfer("m", rub, usd, "1"), "to_currency") == "USD");
  CHECK(Reason(w.server.Transfer("m", rub, none, "1")) == "WALLET_NOT_FOUND");
  CHECK(Detail(w.server.Transfer("m", none, rub, "1"), "wallet_id") == none);
  const absl::Status poor = w.server.Transfer("m", rub, other, "15.01");
  CHECK(poor.code() == absl::StatusCode::kFailedPrecondition);
  CHECK(Reason(poor) == "INSUFFICIENT_FUNDS");
  CHECK(Detail(poor, "available") == "15.00");
  CHECK(Detail(poor, "wallet_id") == rub);
  CHECK(Detail(poor, "currency") == "RUB");
  CHECK(Reason(w.server.Withdraw("x", other, "0.01")) == "INSUFFICIENT_FUNDS");
  // Down to the limit, and not below it.
  CHECK(w.server.Transfer("m", rub, other, "15").ok());
  CHECK(w.server.Get(rub).balance() == "-10.00");
  CHECK(w.server.Get(rub).available() == "0.00");
  CHECK(Reason(w.server.Transfer("m", rub, other, "14")) == "REQUEST_ID_REUSED");
  CHECK(Reason(w.server.TopUp("m", rub, "15")) == "REQUEST_ID_REUSED");

  for (const char* amount : {"", "0", "-1", "1.001", "1000000000000000", "abc", "1,5", " 1"}) {
    CAPTURE(amount);
    google::rpc::BadRequest bad;
    const absl::Status status = w.server.TopUp("b", rub, amount);
    CHECK(status.code() == absl::StatusCode::kInvalidArgument);
    REQUIRE(rpc::GetDetail(status, &bad));
    REQUIRE(bad.field_violations_size() == 1);
    CHECK(bad.field_violations(0).field() == "amount");
  }
  CHECK(w.server.TopUp("", rub, "1").code() == absl::StatusCode::kInvalidArgument);
  CHECK(w.server.TopUp("b", "w_1", "1").code() == absl::StatusCode::kInvalidArgument);
  for (const char* currency : {"", "RU", "rub", "ABCDEFGHIJKLMNOPQ", "RU-"})
    CHECK(w.server.Create("b", currency).status().code() == absl::StatusCode::kInvalidArgument);
  CHECK(w.server.Create("b", "RUB", "-1").status().code() == absl::StatusCode::kInvalidArgument);
  CHECK(Imbalance(w.databases) == "");
}

TEST_CASE("a wallet is closed when it is empty, and takes nothing after that") {
  World w;
  const std::string wallet = *w.server.Create("c1");
  const std::string other = *w.server.Create("c2");
  REQUIRE(w.server.TopUp("t", wallet, "5").ok());
  REQUIRE(w.server.TopUp("t2", other, "5").ok());
  const absl::Status full = w.server.Close("x", wallet);
  CHECK(Reason(full) == "WALLET_NOT_EMPTY");
  CHECK(Detail(full, "balance") == "5.00");
  const auto hold = w.server.Hold("h", wallet, "5");
  REQUIRE(hold.ok());
  CHECK(Reason(w.server.Close("x", wallet)) == "WALLET_HAS_HOLDS");
  REQUIRE(w.server.Capture("k", hold->hold_id()).ok());
  REQUIRE(w.server.Close("x", wallet).ok());
  REQUIRE(w.server.Close("x", wallet).ok());
  CHECK(Reason(w.server.Close("y", wallet)) == "WALLET_CLOSED");
  CHECK(w.server.Get(wallet).state() == v1::WALLET_STATE_CLOSED);
  CHECK(Reason(w.server.TopUp("t3", wallet, "1")) == "WALLET_CLOSED");
  CHECK(Reason(w.server.Transfer("m", other, wallet, "1")) == "WALLET_CLOSED");
  CHECK(Detail(w.server.Transfer("m", other, wallet, "1"), "wallet_id") == wallet);
  CHECK(Reason(w.server.Transfer("m", wallet, other, "1")) == "WALLET_CLOSED");
  CHECK(Reason(w.server.Hold("h2", wallet, "1").status()) == "WALLET_CLOSED");
  const auto other_hold = w.server.Hold("h3", other, "1");
  CHECK(Reason(w.server.Capture("k3", other_hold->hold_id(), "", wallet)) == "WALLET_CLOSED");
  CHECK(Reason(w.server.Create("c1").status()) == "OK");  // a repetition, still
  CHECK(Reason(w.server.Close("z", WalletIdOf("", "nobody"))) == "WALLET_NOT_FOUND");
  CHECK(Imbalance(w.databases) == "");
}

TEST_CASE("holds: what is set aside is spent whole, in part, on a wallet, or comes back") {
  World w;
  const std::string wallet = *w.server.Create("c1");
  const std::string other = *w.server.Create("c2");
  const std::string usd = *w.server.Create("c3", "USD");
  REQUIRE(w.server.TopUp("t", wallet, "100").ok());
  const auto hold = [&](const std::string& id, const std::string& amount) {
    const auto made = w.server.Hold(id, wallet, amount);
    REQUIRE(made.ok());
    return *made;
  };
  const v1::Hold whole = hold("h1", "10");
  CHECK(whole.state() == v1::HOLD_STATE_OPEN);
  CHECK(whole.amount() == "10.00");
  CHECK(whole.expires_at().seconds() - whole.created_at().seconds() == 3600);
  CHECK(hold("h1", "10").SerializeAsString() == whole.SerializeAsString());
  CHECK(w.server.GetHold(whole.hold_id()).SerializeAsString() == whole.SerializeAsString());
  CHECK(w.server.Get(wallet).balance() == "90.00");
  CHECK(w.server.Get(wallet).held() == "10.00");
  CHECK(Reason(w.server.Hold("h9", wallet, "90.01").status()) == "INSUFFICIENT_FUNDS");

  v1::CaptureHoldResponse captured;
  REQUIRE(w.server.Capture("k1", whole.hold_id(), "", "", &captured).ok());
  CHECK(captured.hold().state() == v1::HOLD_STATE_CAPTURED);
  CHECK(captured.hold().captured_amount() == "10.00");
  CHECK(w.server.Capture("k1", whole.hold_id()).ok());
  CHECK(Reason(w.server.Capture("k2", whole.hold_id())) == "HOLD_NOT_OPEN");
  CHECK(Detail(w.server.Release("k2", whole.hold_id()), "state") == "captured");
  CHECK(w.server.Balance(wallet) == "90.00");

  const v1::Hold part = hold("h2", "10");
  const absl::Status large = w.server.Capture("k3", part.hold_id(), "10.01");
  CHECK(Reason(large) == "HOLD_TOO_SMALL");
  CHECK(Detail(large, "amount") == "10.00");
  REQUIRE(w.server.Capture("k3", part.hold_id(), "4").ok());
  CHECK(w.server.Balance(wallet) == "86.00");

  const v1::Hold given = hold("h3", "10");
  CHECK(Reason(w.server.Capture("k4", given.hold_id(), "1", wallet)) == "SAME_WALLET");
  CHECK(Reason(w.server.Capture("k4", given.hold_id(), "1", usd)) == "CURRENCY_MISMATCH");
  v1::CaptureHoldResponse moved;
  REQUIRE(w.server.Capture("k4", given.hold_id(), "7", other, &moved).ok());
  CHECK(moved.transfer_state() == v1::TRANSFER_STATE_SETTLED);
  CHECK(w.server.GetTransfer(moved.transfer_id())->amount() == "7.00");
  CHECK(w.server.Balance(wallet) == "79.00");
  CHECK(w.server.Balance(other) == "7.00");

  const v1::Hold back = hold("h4", "9");
  v1::ReleaseHoldResponse released;
  REQUIRE(w.server.Release("r1", back.hold_id(), &released).ok());
  REQUIRE(w.server.Release("r1", back.hold_id(), &released).ok());
  CHECK(released.balance() == "79.00");
  CHECK(released.hold().state() == v1::HOLD_STATE_RELEASED);
  CHECK(Reason(w.server.Capture("k5", back.hold_id())) == "HOLD_NOT_OPEN");
  CHECK(Reason(w.server.Capture("k6", "h_1")) == "HOLD_NOT_FOUND");
  CHECK(Reason(w.server.Release("k6", HoldIdOf(wallet, "none"))) == "HOLD_NOT_FOUND");
  CHECK(w.Number("SELECT count(*) FROM wallet_holds WHERE state = 'open'") == 0);
  CHECK(Imbalance(w.databases) == "");
}

TEST_CASE("lists: wallets by currency, open holds by expiry, transactions newest first") {
  World w;
  std::set<std::string> rubles;
  for (int i = 0; i < 5; ++i) rubles.insert(*w.server.Create("r" + std::to_string(i)));
  for (int i = 0; i < 3; ++i) REQUIRE(w.server.Create("u" + std::to_string(i), "USD").ok());
  v1::ListWalletsRequest wallets;
  wallets.set_currency("RUB");
  wallets.set_page_size(2);
  std::set<std::string> seen;
  int pages = 0;
  do {
    v1::ListWalletsResponse page;
    REQUIRE(w.server.Call(&Stub::ListWallets, wallets, &page).ok());
    for (const auto& one : page.wallets()) CHECK(seen.insert(one.wallet_id()).second);
    wallets.set_page_token(page.next_page_token());
    ++pages;
  } while (!wallets.page_token().empty());
  CHECK(seen == rubles);
  CHECK(pages == 3);
  v1::ListWalletsResponse all;
  REQUIRE(w.server.Call(&Stub::ListWallets, v1::ListWalletsRequest(), &all).ok());
  CHECK(all.wallets_size() == 8);

  const std::string wallet = *rubles.begin();
  const std::string other = *rubles.rbegin();
  REQUIRE(w.server.TopUp("t1", wallet, "10").ok());
  const auto late = w.server.Hold("h1", wallet, "1", absl::Hours(3));
  const auto soon = w.server.Hold("h2", wallet, "1", absl::Hours(1));
  const auto middle = w.server.Hold("h3", wallet, "1", absl::Hours(2));
  v1::ListHoldsRequest holds;
  holds.set_wallet_id(wallet);
  holds.set_page_size(1);
  for (const auto& expected : {soon, middle, late}) {
    v1::ListHoldsResponse page;
    REQUIRE(w.server.Call(&Stub::ListHolds, holds, &page).ok());
    REQUIRE(page.holds_size() == 1);
    CHECK(page.holds(0).hold_id() == expected->hold_id());
    CHECK(page.next_page_token().empty() == (expected->hold_id() == late->hold_id()));
    holds.set_page_token(page.next_page_token());
  }
  REQUIRE(w.server.Transfer("m1", wallet, other, "2").ok());
  REQUIRE(w.server.Capture("k1", soon->hold_id(), "0.25").ok());

  std::vector<v1::Transaction> listed;
  std::string token;
  do {
    const auto page = w.server.Transactions(wallet, 2, token);
    listed.insert(listed.end(), page.transactions().begin(), page.transactions().end());
    token = page.next_page_token();
  } while (!token.empty());
  REQUIRE(listed.size() == 6);
  CHECK(listed[0].kind() == v1::WALLET_EVENT_KIND_HOLD_RELEASE);
  CHECK(listed[0].amount() == "0.75");
  CHECK(listed[0].balance_after() == "5.75");
  CHECK(listed[0].hold_id() == soon->hold_id());
  CHECK(listed[1].kind() == v1::WALLET_EVENT_KIND_TRANSFER_OUT);
  CHECK(listed[1].amount() == "-2.00");
  CHECK(listed[1].counterparty_wallet_id() == other);
  CHECK(listed[1].transfer_id() == TransferIdOf(wallet, "m1"));
  CHECK(listed[1].description() == "for m1");
  CHECK(listed[1].request_id() == "m1");
  CHECK(listed[2].kind() == v1::WALLET_EVENT_KIND_HOLD);
  CHECK(listed[5].kind() == v1::WALLET_EVENT_KIND_TOP_UP);
  CHECK(listed[5].amount() == "10.00");
  const auto in = w.server.Transactions(other);
  REQUIRE(in.transactions_size() == 1);
  CHECK(in.transactions(0).kind() == v1::WALLET_EVENT_KIND_TRANSFER_IN);
  CHECK(in.transactions(0).counterparty_wallet_id() == wallet);
}

TEST_CASE("subscribers hear of a wallet's events in their order") {
  World w;
  const std::string wallet = *w.server.Create("c1", "RUB", "", "ext");
  const std::string other = *w.server.Create("c2");
  REQUIRE(w.server.TopUp("t1", wallet, "10").ok());
  REQUIRE(w.server.Transfer("m1", wallet, other, "4").ok());
  const auto hold = w.server.Hold("h1", wallet, "6");
  REQUIRE(w.server.Capture("k1", hold->hold_id()).ok());
  REQUIRE(w.server.Close("x1", wallet).ok());
  std::vector<v1::WalletEvent> events;
  for (const v1::WalletEvent& event : EventsIn(w.databases.of(0))) {
    if (event.wallet_id() == wallet) events.push_back(event);
  }
  std::vector<v1::WalletEventKind> kinds;
  for (const v1::WalletEvent& event : events) {
    kinds.push_back(event.kind());
    CHECK(event.batch_id() > 0);
    CHECK(event.currency() == "RUB");
    CHECK(event.occurred_at().seconds() > 0);
  }
  REQUIRE(kinds == std::vector<v1::WalletEventKind>{
                       v1::WALLET_EVENT_KIND_CREATED, v1::WALLET_EVENT_KIND_TOP_UP,
                       v1::WALLET_EVENT_KIND_TRANSFER_OUT, v1::WALLET_EVENT_KIND_HOLD,
                       v1::WALLET_EVENT_KIND_HOLD_CAPTURE, v1::WALLET_EVENT_KIND_CLOSED});
  CHECK(events[0].external_id() == "ext");
  CHECK(events[1].balance_after() == "10.00");
  CHECK(events[1].ordinal() > 0);
  CHECK(events[2].amount() == "-4.00");
  CHECK(events[2].counterparty_wallet_id() == other);
  CHECK(events[3].balance_after() == "0.00");
  CHECK(events[4].amount() == "6.00");
  CHECK(events[4].hold_id() == hold->hold_id());
  CHECK(events[4].ordinal() == 0);
  CHECK(w.Number("SELECT count(*) FROM outbox WHERE key = '" + wallet + "'") == 6);
}

TEST_CASE("a wallet's account cannot be written past its service") {
  World w;
  const std::string wallet = *w.server.Create("c1");
  v1::WriteEventsRequest request;
  request.set_request_id("r");
  v1::NewEvent& event = *request.add_events();
  event.mutable_account()->set_type("saldo_wallet");
  (*event.mutable_account()->mutable_key())["wallet_id"] = wallet;
  (*event.mutable_account()->mutable_key())["currency"] = "RUB";
  event.set_side(v1::SIDE_CREDIT);
  event.set_amount("1");
  v1::WriteEventsResponse response;
  grpc::ClientContext context;
  const grpc::Status status = w.server.accounts->WriteEvents(&context, request, &response);
  CHECK(status.error_code() == grpc::StatusCode::INVALID_ARGUMENT);
  CHECK(w.Number("SELECT count(*) FROM events") == 0);
}

TEST_CASE("a transfer is found beside events whose info PostgreSQL cannot read") {
  World w;
  const std::string payer = *w.server.Create("c1", "RUB", "10");
  const std::string payee = *w.server.Create("c2");
  REQUIRE(w.server.Transfer("m1", payer, payee, "3").ok());
  v1::WriteEventsRequest request;
  request.set_request_id("r");
  for (int i = 0; i < 20; ++i) {
    v1::NewEvent& event = *request.add_events();
    event.mutable_account()->set_type("client_wallet");
    (*event.mutable_account()->mutable_key())["client_id"] = std::to_string(i);
    (*event.mutable_account()->mutable_key())["currency"] = "RUB";
    (*event.mutable_attributes())["source"] = "card";
    event.set_side(v1::SIDE_CREDIT);
    event.set_amount("1");
    event.set_info(R"({"a":"\u0000"})");
  }
  v1::WriteEventsResponse response;
  grpc::ClientContext context;
  REQUIRE(w.server.accounts->WriteEvents(&context, request, &response).ok());
  // With and without what it knows of the tables' sizes, PostgreSQL takes other plans.
  for (const char* known : {"SELECT 1", "ANALYZE"}) {
    CAPTURE(known);
    w.databases.Query(0, known);
    const auto transfer = w.server.GetTransfer(TransferIdOf(payer, "m1"));
    CAPTURE(transfer.status().ToString());
    REQUIRE(transfer.ok());
    CHECK(transfer->to_wallet_id() == payee);
    CHECK(transfer->amount() == "3.00");
    CHECK(Reason(w.server.GetTransfer(TransferIdOf(payer, "r")).status()) == "TRANSFER_NOT_FOUND");
  }
}

}  // namespace
}  // namespace saldo::wallets
