#include "tests/system/ledger_requests.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace saldo::testing {
namespace {

// Wallets up to this exist before they are debited; those above are only credited.
constexpr int kWallets = 200;
constexpr int kNewWallets = 1000;
constexpr size_t kKnownMax = 200;

std::string Cents(int cents) { return absl::StrFormat("%d.%02d", cents / 100, cents % 100); }

}  // namespace

const char* const kLedgerTypes = R"(types:
  - name: fee
    key: [{name: client_id, kind: integer}, {name: currency, max_length: 3}]
    auxiliary: [{name: product}, {name: region}]
    asset: currency
    groupings: [product]
    sharding: [client_id]
    scale: 4
  - name: wallet
    key: [{name: client_id, kind: integer}, {name: currency, max_length: 3}]
    asset: currency
    sharding: [client_id]
    min_balance: 0
    max_balance: 5000
  - name: points
    key: [{name: client_id, kind: integer}]
    asset_constant: points
    sharding: [client_id]
    scale: 0
    min_balance: -50
)";

std::map<std::string, Limits> LedgerLimits() {
  return {{"wallet", {.min = Decimal(), .max = Decimal::FromInteger(5000)}},
          {"points", {.min = Decimal::FromInteger(-50), .max = std::nullopt}}};
}

v1::WriteEventsRequest LedgerRequests::FillWallets() {
  v1::WriteEventsRequest request;
  LedgerRequests maker("fill", 0);
  request.set_request_id("fill");
  for (int client = 1; client <= kWallets; ++client) {
    for (const char* asset : {"RUB", "USD"})
      maker.AddEvent(&request, "wallet", absl::StrCat(client), asset, v1::SIDE_CREDIT, "500");
    maker.AddEvent(&request, "points", absl::StrCat(client), "", v1::SIDE_CREDIT, "10");
  }
  return request;
}

void LedgerRequests::Acknowledged(const v1::WriteEventsRequest& request,
                                  const v1::WriteEventsResponse& answer) {
  if (known_.size() < kKnownMax) {
    known_.emplace_back(request, answer);
  } else {
    known_[random_() % kKnownMax] = {request, answer};
  }
}

PlannedRequest LedgerRequests::Next() {
  const int dice = Pick(0, 39);
  if (dice < 2) return Refused();
  if (dice < 6 && !known_.empty()) return Known(dice == 2);
  PlannedRequest plan;
  v1::WriteEventsRequest& request = plan.request;
  request.set_request_id(absl::StrCat(caller_, "-", ++made_));
  // Most are small; some are large.
  const int parts = dice == 6 ? 60 : Pick(1, Pick(1, 6));
  // A large one with wallets would nearly always break a limit.
  request.set_balanced(dice > 28);
  for (int i = 0; i < parts; ++i) {
    if (request.balanced()) {
      AddTransfer(&request);
    } else if (dice < 16) {
      AddFee(&request);
    } else if (dice < 25) {
      AddWallet(&request);
    } else {
      AddPoints(&request);
    }
  }
  return plan;
}

PlannedRequest LedgerRequests::Refused() {
  PlannedRequest plan;
  v1::WriteEventsRequest& request = plan.request;
  request.set_request_id(absl::StrCat(caller_, "-refused-", ++made_));
  // What precedes the fault must not stay either.
  AddFee(&request);
  plan.refusal = absl::StatusCode::kInvalidArgument;
  switch (Pick(0, 4)) {
    case 0:
      AddEvent(&request, "wallet", Client(), "RUB", v1::SIDE_DEBIT, "5000.01");
      plan.refusal = absl::StatusCode::kFailedPrecondition;
      plan.reason = "BALANCE_BELOW_MINIMUM";
      break;
    case 1:
      request.set_balanced(true);
      plan.refusal = absl::StatusCode::kFailedPrecondition;
      plan.reason = "NOT_BALANCED";
      break;
    case 2:
      AddEvent(&request, "purse", "1", "RUB", v1::SIDE_DEBIT, "1");
      plan.reason = "events[1].account.type";
      break;
    case 3:
      AddEvent(&request, "wallet", "1", "RUB", v1::SIDE_CREDIT, "0.001");
      plan.reason = "events[1].amount";
      break;
    default:
      AddEvent(&request, "wallet", "one", "RUB", v1::SIDE_CREDIT, "1");
      plan.reason = "events[1].account.key";
  }
  return plan;
}

PlannedRequest LedgerRequests::Known(bool other_content) {
  const auto& [request, answer] = known_[random_() % known_.size()];
  PlannedRequest plan{.request = request};
  if (other_content) {
    AddFee(&plan.request);
    plan.request.set_balanced(false);
    plan.refusal = absl::StatusCode::kAlreadyExists;
    plan.reason = "REQUEST_ID_REUSED";
  } else {
    plan.again = answer;
  }
  return plan;
}

// Half of all events meet on a few accounts.
std::string LedgerRequests::Client() {
  return absl::StrCat(Pick(0, 1) == 0 ? Pick(1, 3) : Pick(4, kWallets));
}

v1::NewEvent* LedgerRequests::AddEvent(v1::WriteEventsRequest* request, const std::string& type,
                                       const std::string& client, const std::string& asset,
                                       v1::Side side, const std::string& amount) {
  // Says where it belongs, whatever else is known of the request.
  const std::string info = absl::StrCat(R"({"request": ")", request->request_id(),
                                        R"(", "event": )", request->events_size(), "}");
  v1::NewEvent* event = request->add_events();
  event->mutable_account()->set_type(type);
  auto& key = *event->mutable_account()->mutable_key();
  key["client_id"] = client;
  if (!asset.empty()) key["currency"] = asset;
  event->set_side(side);
  event->set_amount(amount);
  event->set_info(info);
  if (Pick(0, 2) == 0) {
    const absl::Time when =
        absl::Now() - absl::Minutes(Pick(0, 1) == 0 ? Pick(0, 3000) : Pick(0, 5'000'000));
    event->mutable_occurred_at()->set_seconds(absl::ToUnixSeconds(when));
    event->mutable_occurred_at()->set_nanos(Pick(0, 999'999) * 1000);
  }
  return event;
}

void LedgerRequests::AddFee(v1::WriteEventsRequest* request) {
  const v1::Side side = Pick(0, 4) == 0 ? v1::SIDE_DEBIT : v1::SIDE_CREDIT;
  v1::NewEvent* event =
      AddEvent(request, "fee", Pick(0, 1) == 0 ? "1" : absl::StrCat(Pick(1, 3000)), "RUB", side,
               absl::StrFormat("%d.%04d", Pick(0, 99), Pick(1, 9999)));
  auto& attributes = *event->mutable_attributes();
  attributes["product"] = absl::StrCat("p", Pick(1, 3));
  attributes["region"] = Pick(0, 3) == 0 ? "" : absl::StrCat("r", Pick(1, 3));
}

void LedgerRequests::AddWallet(v1::WriteEventsRequest* request) {
  const std::string asset = Pick(0, 3) == 0 ? "USD" : "RUB";
  if (Pick(0, 9) == 0) {
    AddEvent(request, "wallet", absl::StrCat(kNewWallets + Pick(1, 5000)), asset, v1::SIDE_CREDIT,
             Cents(Pick(1, 100)));
    return;
  }
  AddEvent(request, "wallet", Client(), asset, Pick(0, 1) == 0 ? v1::SIDE_DEBIT : v1::SIDE_CREDIT,
           Cents(Pick(1, 50'000)));
}

void LedgerRequests::AddTransfer(v1::WriteEventsRequest* request) {
  const int cents = Pick(2, 20'000);
  const int fee = Pick(1, cents - 1);
  AddEvent(request, "wallet", Client(), "RUB", v1::SIDE_DEBIT, Cents(cents));
  AddEvent(request, "wallet", Client(), "RUB", v1::SIDE_CREDIT, Cents(cents - fee));
  AddFee(request);
  v1::NewEvent* commission = request->mutable_events(request->events_size() - 1);
  commission->set_side(v1::SIDE_CREDIT);
  commission->set_amount(Cents(fee));
}

void LedgerRequests::AddPoints(v1::WriteEventsRequest* request) {
  AddEvent(request, "points", Client(), "", Pick(0, 2) == 0 ? v1::SIDE_CREDIT : v1::SIDE_DEBIT,
           absl::StrCat(Pick(1, 60)));
}

}  // namespace saldo::testing
