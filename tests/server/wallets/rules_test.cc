// Checks of requests, ids and movements: pure.
#include "server/wallets/rules.h"

#include <catch2/catch.hpp>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "common/rpc/errors.h"
#include "server/wallets/errors.h"
#include "server/wallets/ids.h"
#include "server/wallets/movements.h"

namespace saldo::wallets {
namespace {

const std::string kAnna = WalletIdOf("anna", "");
const std::string kBoris = WalletIdOf("boris", "");

Decimal D(const std::string& text) { return *Decimal::Parse(text); }

// The field that is refused; the reason; or "ok".
std::string Verdict(const absl::Status& status) {
  if (status.ok()) return "ok";
  google::rpc::BadRequest bad;
  if (!rpc::GetDetail(status, &bad)) return ReasonOf(status);
  std::string fields;
  for (const auto& one : bad.field_violations())
    fields += (fields.empty() ? "" : ",") + one.field();
  return fields;
}

v1::TransferRequest Order() {
  v1::TransferRequest request;
  request.set_request_id("r");
  request.set_from_wallet_id(kAnna);
  request.set_to_wallet_id(kBoris);
  request.set_amount("1.5");
  return request;
}

TEST_CASE("transfers that are taken and that are not") {
  struct Row {
    std::function<void(v1::TransferRequest&)> change;
    std::string verdict;
  };
  const std::vector<Row> table = {
      {[](auto&) {}, "ok"},
      {[](auto& r) { r.set_request_id(""); }, "request_id"},
      {[](auto& r) { r.set_request_id(std::string(64, 'x')); }, "ok"},
      {[](auto& r) { r.set_request_id(std::string(65, 'x')); }, "request_id"},
      {[](auto& r) { r.set_request_id("a\x1f"); }, "request_id"},
      {[](auto& r) { r.set_from_wallet_id("w_1"); }, "from_wallet_id"},
      {[](auto& r) { r.set_to_wallet_id(""); }, "to_wallet_id"},
      {[](auto& r) { r.set_to_wallet_id("W" + kBoris.substr(1)); }, "to_wallet_id"},
      {[](auto& r) { r.set_to_wallet_id(kAnna); }, "SAME_WALLET"},
      {[](auto& r) { r.set_amount("0.01"); }, "ok"},
      {[](auto& r) { r.set_amount("0.010"); }, "ok"},
      {[](auto& r) { r.set_amount("0.001"); }, "amount"},
      {[](auto& r) { r.set_amount("0"); }, "amount"},
      {[](auto& r) { r.set_amount("-1"); }, "amount"},
      {[](auto& r) { r.set_amount("999999999999999.99"); }, "ok"},
      {[](auto& r) { r.set_amount("1000000000000000"); }, "amount"},
      {[](auto& r) { r.set_amount("1e3"); }, "amount"},
      {[](auto& r) { r.set_description(std::string(256, 'x')); }, "ok"},
      {[](auto& r) { r.set_description(std::string(257, 'x')); }, "description"},
      {[](auto& r) {
         r.set_amount("x");
         r.set_request_id("");
       },
       "request_id,amount"},
  };
  for (const Row& row : table) {
    v1::TransferRequest request = Order();
    row.change(request);
    CAPTURE(request.ShortDebugString());
    CHECK(Verdict(Check(request, 2).status()) == row.verdict);
  }
  v1::TransferRequest whole = Order();
  whole.set_amount("1");
  CHECK(Check(whole, 0).ok());
  CHECK(Verdict(Check(Order(), 0).status()) == "amount");
}

TEST_CASE("times to live of holds") {
  struct Row {
    int64_t seconds;
    int32_t nanos;
    bool good;
  };
  for (const Row& row :
       {Row{1, 0, true}, Row{0, 999'999'999, false}, Row{-1, 0, false}, Row{400 * 86'400, 0, true},
        Row{400 * 86'400 + 1, 0, false}, Row{int64_t{1} << 62, 0, false}, Row{1, -1, false}}) {
    v1::CreateHoldRequest request;
    request.set_request_id("r");
    request.set_wallet_id(kAnna);
    request.set_amount("1");
    request.mutable_ttl()->set_seconds(row.seconds);
    request.mutable_ttl()->set_nanos(row.nanos);
    CAPTURE(row.seconds, row.nanos);
    CHECK(Verdict(Check(request, 2).status()) == (row.good ? "ok" : "ttl"));
    request.clear_ttl();
    CHECK(Check(request, 2)->ttl == kHoldTtlDefault);
  }
}

TEST_CASE("ids are those of what was asked for, and name their wallet") {
  CHECK(IsWalletId(kAnna));
  CHECK(kAnna != kBoris);
  // An external id and a request id of one text are two wallets.
  CHECK(WalletIdOf("x", "r") == WalletIdOf("x", "other"));
  CHECK(WalletIdOf("x", "") != WalletIdOf("", "x"));
  const std::string hold = HoldIdOf(kAnna, "r");
  CHECK(WalletOfHold(hold) == kAnna);
  CHECK(HoldIdOf(kAnna, "r2") != hold);
  for (const std::string& text : {std::string(), std::string("h_"), kAnna, hold + "0",
                                  hold.substr(1), "x" + hold.substr(1)}) {
    CAPTURE(text);
    CHECK_FALSE(WalletOfHold(text).has_value());
  }
  for (const std::string& request :
       {std::string("r"), std::string("a_b c"), std::string(64, 'z')}) {
    const auto name = ParseTransferId(TransferIdOf(kBoris, request));
    REQUIRE(name.has_value());
    CHECK(name->from_wallet_id == kBoris);
    CHECK(name->request_id == request);
  }
  for (const std::string& text :
       {std::string(), std::string("t_"), TransferIdOf(kBoris, ""), TransferIdOf(kBoris, "a\x1f"),
        TransferIdOf(kBoris, std::string(65, 'z'))})
    CHECK_FALSE(ParseTransferId(text).has_value());
}

TEST_CASE("every movement is balanced, and every step has its own id") {
  auto all = std::make_shared<const accounts::AccountTypes>(BuiltInTypes({}));
  const WalletTypes types = WalletTypes::Of(all);
  metrics::Registry registry;
  TransferCounts counts(registry);
  const WalletPart part("topic", counts);
  const MovementContext context{types, part, absl::FromUnixSeconds(1'700'000'000)};
  const TransferOrder order{"r", kAnna, kBoris, D("3"), "text"};
  const CaptureOrder capture{"r", HoldIdOf(kAnna, "h"), kAnna, D("2"), "", ""};
  CaptureOrder to_boris = capture;
  to_boris.to_wallet_id = kBoris;
  const HoldFacts hold{"RUB", D("5")};
  const TransferRow row{TransferIdOf(kAnna, "r"), kAnna, kBoris, D("3"), "RUB", "r", "text"};
  const std::vector<accounts::WriteRequest> requests = {
      TopUp(context, {"r", kAnna, D("1"), ""}, "RUB"),
      Withdraw(context, {"r", kAnna, D("1"), ""}, "RUB"),
      Transfer(context, order, "RUB"),
      Send(context, order, "RUB"),
      Hold(context, {"r", kAnna, D("1"), absl::Hours(1), ""}, "RUB", std::make_shared<HoldTimes>()),
      Capture(context, capture, hold, false),
      Capture(context, to_boris, hold, false),
      Capture(context, to_boris, hold, true),
      Release(context, {"r", capture.hold_id, kAnna}, hold),
      Expire(context, capture.hold_id, kAnna, hold, nullptr),
      Credit(context, row),
      Settle(context, row),
      Refund(context, row, "X"),
  };
  for (const accounts::WriteRequest& request : requests) {
    CAPTURE(request.id);
    Decimal sum;
    for (const accounts::Posting& posting : request.postings) {
      CHECK(posting.amount.IsPositive());
      REQUIRE(Decimal::Add(sum, posting.is_credit ? posting.amount : -posting.amount, &sum));
      // What moves a wallet is told, and nothing else.
      CHECK(posting.message.empty() == (posting.type != types.wallet));
    }
    CHECK(sum.IsZero());
    CHECK(request.balanced);
    CHECK(request.id[0] == '\x1f');
  }
  // The debit is the same request wherever the payee is.
  CHECK(requests[2].id == requests[3].id);
  CHECK(requests[2].fingerprint == requests[3].fingerprint);
  CHECK(Refuse(context, row, "X").postings.empty());
  std::set<std::string> ids;
  for (size_t i : {size_t{2}, size_t{9}, size_t{10}, size_t{11}}) ids.insert(requests[i].id);
  ids.insert(Refuse(context, row, "X").id);
  CHECK(ids.size() == 5);
  // Settled and refunded exclude each other.
  CHECK(requests[11].id == requests[12].id);
  CHECK(requests[11].fingerprint != requests[12].fingerprint);
  // Other content is another fingerprint.
  TransferOrder other = order;
  other.amount = D("3.01");
  CHECK(Transfer(context, other, "RUB").fingerprint != requests[2].fingerprint);
  other = order;
  other.description = "other";
  CHECK(Transfer(context, other, "RUB").fingerprint != requests[2].fingerprint);
}

}  // namespace
}  // namespace saldo::wallets
