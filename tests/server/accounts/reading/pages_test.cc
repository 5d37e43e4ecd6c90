// Lists of events while others write, and questions about what is no longer kept.
#include <catch2/catch.hpp>
#include <set>

#include "google/rpc/error_details.pb.h"
#include "server/accounts/aggregation/aggregation.h"
#include "server/accounts/aggregation/retention.h"
#include "tests/server/accounts/reading/reading_test_util.h"

namespace saldo::accounts {
namespace {

const Decimal kOne = Decimal::FromInteger(1);

// One account of one type.
class OneAccount {
 public:
  explicit OneAccount(const std::string& retention = "400 days")
      : type_(database_.AddType("wallet", retention)),
        types_({TestType(type_, "wallet")}),
        subaccount_(database_.Subaccount(type_, "1")) {}

  void Write(absl::Time at, int count = 1) {
    database_.Write(std::vector<TestEvent>(static_cast<size_t>(count),
                                           TestEvent{type_, subaccount_, at, true, kOne}));
  }
  void Aggregate() {
    database_.Sequence();
    Aggregation aggregation({}, database_.pool(), database_.registry());
    REQUIRE_FALSE(aggregation.RunOnce().value());
  }
  // The balance, or the reason and the details of the refusal.
  std::string Balance(const v1::Moment& at) {
    v1::GetBalanceRequest request;
    *request.mutable_account() = Key("wallet", "1");
    *request.mutable_at() = at;
    v1::GetBalanceResponse response;
    const absl::Status status = reader_.GetBalance(Soon(), types_, request, response);
    return status.ok() ? response.balances(0).balance() : Refusal(status);
  }
  std::string Turnover(const v1::Moment& from, const v1::Moment& to) {
    v1::GetTurnoverRequest request;
    *request.mutable_account() = Key("wallet", "1");
    *request.mutable_from() = from;
    *request.mutable_to() = to;
    v1::GetTurnoverResponse response;
    const absl::Status status = reader_.GetTurnover(Soon(), types_, request, response);
    return status.ok() ? response.turnovers(0).credit() : Refusal(status);
  }
  absl::Status List(const v1::ListEventsRequest& request, v1::ListEventsResponse& response) {
    return reader_.ListEvents(Soon(), types_, request, response);
  }
  static std::string Refusal(const absl::Status& status) {
    google::rpc::ErrorInfo info;
    if (!absl::IsFailedPrecondition(status) || !rpc::GetDetail(status, &info))
      return status.ToString();
    const std::map<std::string, std::string> sorted(info.metadata().begin(), info.metadata().end());
    std::string text = info.reason();
    for (const auto& [name, value] : sorted) absl::StrAppend(&text, " ", name, "=", value);
    return text;
  }

  LedgerDatabase& database() { return database_; }
  int32_t type() const { return type_; }

 private:
  LedgerDatabase database_;
  int32_t type_;
  AccountTypes types_;
  int64_t subaccount_;
  BalanceReader reader_{database_.pool()};
};

v1::ListEventsRequest ListFrom(absl::Time from) {
  v1::ListEventsRequest request;
  *request.mutable_account() = Key("wallet", "1");
  *request.mutable_from() = At(from);
  return request;
}

}  // namespace

TEST_CASE("writing between pages repeats and skips nothing") {
  const bool descending = GENERATE(false, true);
  OneAccount one;
  const absl::Time start = Utc("2026-01-01 00:00:00");
  for (int i = 0; i < 10; ++i) one.Write(start + absl::Hours(i / 3), 2);  // of equal times as well
  v1::ListEventsRequest request = ListFrom(start - absl::Hours(1));
  request.set_page_size(3);
  request.set_descending(descending);
  std::vector<std::pair<int64_t, int32_t>> found;
  const int64_t last_before = one.database().Number("SELECT last_value FROM batch_id_seq");
  do {
    v1::ListEventsResponse response;
    REQUIRE(one.List(request, response).ok());
    for (const v1::Event& event : response.events()) {
      if (event.batch_id() <= last_before) found.emplace_back(event.batch_id(), event.ordinal());
    }
    request.set_page_token(response.next_page_token());
    one.Write(start + absl::Hours(static_cast<int>(found.size()) % 5) - absl::Minutes(30));
    one.Write(start);
    one.Aggregate();
  } while (!request.page_token().empty());
  std::vector<std::pair<int64_t, int32_t>> expected;
  for (int i = 1; i <= 10; ++i) {
    for (int ordinal = 1; ordinal <= 2; ++ordinal) expected.emplace_back(i, ordinal);
  }
  if (descending) std::reverse(expected.begin(), expected.end());
  CHECK(found == expected);
}

TEST_CASE("a list that is read until now ends at the now of its first page") {
  OneAccount one;
  one.Write(absl::Now() - absl::Minutes(1), 3);
  v1::ListEventsRequest request = ListFrom(Utc("2026-01-01 00:00:00"));
  request.set_page_size(2);
  v1::ListEventsResponse first, second;
  REQUIRE(one.List(request, first).ok());
  CHECK(first.events_size() == 2);
  one.Write(absl::Now() + absl::Seconds(10));
  request.set_page_token(first.next_page_token());
  REQUIRE(one.List(request, second).ok());
  CHECK(second.events_size() == 1);
  CHECK(second.next_page_token().empty());
}

TEST_CASE("now reaches ahead of this server's clock, for the clocks of others") {
  OneAccount one;
  one.Write(absl::Now() + absl::Milliseconds(300));
  one.Write(absl::Now() + absl::Hours(1));
  v1::ListEventsResponse response;
  REQUIRE(one.List(ListFrom(Utc("2026-01-01 00:00:00")), response).ok());
  CHECK(response.events_size() == 1);
}

TEST_CASE("balances do not flicker while batches are aggregated") {
  OneAccount one;
  for (int i = 0; i < 60; ++i) one.Write(absl::Now() - absl::Hours(i * 7));
  const absl::Time middle = absl::Now() - absl::Hours(30 * 7) + absl::Hours(1);
  one.database().Sequence();
  std::vector<std::unique_ptr<Aggregation>> several;
  for (int i = 0; i < 2; ++i) {
    several.push_back(std::make_unique<Aggregation>(
        AggregationOptions{.interval = absl::Milliseconds(1), .batch_limit = 1},
        one.database().pool(), one.database().registry()));
    MustBeOk(several.back()->Start());
  }
  int asked = 0;
  do {
    REQUIRE(one.Balance(At(absl::Now())) == "60.00");
    REQUIRE(one.Balance(At(middle)) == "30.00");
    ++asked;
  } while (one.database().Query("SELECT seq FROM cursors WHERE consumer = 'aggregation'") != "60");
  CHECK(asked > 1);
  for (auto& aggregation : several) aggregation->Stop();
  CHECK(one.database().WrongTurnovers() == "");
  CHECK(one.Balance(At(middle)) == "30.00");
}

TEST_CASE("an event ahead of time counts when its time has come") {
  OneAccount one;
  const absl::Time now = absl::Now();
  one.Write(now + absl::Hours(2));
  one.Write(now - absl::Hours(1));
  const auto check = [&] {
    CHECK(one.Balance(At(now)) == "1.00");
    CHECK(one.Balance(At(now + absl::Hours(3))) == "2.00");
    CHECK(one.Balance(At(now - absl::Hours(2))) == "0.00");
  };
  check();
  one.Aggregate();
  check();
}

TEST_CASE("with many types, as with few, the answers are the same") {
  OneAccount one;
  std::vector<AccountType> types;
  for (size_t i = 0; i <= kTypesOfKeptPlansMax; ++i)
    types.push_back(TestType(i == 0 ? one.type() : 100 + static_cast<int32_t>(i),
                             i == 0 ? "wallet" : absl::StrCat("other", i)));
  const AccountTypes many(std::move(types));
  BalanceReader reader(one.database().pool());
  one.Write(Utc("2026-01-01 10:00:00"), 3);
  v1::GetBalanceRequest request;
  *request.mutable_account() = Key("wallet", "1");
  for (int i = 0; i < 8; ++i) {  // PostgreSQL changes its mind about plans after five
    v1::GetBalanceResponse response;
    REQUIRE(reader.GetBalance(Soon(), many, request, response).ok());
    CHECK(response.balances(0).balance() == "3.00");
    CHECK(one.Balance(At(Utc("2026-01-01 10:00:00"))) == "0.00");
    if (i == 4) one.Aggregate();
  }
}

TEST_CASE("what was dropped leaves the starts of days exact and the rest refused") {
  OneAccount one("1 hour");
  one.database().Narrow(one.type(), 2);
  const absl::Time day = Utc("2026-03-10 00:00:00");
  one.Write(day - absl::Hours(30));  // batch 1, dropped with 2 and 3
  one.Write(day + absl::Hours(5), 2);
  one.Write(day + absl::Hours(20));
  one.Write(day + absl::Hours(40));  // kept
  one.Aggregate();
  one.database().Query("UPDATE cursors SET seq = 4 WHERE consumer = 'relay'");
  const auto keep = [&] {
    EventRetention retention({.width_min = 2, .width_max = 2}, one.database().pool(),
                             one.database().registry());
    REQUIRE_FALSE(retention.RunOnce().value());
  };
  keep();
  CHECK(one.Balance(At(day + absl::Hours(6))) == "3.00");
  // As if the partitions had been filled while those events were young, in the afternoon.
  one.database().Query(
      "UPDATE partitions SET filled_at = '2026-03-10 15:00:00+00' "
      "WHERE filled_at IS NOT NULL");
  keep();
  REQUIRE(one.database().Query("SELECT count(*) FROM events") == "1");

  CHECK(one.Balance(AtDay("2026-03-09")) == "1.00");
  CHECK(one.Balance(At(day)) == "1.00");
  CHECK(one.Balance(AtDay("2026-03-11")) == "4.00");
  CHECK(one.Balance(AtDay("2026-03-12")) == "5.00");
  CHECK(one.Turnover(AtDay("2026-03-10"), AtDay("2026-03-11")) == "3.00");
  CHECK(one.Balance(At(day + absl::Hours(6))) ==
        "EVENTS_DROPPED after=2026-03-11T00:00:00Z before=2026-03-10T00:00:00Z");
  CHECK(one.Turnover(At(day - absl::Microseconds(1)), AtDay("2026-03-11")) ==
        "EVENTS_DROPPED after=2026-03-10T00:00:00Z before=2026-03-09T00:00:00Z");
  // Written on the 10th until 15:00, they may have occurred until 16:00 on the 11th.
  CHECK(one.Balance(At(day + absl::Hours(45))) ==
        "EVENTS_DROPPED after=2026-03-12T00:00:00Z before=2026-03-11T00:00:00Z");
  CHECK(one.Balance(At(day + absl::Hours(49))) == "5.00");

  v1::ListEventsResponse response;
  CHECK(OneAccount::Refusal(one.List(ListFrom(day + absl::Hours(39)), response)) ==
        "EVENTS_DROPPED after=2026-03-11T16:00:00Z");
  REQUIRE(one.List(ListFrom(day + absl::Hours(40)), response).ok());
  CHECK(response.events_size() == 1);
}

}  // namespace saldo::accounts
