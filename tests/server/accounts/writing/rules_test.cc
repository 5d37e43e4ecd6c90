#include "server/accounts/writing/rules.h"

#include <catch2/catch.hpp>
#include <functional>
#include <string>

#include "common/rpc/errors.h"
#include "tests/server/accounts/account_types.h"

namespace saldo::accounts {
namespace {

const absl::Time kNow = absl::FromUnixSeconds(1'700'000'000);

v1::NewEvent GoodEvent() {
  v1::NewEvent event;
  event.mutable_account()->set_type("fee");
  (*event.mutable_account()->mutable_key())["client_id"] = "7";
  (*event.mutable_account()->mutable_key())["currency"] = "RUB";
  (*event.mutable_attributes())["product"] = "taxi";
  (*event.mutable_attributes())["region"] = "msk";
  event.set_side(v1::SIDE_DEBIT);
  event.set_amount("12.50");
  return event;
}

v1::WriteEventsRequest GoodRequest() {
  v1::WriteEventsRequest request;
  request.set_request_id("r-1");
  *request.add_events() = GoodEvent();
  return request;
}

absl::StatusOr<WriteRequest> CheckAt(const v1::WriteEventsRequest& request, absl::Time now = kNow) {
  return Check(request, TestTypes(), now);
}

TEST_CASE("a good request is taken as it is meant") {
  const auto checked = CheckAt(GoodRequest());
  REQUIRE(checked.ok());
  REQUIRE(checked->postings.size() == 1);
  const Posting& posting = checked->postings[0];
  CHECK(posting.type->name == "fee");
  CHECK(posting.key == "7\x1fRUB");
  CHECK(posting.attributes == "taxi\x1fmsk");
  CHECK_FALSE(posting.is_credit);
  CHECK(posting.amount == D("12.5"));
  CHECK(posting.occurred_at == kNow);
}

TEST_CASE("bad input names the field and the limit") {
  struct Bad {
    std::string field;
    std::string says;
    std::function<void(v1::WriteEventsRequest&)> spoil;
  };
  using R = v1::WriteEventsRequest;
  const auto bad = GENERATE(values<Bad>({
      {"request_id", "1 to 64", [](R& r) { r.clear_request_id(); }},
      {"request_id", "1 to 64", [](R& r) { r.set_request_id(std::string(65, 'x')); }},
      {"request_id", "printable", [](R& r) { r.set_request_id("a\nb"); }},
      {"request_id", "ASCII", [](R& r) { r.set_request_id("\xd0\xb0"); }},
      {"events", "1 to 10000", [](R& r) { r.clear_events(); }},
      {"events", "there are 10001",
       [](R& r) {
         while (r.events_size() < 10'001) *r.add_events() = GoodEvent();
       }},
      {"events[0].account.type", "there are fee, wallet",
       [](R& r) { r.mutable_events(0)->mutable_account()->set_type("nope"); }},
      {"events[0].account.key", "currency",
       [](R& r) { r.mutable_events(0)->mutable_account()->mutable_key()->erase("currency"); }},
      {"events[0].account.key", "colour",
       [](R& r) { (*r.mutable_events(0)->mutable_account()->mutable_key())["colour"] = "red"; }},
      {"events[0].account.key", "client_id",
       [](R& r) { (*r.mutable_events(0)->mutable_account()->mutable_key())["client_id"] = "x"; }},
      {"events[0].attributes", "product",
       [](R& r) { r.mutable_events(0)->mutable_attributes()->erase("product"); }},
      {"events[0].side", "SIDE_DEBIT", [](R& r) { r.mutable_events(0)->clear_side(); }},
      {"events[0].side", "SIDE_DEBIT",
       [](R& r) { r.mutable_events(0)->set_side(static_cast<v1::Side>(7)); }},
      {"events[0].amount", "above 0", [](R& r) { r.mutable_events(0)->set_amount("0"); }},
      {"events[0].amount", "above 0", [](R& r) { r.mutable_events(0)->set_amount("-1"); }},
      {"events[0].amount", "", [](R& r) { r.mutable_events(0)->set_amount(""); }},
      {"events[0].amount", "", [](R& r) { r.mutable_events(0)->set_amount("1e5"); }},
      {"events[0].amount", "", [](R& r) { r.mutable_events(0)->set_amount("NaN"); }},
      {"events[0].amount", "at most 2 digits",
       [](R& r) { r.mutable_events(0)->set_amount("1.001"); }},
      {"events[0].amount", "below 10^15",
       [](R& r) { r.mutable_events(0)->set_amount("1000000000000000"); }},
      {"events[0].occurred_at", "2000-01-01",
       [](R& r) { r.mutable_events(0)->mutable_occurred_at()->set_seconds(946'684'799); }},
      {"events[0].occurred_at", "a day from now",
       [](R& r) {
         r.mutable_events(0)->mutable_occurred_at()->set_seconds(1'700'000'000 + 86'401);
       }},
      {"events[0].occurred_at", "must lie",
       [](R& r) { r.mutable_events(0)->mutable_occurred_at()->set_seconds(INT64_MAX); }},
      {"events[0].occurred_at", "must lie",
       [](R& r) { r.mutable_events(0)->mutable_occurred_at()->set_nanos(-1); }},
      {"events[0].info", "JSON object", [](R& r) { r.mutable_events(0)->set_info("{\"a\":}"); }},
      {"events[0].info", "JSON object", [](R& r) { r.mutable_events(0)->set_info("[1]"); }},
      {"events[0].info", "JSON object",
       [](R& r) { r.mutable_events(0)->set_info(std::string("{}\0", 3)); }},
      {"events[0].info", "JSON object", [](R& r) { r.mutable_events(0)->set_info("  "); }},
      // Long enough to lie on the heap, where a look before its start is seen.
      {"events[0].info", "JSON object",
       [](R& r) { r.mutable_events(0)->set_info(std::string(100, ' ')); }},
      {"events[0].info", "at most 4096",
       [](R& r) { r.mutable_events(0)->set_info("{\"a\":\"" + std::string(4096, 'x') + "\"}"); }},
  }));
  v1::WriteEventsRequest request = GoodRequest();
  bad.spoil(request);
  const auto checked = CheckAt(request);
  CHECK(absl::IsInvalidArgument(checked.status()));
  google::rpc::BadRequest details;
  REQUIRE(rpc::GetDetail(checked.status(), &details));
  REQUIRE(details.field_violations_size() == 1);
  CHECK(details.field_violations(0).field().rfind(bad.field, 0) == 0);
  const std::string text =
      details.field_violations(0).field() + ": " + details.field_violations(0).description();
  CHECK_THAT(text, Catch::Contains(bad.says));
}

TEST_CASE("the borders of dates and amounts are allowed") {
  v1::WriteEventsRequest request = GoodRequest();
  request.mutable_events(0)->set_amount("999999999999999.99");
  request.mutable_events(0)->mutable_occurred_at()->set_seconds(946'684'800);
  CHECK(CheckAt(request).ok());
  request.mutable_events(0)->mutable_occurred_at()->set_seconds(1'700'000'000 + 86'400);
  CHECK(CheckAt(request).ok());
}

TEST_CASE("a balanced request must be so for each asset") {
  v1::WriteEventsRequest request = GoodRequest();
  request.set_balanced(true);
  const auto alone = CheckAt(request);
  CHECK(absl::IsFailedPrecondition(alone.status()));
  google::rpc::ErrorInfo info;
  REQUIRE(rpc::GetDetail(alone.status(), &info));
  CHECK(info.reason() == "NOT_BALANCED");
  CHECK(info.metadata().at("asset") == "RUB");
  CHECK(info.metadata().at("debit") == "12.5");
  CHECK(info.metadata().at("credit") == "0");

  v1::NewEvent* other = request.add_events();
  *other = GoodEvent();
  other->set_side(v1::SIDE_CREDIT);
  CHECK(CheckAt(request).ok());
  (*other->mutable_account()->mutable_key())["currency"] = "USD";
  CHECK(absl::IsFailedPrecondition(CheckAt(request).status()));
}

TEST_CASE("the fingerprint sees what counts and nothing else") {
  const v1::WriteEventsRequest request = GoodRequest();
  const Fingerprint first = CheckAt(request)->fingerprint;
  v1::WriteEventsRequest same = request;
  same.mutable_events(0)->set_amount("12.5");
  (*same.mutable_events(0)->mutable_account()->mutable_key())["client_id"] = "7";
  CHECK(CheckAt(same, kNow + absl::Seconds(5))->fingerprint == first);

  const std::vector<std::function<void(v1::WriteEventsRequest&)>> changes = {
      [](auto& r) { r.mutable_events(0)->set_amount("12.51"); },
      [](auto& r) { r.mutable_events(0)->set_side(v1::SIDE_CREDIT); },
      [](auto& r) { r.mutable_events(0)->set_info("{}"); },
      [](auto& r) { r.mutable_events(0)->mutable_occurred_at()->set_seconds(1'700'000'000); },
      [](auto& r) { (*r.mutable_events(0)->mutable_attributes())["region"] = "spb"; },
      [](auto& r) { (*r.mutable_events(0)->mutable_account()->mutable_key())["client_id"] = "8"; },
      [](auto& r) { *r.add_events() = r.events(0); },
  };
  for (const auto& change : changes) {
    v1::WriteEventsRequest other = request;
    change(other);
    CHECK(CheckAt(other)->fingerprint != first);
  }
}

}  // namespace
}  // namespace saldo::accounts
