// A call that is sent again gets the first answer, whatever happened to the wallet since then; and
// what a call made is not made a second time when its request_id is forgotten.
#include <catch2/catch.hpp>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

#include "google/protobuf/text_format.h"
#include "server/wallets/ids.h"
#include "tests/server/wallets/wallet_server.h"

namespace saldo::wallets {
namespace {

// Calls one method, and tells what it answered: as text, or its reason.
template <typename Request, typename Response>
std::function<std::string(const WalletServer&)> Calling(
    grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
    const std::string& text) {
  Request request;
  if (!google::protobuf::TextFormat::ParseFromString(text, &request))
    throw std::runtime_error(text);
  return [method, request](const WalletServer& server) {
    Response response;
    const absl::Status status = server.Call(method, request, &response);
    return status.ok() ? "OK " + response.ShortDebugString() : Reason(status);
  };
}

struct World {
  Databases databases{2};
  WalletServer server{databases};
  WalletServer other{databases};
  std::string wallet = server.CreateOn(0, "wallet");
  std::string near = server.CreateOn(0, "near");
  std::string far = server.CreateOn(1, "far");

  void ForgetRequests() const {
    for (size_t i : {size_t{0}, size_t{1}}) databases.Query(i, "DELETE FROM write_requests");
  }
};

std::string Text(const std::string& format, const std::vector<std::string>& values) {
  std::string text;
  size_t next = 0;
  for (const char c : format)
    text += c == '$' ? "\"" + values.at(next++) + "\"" : std::string(1, c);
  return text;
}

TEST_CASE("every call answers a repetition as it answered first, also after the wallet is closed") {
  World w;
  const std::string whole = HoldIdOf(w.wallet, "h1");
  const std::string part = HoldIdOf(w.wallet, "h2");
  const std::string back = HoldIdOf(w.wallet, "h3");
  const std::string sent = HoldIdOf(w.wallet, "h4");
  const auto hold = [&](const std::string& id) {
    return Calling(
        &Stub::CreateHold,
        Text("request_id: $ wallet_id: $ amount: '4' ttl { seconds: 600 }", {id, w.wallet}));
  };
  const std::vector<std::function<std::string(const WalletServer&)>> calls = {
      Calling(&Stub::TopUp, Text("request_id: 't' wallet_id: $ amount: '100'", {w.wallet})),
      Calling(&Stub::Withdraw, Text("request_id: 'w' wallet_id: $ amount: '5'", {w.wallet})),
      Calling(&Stub::Transfer,
              Text("request_id: 'm1' from_wallet_id: $ to_wallet_id: $ amount: '7'",
                   {w.wallet, w.near})),
      Calling(&Stub::Transfer,
              Text("request_id: 'm2' from_wallet_id: $ to_wallet_id: $ amount: '8'",
                   {w.wallet, w.far})),
      hold("h1"),
      hold("h2"),
      hold("h3"),
      hold("h4"),
      Calling(&Stub::CaptureHold, Text("request_id: 'k1' hold_id: $", {whole})),
      Calling(&Stub::CaptureHold,
              Text("request_id: 'k2' hold_id: $ amount: '1' to_wallet_id: $", {part, w.near})),
      Calling(&Stub::ReleaseHold, Text("request_id: 'r' hold_id: $", {back})),
      Calling(&Stub::CaptureHold,
              Text("request_id: 'k4' hold_id: $ amount: '2' to_wallet_id: $", {sent, w.far})),
      Calling(&Stub::Withdraw, Text("request_id: 'w2' wallet_id: $ amount: '73'", {w.wallet})),
      Calling(&Stub::CloseWallet, Text("request_id: 'x' wallet_id: $", {w.wallet})),
  };
  std::vector<std::string> answers;
  for (const auto& call : calls) answers.push_back(call(w.server));
  for (const std::string& answer : answers) CHECK(answer.substr(0, 2) == "OK");
  CHECK(w.server.Get(w.wallet).state() == v1::WALLET_STATE_CLOSED);
  const std::string events = w.databases.Query(0, "SELECT count(*) FROM events");
  for (const WalletServer* server : {&w.server, &w.other}) {
    for (size_t i = 0; i < calls.size(); ++i) {
      CAPTURE(i);
      CHECK(calls[i](*server) == answers[i]);
    }
  }
  CHECK(w.databases.Query(0, "SELECT count(*) FROM events") == events);
  CHECK(Imbalance(w.databases) == "");
}

TEST_CASE("other content under a request_id is refused before all else") {
  World w;
  REQUIRE(w.server.TopUp("t", w.wallet, "100").ok());
  REQUIRE(w.server.Transfer("m", w.wallet, w.far, "5").ok());
  const auto hold = w.server.Hold("h", w.wallet, "10");
  REQUIRE(hold.ok());
  REQUIRE(w.server.Capture("k", hold->hold_id(), "3").ok());
  const auto second = w.server.Hold("h2", w.wallet, "10");
  for (const absl::Status& status :
       {w.server.TopUp("t", w.wallet, "101"), w.server.TopUp("m", w.wallet, "5"),
        w.server.Transfer("m", w.wallet, w.far, "5.01"), w.server.Withdraw("t", w.wallet, "1000"),
        w.server.Transfer("m", w.wallet, w.near, "5"), w.server.Hold("h", w.wallet, "11").status(),
        w.server.Hold("h", w.wallet, "10", absl::Hours(2)).status(),
        w.server.Capture("k", hold->hold_id(), "4"), w.server.Capture("k", hold->hold_id()),
        w.server.Capture("k", second->hold_id(), "3"),
        w.server.Capture("k", hold->hold_id(), "3", w.near),
        w.server.Capture("k", hold->hold_id(), "11"), w.server.Release("k", hold->hold_id()),
        w.server.Close("k", w.wallet)}) {
    CAPTURE(status.ToString());
    CHECK(status.code() == absl::StatusCode::kAlreadyExists);
    CHECK(Reason(status) == "REQUEST_ID_REUSED");
  }
}

TEST_CASE("what a forgotten request made is not made again") {
  World w;
  REQUIRE(w.server.TopUp("t", w.wallet, "100").ok());
  REQUIRE(w.server.Transfer("m", w.wallet, w.far, "5").ok());
  const auto hold = w.server.Hold("h", w.wallet, "10");
  REQUIRE(hold.ok());
  REQUIRE(w.server.Capture("k", hold->hold_id(), "3").ok());
  REQUIRE(w.server.Create("c").ok());
  w.ForgetRequests();
  for (const absl::Status& status :
       {w.server.Transfer("m", w.wallet, w.far, "5"), w.server.Hold("h", w.wallet, "10").status(),
        w.server.Capture("k", hold->hold_id(), "3"), w.server.Create("c").status()}) {
    CAPTURE(status.ToString());
    CHECK_FALSE(status.ok());
  }
  CHECK(Detail(w.server.Transfer("m", w.wallet, w.far, "5"), "request_id") == "m");
  CHECK(w.server.Balance(w.wallet) == "92.00");
  CHECK(Imbalance(w.databases) == "");
}

}  // namespace
}  // namespace saldo::wallets
