// Every answer equals the naive sum over the events that were committed, whatever the sequencer and
// the aggregation have got to.
#include <catch2/catch.hpp>

#include "tests/server/accounts/reading/history.h"

namespace saldo::accounts {
namespace {

class Questions {
 public:
  explicit Questions(History& history) : history_(history), reader_(history.database().pool()) {}

  void AskAll() {
    AskBalance();
    AskBalances();
    AskTurnover();
    AskPeriods();
    AskEvents();
  }

 private:
  struct Asked {
    const AccountType* type;
    std::string client;
    std::vector<std::string> group_by;
    Filter filter;
  };

  Asked Any() {
    Asked asked{.type = &history_.AnyType(),
                .client = history_.Below(8) == 0 ? "404" : history_.AnyClient(),
                .group_by = {},
                .filter = {}};
    const size_t grouping = history_.Below(3);
    if (grouping >= 1) asked.group_by.emplace_back("product");
    if (grouping == 2) asked.group_by.emplace_back("region");
    if (history_.Below(3) == 0) asked.filter["product"] = history_.Below(2) == 0 ? "a" : "b";
    if (history_.Below(3) == 0) asked.filter["region"] = history_.Below(2) == 0 ? "n" : "";
    return asked;
  }

  template <typename Request>
  static Request RequestFor(const Asked& asked) {
    Request request;
    *request.mutable_account() = Key(asked.type->name, asked.client);
    Select(asked, *request.mutable_selection());
    return request;
  }
  static void Select(const Asked& asked, v1::Selection& selection) {
    // In any order.
    for (const std::string& name : asked.group_by) selection.add_group_by(name);
    std::reverse(selection.mutable_group_by()->begin(), selection.mutable_group_by()->end());
    for (const auto& [name, value] : asked.filter) (*selection.mutable_filter())[name] = value;
  }

  // Sums of what occurred in [from, to).
  std::map<std::string, Sums> Sum(const Asked& asked, absl::Time from, absl::Time to) const {
    return NaiveSums(history_.events(), asked.group_by, [&](const ModelEvent& event) {
      return Passes(event, asked.type->id, asked.client, asked.filter) && event.at >= from &&
             event.at < to;
    });
  }

  static std::map<std::string, std::string> Texts(const std::map<std::string, Sums>& sums) {
    std::map<std::string, std::string> texts;
    for (const auto& [group, one] : sums)
      texts[group] = absl::StrCat(Text(one.debit), " ", Text(one.credit), " ", BalanceText(one));
    return texts;
  }
  static std::map<std::string, std::string> Texts(const v1::GetBalanceResponse& response) {
    std::map<std::string, std::string> texts;
    for (const v1::Balance& one : response.balances())
      texts[GroupText(one)] = absl::StrCat(one.debit(), " ", one.credit(), " ", one.balance());
    return texts;
  }

  void AskBalance() {
    const Asked asked = Any();
    auto request = RequestFor<v1::GetBalanceRequest>(asked);
    absl::Time at = history_.AnyTime();
    switch (history_.Below(4)) {
      case 0: {
        const absl::CivilDay day = history_.AnyDay();
        *request.mutable_at() = AtDay(absl::FormatCivilTime(day));
        at = history_.StartOf(day);
        break;
      }
      case 1:
        at = absl::Now();
        break;
      default:
        *request.mutable_at() = At(at);
    }
    INFO("balance " << request.ShortDebugString() << " at " << at);
    v1::GetBalanceResponse response;
    MustBeOk(reader_.GetBalance(Soon(), history_.types(), request, response));
    CHECK(Texts(response) == Texts(Sum(asked, absl::InfinitePast(), at)));
  }

  void AskBalances() {
    Asked asked = Any();
    v1::BatchGetBalancesRequest request;
    Select(asked, *request.mutable_selection());
    const absl::Time at = history_.AnyTime();
    *request.mutable_at() = At(at);
    const std::vector<std::string> clients = {"1", "404", "0", "1"};
    for (const std::string& client : clients)
      *request.add_accounts() = Key(asked.type->name, client);
    INFO("balances " << request.ShortDebugString());
    v1::BatchGetBalancesResponse response;
    MustBeOk(reader_.BatchGetBalances(Soon(), history_.types(), request, response));
    REQUIRE(response.accounts_size() == static_cast<int>(clients.size()));
    for (size_t i = 0; i < clients.size(); ++i) {
      asked.client = clients[i];
      CHECK(Texts(response.accounts(static_cast<int>(i))) ==
            Texts(Sum(asked, absl::InfinitePast(), at)));
    }
  }

  void AskTurnover() {
    const Asked asked = Any();
    auto request = RequestFor<v1::GetTurnoverRequest>(asked);
    absl::Time from = history_.AnyTime(), to = history_.AnyTime();
    if (from > to) std::swap(from, to);
    *request.mutable_from() = At(from);
    *request.mutable_to() = At(to);
    INFO("turnover " << request.ShortDebugString());
    v1::GetTurnoverResponse response;
    MustBeOk(reader_.GetTurnover(Soon(), history_.types(), request, response));
    std::map<std::string, std::string> expected, found;
    auto opening = Sum(asked, absl::InfinitePast(), from), between = Sum(asked, from, to);
    for (const auto& [group, closing] : Sum(asked, absl::InfinitePast(), to))
      expected[group] = absl::StrCat(BalanceText(opening[group]), " ", Text(between[group].debit),
                                     " ", Text(between[group].credit), " ", BalanceText(closing));
    for (const v1::Turnover& one : response.turnovers())
      found[GroupText(one)] = absl::StrCat(one.opening_balance(), " ", one.debit(), " ",
                                           one.credit(), " ", one.closing_balance());
    CHECK(found == expected);
  }

  void AskPeriods() {
    const Asked asked = Any();
    auto request = RequestFor<v1::ListTurnoversRequest>(asked);
    const auto period = static_cast<v1::Period>(v1::PERIOD_DAY + history_.Below(3));
    const auto begin_of = [&](absl::CivilDay day) {
      if (period == v1::PERIOD_MONTH) return absl::CivilDay(absl::CivilMonth(day));
      if (period == v1::PERIOD_YEAR) return absl::CivilDay(absl::CivilYear(day));
      return day;
    };
    absl::CivilDay from = begin_of(history_.AnyDay()), to = begin_of(history_.AnyDay());
    if (from > to) std::swap(from, to);
    if (period == v1::PERIOD_DAY) to = std::min(to, from + 1000);
    request.set_period(period);
    request.set_from_day(absl::FormatCivilTime(from));
    request.set_to_day(absl::FormatCivilTime(to));
    INFO("periods " << request.ShortDebugString());
    v1::ListTurnoversResponse response;
    MustBeOk(reader_.ListTurnovers(Soon(), history_.types(), request, response));
    std::vector<std::string> expected, found;
    std::map<std::string, std::vector<ModelEvent>> by_period;
    for (const ModelEvent& event : history_.events()) {
      const absl::CivilDay day = history_.DayOf(event.at);
      if (Passes(event, asked.type->id, asked.client, asked.filter) && day >= from && day < to)
        by_period[absl::FormatCivilTime(begin_of(day))].push_back(event);
    }
    for (const auto& [day, events] : by_period) {
      for (const auto& [group, sums] :
           NaiveSums(events, asked.group_by, [](const ModelEvent&) { return true; }))
        expected.push_back(absl::StrCat(day, " ", group, Text(sums.debit), " ", Text(sums.credit)));
    }
    for (const v1::PeriodTurnover& one : response.turnovers())
      found.push_back(absl::StrCat(one.day(), " ", GroupText(one), one.debit(), " ", one.credit()));
    CHECK(found == expected);
  }

  void AskEvents() {
    const Asked asked = Any();
    v1::ListEventsRequest request;
    *request.mutable_account() = Key(asked.type->name, asked.client);
    for (const auto& [name, value] : asked.filter) (*request.mutable_filter())[name] = value;
    absl::Time from = history_.AnyTime(), to = history_.AnyTime();
    if (from > to) std::swap(from, to);
    *request.mutable_from() = At(from);
    *request.mutable_to() = At(to);
    request.set_descending(history_.Below(2) == 0);
    request.set_page_size(static_cast<int>(1 + history_.Below(5)));
    std::vector<ModelEvent> wanted;
    for (const ModelEvent& event : history_.events()) {
      if (Passes(event, asked.type->id, asked.client, asked.filter) && event.at >= from &&
          event.at < to)
        wanted.push_back(event);
    }
    std::sort(wanted.begin(), wanted.end(), [&](const ModelEvent& a, const ModelEvent& b) {
      const auto left = std::tie(a.at, a.batch, a.ordinal),
                 right = std::tie(b.at, b.batch, b.ordinal);
      return request.descending() ? right < left : left < right;
    });
    INFO("events " << request.ShortDebugString());
    std::vector<std::string> expected, found;
    for (const ModelEvent& e : wanted)
      expected.push_back(absl::StrCat(e.batch, "-", e.ordinal, " product=", e.product,
                                      " region=", e.region, " ", e.credit ? "credit " : "debit ",
                                      Text(e.amount), " ", absl::ToUnixMicros(e.at)));
    do {
      v1::ListEventsResponse response;
      MustBeOk(reader_.ListEvents(Soon(), history_.types(), request, response));
      REQUIRE(response.events_size() <= request.page_size());
      for (const v1::Event& e : response.events())
        found.push_back(
            absl::StrCat(e.batch_id(), "-", e.ordinal(), " ", GroupText(e),
                         e.side() == v1::SIDE_CREDIT ? "credit " : "debit ", e.amount(), " ",
                         e.occurred_at().seconds() * 1'000'000 + e.occurred_at().nanos() / 1000));
      request.set_page_token(response.next_page_token());
    } while (!request.page_token().empty() && found.size() <= expected.size());
    CHECK(found == expected);
  }

  History& history_;
  BalanceReader reader_;
};

}  // namespace

TEST_CASE("answers equal the naive sum, whatever has been aggregated") {
  INFO("SALDO_TEST_SEED=" << testing::Seed());
  const std::string zone = GENERATE(as<std::string>(), "UTC", "America/St_Johns", "America/Havana",
                                    "Asia/Kathmandu", "Europe/Moscow");
  INFO(zone);
  History history(zone, testing::Seed() ^ std::hash<std::string>()(zone));
  Questions questions(history);
  for (int step = 0; step < 40; ++step) {
    INFO("step " << step);
    history.Step(history.database().registry());
    questions.AskAll();
    questions.AskAll();
  }
  CHECK(history.database().WrongTurnovers() == "");
}

}  // namespace saldo::accounts
