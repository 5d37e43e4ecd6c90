#include <catch2/catch.hpp>
#include <functional>

#include "google/rpc/error_details.pb.h"
#include "server/accounts/reading/page_token.h"
#include "tests/server/accounts/reading/reading_test_util.h"

namespace saldo::accounts {
namespace {

// No question here gets as far as the database.
class NoDatabase {
 public:
  absl::Status Ask(const v1::GetBalanceRequest& request) {
    v1::GetBalanceResponse response;
    return reader_.GetBalance(Soon(), types_, request, response);
  }
  absl::Status Ask(const v1::BatchGetBalancesRequest& request) {
    v1::BatchGetBalancesResponse response;
    return reader_.BatchGetBalances(Soon(), types_, request, response);
  }
  absl::Status Ask(const v1::GetTurnoverRequest& request) {
    v1::GetTurnoverResponse response;
    return reader_.GetTurnover(Soon(), types_, request, response);
  }
  absl::Status Ask(const v1::ListTurnoversRequest& request) {
    v1::ListTurnoversResponse response;
    return reader_.ListTurnovers(Soon(), types_, request, response);
  }
  absl::Status Ask(const v1::ListEventsRequest& request) {
    v1::ListEventsResponse response;
    return reader_.ListEvents(Soon(), types_, request, response);
  }

  // "field: description", one a line.
  template <typename Request>
  std::string Faults(const Request& request) {
    const absl::Status status = Ask(request);
    google::rpc::BadRequest details;
    if (!absl::IsInvalidArgument(status) || !rpc::GetDetail(status, &details))
      return "not refused: " + status.ToString();
    std::string faults;
    for (const auto& one : details.field_violations())
      absl::StrAppend(&faults, faults.empty() ? "" : "\n", one.field(), ": ", one.description());
    return faults;
  }

 private:
  metrics::Registry registry_;
  postgres::Pool pool_{{.connection = {.dsn = "host=/nowhere"}}, registry_};
  BalanceReader reader_{pool_};
  AccountTypes types_{{TestType(1, "wallet"), TestType(2, "reward")}};
};

v1::GetBalanceRequest GoodBalance() {
  v1::GetBalanceRequest request;
  *request.mutable_account() = Key("wallet", "17");
  return request;
}

google::protobuf::Timestamp Timestamp(int64_t seconds, int32_t nanos) {
  google::protobuf::Timestamp timestamp;
  timestamp.set_seconds(seconds);
  timestamp.set_nanos(nanos);
  return timestamp;
}

}  // namespace

TEST_CASE("a question that is wrong is refused, naming each field") {
  NoDatabase none;
  using Request = v1::GetBalanceRequest;
  const struct {
    std::function<void(Request&)> spoil;
    std::string faults;
  } cases[] = {
      {[](Request& r) { r.clear_account(); },
       "account.type: is no account type; there are: wallet, reward"},
      {[](Request& r) { r.mutable_account()->set_type("walet"); },
       "account.type: is no account type; there are: wallet, reward"},
      {[](Request& r) { r.mutable_account()->clear_key(); }, "account.key.client: is missing"},
      {[](Request& r) { (*r.mutable_account()->mutable_key())["x"] = "1"; },
       "account.key: there is no attribute \"x\""},
      {[](Request& r) { (*r.mutable_account()->mutable_key())["client"] = "1.5"; },
       "account.key.client: must be a whole number of 64 bits, such as 17"},
      {[](Request& r) { r.mutable_selection()->add_group_by("client"); },
       "selection.group_by[0]: is no auxiliary attribute: the type wallet has product, region"},
      {[](Request& r) { r.mutable_selection()->add_group_by("region"); },
       "selection.group_by: is not a grouping that the type allows: this type has [product], "
       "[product, region]"},
      {[](Request& r) {
         r.mutable_selection()->add_group_by("product");
         r.mutable_selection()->add_group_by("product");
       },
       "selection.group_by[1]: names an attribute a second time"},
      {[](Request& r) { (*r.mutable_selection()->mutable_filter())["x"] = "1"; },
       "selection.filter: may only hold auxiliary attributes: the type wallet has product, region"},
      {[](Request& r) {
         (*r.mutable_selection()->mutable_filter())["region"] = std::string(65, 'r');
       },
       "selection.filter.region: must have at most 64 bytes, has 65"},
      {[](Request& r) { (*r.mutable_selection()->mutable_filter())["region"] = "a\x1f"; },
       "selection.filter.region: must not contain a control character"},
      {[](Request& r) { r.mutable_at(); }, "at: must have a time or a day"},
      {[](Request& r) { *r.mutable_at()->mutable_time() = Timestamp(-2208988801, 0); },
       "at.time: must be from 1900-01-01 until 2200-01-01"},
      {[](Request& r) { *r.mutable_at()->mutable_time() = Timestamp(7258118400, 1); },
       "at.time: must be from 1900-01-01 until 2200-01-01"},
      {[](Request& r) {
         *r.mutable_at()->mutable_time() = Timestamp(std::numeric_limits<int64_t>::max(), 0);
       },
       "at.time: must be from 1900-01-01 until 2200-01-01"},
      {[](Request& r) { *r.mutable_at()->mutable_time() = Timestamp(0, -1); },
       "at.time: has nanos outside of 0 to 999,999,999"},
      {[](Request& r) { *r.mutable_at()->mutable_time() = Timestamp(0, 1'000'000'000); },
       "at.time: has nanos outside of 0 to 999,999,999"},
  };
  for (const auto& one : cases) {
    Request request = GoodBalance();
    one.spoil(request);
    CHECK(none.Faults(request) == one.faults);
  }
  CHECK(none.Faults(GoodBalance()).substr(0, 12) == "not refused:");  // only the database is away
  Request two = GoodBalance();
  two.mutable_account()->clear_key();
  two.mutable_at();
  CHECK(none.Faults(two) == "account.key.client: is missing\nat: must have a time or a day");
}

TEST_CASE("days are written in one way") {
  NoDatabase none;
  for (const char* day : {"", "2026-3-1", "2026-03-1 ", "26-03-01", "2026-02-29", "2026-13-01",
                          "2026-00-10", "2026-01-00", "+026-01-01", "2026/01/01",
                          "2026-01-01T00:00", "2026-01-01'", "now", "-026-01-01"}) {
    v1::GetBalanceRequest request = GoodBalance();
    request.mutable_at()->set_day(day);
    CHECK(none.Faults(request) == "at.day: must be a day such as 2026-03-01");
  }
  for (const char* day : {"1899-12-31", "2200-01-02", "9999-12-31", "0000-01-01"}) {
    v1::GetBalanceRequest request = GoodBalance();
    request.mutable_at()->set_day(day);
    CHECK(none.Faults(request) == "at.day: must be from 1900-01-01 until 2200-01-01");
  }
}

TEST_CASE("several balances are those of one type, and not too many") {
  NoDatabase none;
  v1::BatchGetBalancesRequest request;
  CHECK(none.Faults(request) == "accounts: must be 1 to 1000, are 0");
  *request.add_accounts() = Key("wallet", "1");
  *request.add_accounts() = Key("reward", "x");
  CHECK(none.Faults(request) ==
        "accounts[1].type: must be that of the first, wallet\n"
        "accounts[1].key.client: must be a whole number of 64 bits, such as 17");
  for (int i = 0; i < 999; ++i) *request.add_accounts() = Key("wallet", "1");
  CHECK(none.Faults(request) == "accounts: must be 1 to 1000, are 1001");
}

TEST_CASE("a turnover has a beginning that is not after its end") {
  NoDatabase none;
  v1::GetTurnoverRequest request;
  *request.mutable_account() = Key("wallet", "1");
  CHECK(none.Faults(request) == "from: is required");
  *request.mutable_from() = At(Utc("2026-01-02 00:00:00"));
  *request.mutable_to() = At(Utc("2026-01-01 12:30:00.5"));
  CHECK(none.Faults(request) == "from: must not lie after `to`, which is 2026-01-01T12:30:00.5Z");
}

TEST_CASE("turnovers are listed for whole periods") {
  NoDatabase none;
  const struct {
    v1::Period period;
    const char* from;
    const char* to;
    const char* faults;
  } cases[] = {
      {v1::PERIOD_UNSPECIFIED, "2026-01-01", "2026-02-01",
       "period: must be PERIOD_DAY, PERIOD_MONTH or PERIOD_YEAR"},
      {v1::PERIOD_DAY, "", "x",
       "from_day: must be a day such as 2026-03-01\nto_day: must be a day such as 2026-03-01"},
      {v1::PERIOD_MONTH, "2026-01-02", "2026-02-03",
       "from_day: must be the first day of a period\nto_day: must be the first day of a period"},
      {v1::PERIOD_YEAR, "2025-01-01", "2026-02-01", "to_day: must be the first day of a period"},
      {v1::PERIOD_DAY, "2026-01-02", "2026-01-01", "from_day: must not lie after to_day"},
      {v1::PERIOD_DAY, "2020-01-01", "2022-09-28",
       "to_day: must lie at most 1000 periods after from_day, lies 1001"},
      {v1::PERIOD_MONTH, "1900-01-01", "1983-06-01",
       "to_day: must lie at most 1000 periods after from_day, lies 1001"},
  };
  for (const auto& one : cases) {
    v1::ListTurnoversRequest request;
    *request.mutable_account() = Key("wallet", "1");
    request.set_period(one.period);
    request.set_from_day(one.from);
    request.set_to_day(one.to);
    CHECK(none.Faults(request) == one.faults);
  }
}

TEST_CASE("a page token fits the query that it was made for, and no other") {
  v1::ListEventsRequest request;
  *request.mutable_account() = Key("wallet", "1");
  *request.mutable_from() = AtDay("2026-01-01");
  (*request.mutable_filter())["product"] = "a";
  (*request.mutable_filter())["region"] = "b";
  const absl::Time at = Utc("1969-12-31 23:59:59.999999");
  const std::string token = MakePageToken(request, {.from = at,
                                                    .to = Utc("2200-01-01 00:00:00"),
                                                    .occurred_at = at + absl::Hours(1),
                                                    .batch_id = int64_t{1} << 62,
                                                    .ordinal = 10'000});
  request.set_page_token(token);
  const std::optional<PagePosition> position = ReadPageToken(request);
  REQUIRE(position.has_value());
  CHECK(position->from == at);
  CHECK(position->to == Utc("2200-01-01 00:00:00"));
  CHECK(position->occurred_at == at + absl::Hours(1));
  CHECK(position->batch_id == int64_t{1} << 62);
  CHECK(position->ordinal == 10'000);
  CHECK(MakePageToken(request, *position) == token);

  using Request = v1::ListEventsRequest;
  const std::function<void(Request&)> changes[] = {
      [](Request& r) { *r.mutable_account() = Key("wallet", "2"); },
      [](Request& r) { *r.mutable_account() = Key("reward", "1"); },
      [](Request& r) { (*r.mutable_filter())["product"] = "b"; },
      [](Request& r) { r.mutable_filter()->erase("region"); },
      [](Request& r) { r.mutable_from()->set_day("2026-01-02"); },
      [](Request& r) { *r.mutable_to() = AtDay("2026-01-02"); },
      [](Request& r) { r.set_descending(true); },
      [](Request& r) { r.set_page_size(1); },
  };
  NoDatabase none;
  for (const auto& change : changes) {
    Request other = request;
    change(other);
    CHECK(none.Faults(other) == "page_token: is not one that this query was answered with");
  }
  for (size_t i = 0; i < token.size(); ++i) {
    Request other = request;
    (*other.mutable_page_token())[i] = token[i] == 'A' ? 'B' : 'A';
    // The last character may stand for bits that are not there.
    if (i + 1 < token.size()) CHECK_FALSE(ReadPageToken(other).has_value());
    other.set_page_token(token.substr(0, i));
    CHECK_FALSE(ReadPageToken(other).has_value());
  }
  request.set_page_token(token + "A");
  CHECK_FALSE(ReadPageToken(request).has_value());
  request.set_page_token("\xff\n%");
  CHECK_FALSE(ReadPageToken(request).has_value());
}

TEST_CASE("a list of events has a beginning, and pages of a size") {
  NoDatabase none;
  v1::ListEventsRequest request;
  *request.mutable_account() = Key("wallet", "1");
  request.set_page_size(-1);
  (*request.mutable_filter())["client"] = "1";
  CHECK(none.Faults(request) ==
        "filter: may only hold auxiliary attributes: the type wallet has product, region\n"
        "from: is required\npage_size: must not be negative");
}

}  // namespace saldo::accounts
