#include "server/accounts/reading/reader.h"

#include <map>
#include <optional>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "common/base/status_macros.h"
#include "common/base/strings.h"
#include "common/observability/trace.h"
#include "common/rpc/errors.h"
#include "common/rpc/timestamps.h"
#include "server/accounts/reading/moments.h"
#include "server/accounts/reading/page_token.h"
#include "server/accounts/reading/selection.h"
#include "server/accounts/types/attributes.h"

namespace saldo::accounts {
namespace {

// "Now" reaches so far ahead.
constexpr absl::Duration kClocksApart = absl::Seconds(1);

constexpr int64_t kPeriodsMax = 1000;
constexpr int32_t kPageDefault = 100;
constexpr int32_t kPageMax = 1000;

// What is asked about, once it has been checked.
struct Question {
  const AccountType* type = nullptr;
  std::vector<std::string> keys;
  CheckedSelection selection;
  std::vector<AskedMoment> moments;
};

const AccountType* CheckType(std::string_view field, const AccountTypes& types,
                             const std::string& name, rpc::BadRequestBuilder& bad) {
  const AccountType* type = types.Find(name);
  if (type == nullptr) {
    bad.Add(absl::StrCat(AsAbsl(field), ".type"),
            absl::StrCat("is no account type; there are: ",
                         absl::StrJoin(types.all(), ", ", [](std::string* out, const auto& one) {
                           out->append(one.name);
                         })));
  }
  return type;
}

void CheckAccount(const AccountTypes& types, const v1::AccountKey& account, Question& question,
                  rpc::BadRequestBuilder& bad) {
  question.type = CheckType("account", types, account.type(), bad);
  if (question.type == nullptr) return;
  question.keys.push_back(
      keys::EncodeValues("account.key", question.type->key, account.key(), bad));
}

// All of one type: that of the first.
void CheckAccounts(const AccountTypes& types, const v1::BatchGetBalancesRequest& request,
                   Question& question, rpc::BadRequestBuilder& bad) {
  const int count = request.accounts_size();
  if (count < 1 || count > BalanceReader::kAccountsMax) {
    bad.Add("accounts",
            absl::StrCat("must be 1 to ", BalanceReader::kAccountsMax, ", are ", count));
    return;
  }
  question.type = CheckType("accounts[0]", types, request.accounts(0).type(), bad);
  if (question.type == nullptr) return;
  for (int i = 0; i < count; ++i) {
    const std::string field = absl::StrCat("accounts[", i, "]");
    const v1::AccountKey& account = request.accounts(i);
    if (account.type() != question.type->name)
      bad.Add(field + ".type", absl::StrCat("must be that of the first, ", question.type->name));
    question.keys.push_back(
        keys::EncodeValues(field + ".key", question.type->key, account.key(), bad));
  }
}

AskedMoment MomentOrNow(std::string_view field, bool given, const v1::Moment& moment,
                        rpc::BadRequestBuilder& bad) {
  if (given) return CheckMoment(field, moment, bad);
  // An event that another server has just acknowledged is dated by that server's clock.
  return {.time = absl::Now() + kClocksApart, .day = std::nullopt};
}

AskedMoment RequiredMoment(std::string_view field, bool given, const v1::Moment& moment,
                           rpc::BadRequestBuilder& bad) {
  if (!given) bad.Add(field, "is required");
  return MomentOrNow(field, given, moment, bad);
}

ReadingStore::Scope ScopeOf(const AccountTypes& types, const AccountType& type,
                            std::vector<AttributeFilter> filter) {
  return {.type_id = type.id,
          .keep_plans = types.all().size() <= kTypesOfKeptPlansMax,
          .filter = std::move(filter)};
}

absl::StatusOr<std::vector<absl::Time>> Resolve(ReadingStore& store, const CallContext& context,
                                                const std::vector<AskedMoment>& asked) {
  std::vector<absl::CivilDay> days;
  for (const AskedMoment& one : asked) {
    if (one.day.has_value()) days.push_back(*one.day);
  }
  std::vector<absl::Time> starts;
  if (!days.empty()) {
    SALDO_ASSIGN_OR_RETURN(starts, store.DayStarts(context, days));
  }
  std::vector<absl::Time> moments;
  moments.reserve(asked.size());
  size_t next_day = 0;
  for (const AskedMoment& one : asked)
    moments.push_back(one.day.has_value() ? starts[next_day++] : one.time);
  return moments;
}

absl::Status CheckOrder(absl::Time from, absl::Time to) {
  if (from <= to) return absl::OkStatus();
  rpc::BadRequestBuilder bad;
  bad.Add("from", absl::StrCat("must not lie after `to`, which is ", ShowMoment(to)));
  return bad.Build();
}

absl::Status EventsDropped(const std::map<std::string, std::string>& metadata) {
  return rpc::WithErrorInfo(
      absl::FailedPreconditionError(absl::StrCat(
          "events are no longer kept for that time; the nearest moments that can be answered: ",
          absl::StrJoin(metadata, ", ",
                        [](std::string* out, const auto& entry) {
                          absl::StrAppend(out, entry.first, " ", entry.second);
                        }))),
      "EVENTS_DROPPED", "saldo", metadata);
}

// The sums of each account by group.
absl::StatusOr<std::vector<GroupedSums>> ReadGroups(ReadingStore& store, const CallContext& context,
                                                    const AccountTypes& types,
                                                    const Question& question,
                                                    const std::vector<absl::Time>& moments) {
  const ReadingStore::Scope scope = ScopeOf(types, *question.type, question.selection.filter);
  SALDO_ASSIGN_OR_RETURN(const auto sums, store.ReadSums(context, scope, question.keys, moments));
  std::vector<GroupedSums> accounts(question.keys.size(),
                                    GroupedSums(question.selection.group_by, moments.size()));
  for (const ReadingStore::SumsBefore& one : sums) {
    if (one.dropped) {
      return EventsDropped(
          {{"before", ShowMoment(one.day_start)}, {"after", ShowMoment(one.next_day_start)}});
    }
    SALDO_RETURN_IF_ERROR(accounts[one.account].Add(one.attributes, one.moment, one.sums));
  }
  return accounts;
}

absl::Status ShowBalances(const AccountType& type, const GroupedSums& account,
                          v1::GetBalanceResponse& response) {
  const bool whole = account.grouping().empty();
  for (const auto& [values, moments] : account.groups()) {
    const Sums& sums = moments[0];
    if (!whole && sums.IsZero()) continue;  // it has no events before the moment
    SALDO_ASSIGN_OR_RETURN(const Decimal balance, BalanceOf(sums));
    v1::Balance& shown = *response.add_balances();
    ShowGroup(type, account.grouping(), values, shown.mutable_attributes());
    shown.set_debit(sums.debit.ToString(type.scale));
    shown.set_credit(sums.credit.ToString(type.scale));
    shown.set_balance(balance.ToString(type.scale));
  }
  return absl::OkStatus();
}

absl::Status ShowTurnovers(const AccountType& type, const GroupedSums& account,
                           v1::GetTurnoverResponse& response) {
  const bool whole = account.grouping().empty();
  for (const auto& [values, moments] : account.groups()) {
    if (!whole && moments[1].IsZero()) continue;
    Sums turnover = moments[1];
    if (!turnover.Subtract(moments[0])) return absl::InternalError("a turnover is out of range");
    SALDO_ASSIGN_OR_RETURN(const Decimal opening, BalanceOf(moments[0]));
    SALDO_ASSIGN_OR_RETURN(const Decimal closing, BalanceOf(moments[1]));
    v1::Turnover& shown = *response.add_turnovers();
    ShowGroup(type, account.grouping(), values, shown.mutable_attributes());
    shown.set_opening_balance(opening.ToString(type.scale));
    shown.set_debit(turnover.debit.ToString(type.scale));
    shown.set_credit(turnover.credit.ToString(type.scale));
    shown.set_closing_balance(closing.ToString(type.scale));
  }
  return absl::OkStatus();
}

struct Periods {
  absl::CivilDay from;
  absl::CivilDay to;
};

Periods CheckPeriods(const v1::ListTurnoversRequest& request, rpc::BadRequestBuilder& bad) {
  const v1::Period period = request.period();
  const bool known =
      period == v1::PERIOD_DAY || period == v1::PERIOD_MONTH || period == v1::PERIOD_YEAR;
  if (!known) bad.Add("period", "must be PERIOD_DAY, PERIOD_MONTH or PERIOD_YEAR");
  const auto from = CheckDay("from_day", request.from_day(), bad);
  const auto to = CheckDay("to_day", request.to_day(), bad);
  if (!known || !from.has_value() || !to.has_value()) return {};
  if (!IsPeriodStart(period, *from)) bad.Add("from_day", "must be the first day of a period");
  if (!IsPeriodStart(period, *to)) bad.Add("to_day", "must be the first day of a period");
  const int64_t periods = PeriodsBetween(period, *from, *to);
  if (periods < 0) bad.Add("from_day", "must not lie after to_day");
  if (periods > kPeriodsMax) {
    bad.Add("to_day", absl::StrCat("must lie at most ", kPeriodsMax,
                                   " periods after from_day, lies ", periods));
  }
  return {*from, *to};
}

int32_t CheckPageSize(int32_t asked, rpc::BadRequestBuilder& bad) {
  if (asked < 0) bad.Add("page_size", "must not be negative");
  return asked == 0 ? kPageDefault : std::min(asked, kPageMax);
}

// Where the page begins; `to` and `from` as the first page had them.
absl::StatusOr<PagePosition> PositionOf(ReadingStore& store, const CallContext& context,
                                        const v1::ListEventsRequest& request,
                                        const std::optional<PagePosition>& token,
                                        const std::vector<AskedMoment>& moments) {
  if (token.has_value()) return *token;
  SALDO_ASSIGN_OR_RETURN(const std::vector<absl::Time> range, Resolve(store, context, moments));
  SALDO_RETURN_IF_ERROR(CheckOrder(range[0], range[1]));
  // No event has these ids, so the position is just before the first event, in either order.
  return PagePosition{.from = range[0],
                      .to = range[1],
                      .occurred_at = request.descending() ? range[1] : range[0],
                      .batch_id = 0,
                      .ordinal = 0};
}

void ShowEvent(const AccountType& type, const ReadingStore::ListedEvent& event, v1::Event& shown) {
  shown.set_batch_id(event.batch_id);
  shown.set_ordinal(event.ordinal);
  shown.set_subaccount_id(event.subaccount_id);
  keys::DecodeValues(type.auxiliary, event.attributes, shown.mutable_attributes());
  shown.set_side(event.is_credit ? v1::SIDE_CREDIT : v1::SIDE_DEBIT);
  shown.set_amount(event.amount.ToString(type.scale));
  *shown.mutable_occurred_at() = rpc::ToTimestamp(event.occurred_at);
  if (event.balance_after.has_value())
    shown.set_balance_after(event.balance_after->ToString(type.scale));
  shown.set_info(event.info);
}

// Marks the span when something else than the request is at fault.
absl::Status Traced(trace::Span& span, absl::Status status) {
  if (!absl::IsInvalidArgument(status) && !absl::IsFailedPrecondition(status))
    span.SetStatus(status);
  return status;
}

absl::Status ReadBalance(ReadingStore& store, const CallContext& context, const AccountTypes& types,
                         const v1::GetBalanceRequest& request, v1::GetBalanceResponse& response) {
  rpc::BadRequestBuilder bad;
  Question question;
  CheckAccount(types, request.account(), question, bad);
  if (question.type != nullptr)
    question.selection = CheckSelection("selection", *question.type, request.selection(), bad);
  question.moments = {MomentOrNow("at", request.has_at(), request.at(), bad)};
  SALDO_RETURN_IF_ERROR(bad.Build());
  SALDO_ASSIGN_OR_RETURN(const auto moments, Resolve(store, context, question.moments));
  SALDO_ASSIGN_OR_RETURN(const auto accounts, ReadGroups(store, context, types, question, moments));
  return ShowBalances(*question.type, accounts[0], response);
}

absl::Status ReadBalances(ReadingStore& store, const CallContext& context,
                          const AccountTypes& types, const v1::BatchGetBalancesRequest& request,
                          v1::BatchGetBalancesResponse& response) {
  rpc::BadRequestBuilder bad;
  Question question;
  CheckAccounts(types, request, question, bad);
  if (question.type != nullptr)
    question.selection = CheckSelection("selection", *question.type, request.selection(), bad);
  question.moments = {MomentOrNow("at", request.has_at(), request.at(), bad)};
  SALDO_RETURN_IF_ERROR(bad.Build());
  SALDO_ASSIGN_OR_RETURN(const auto moments, Resolve(store, context, question.moments));
  SALDO_ASSIGN_OR_RETURN(const auto accounts, ReadGroups(store, context, types, question, moments));
  for (const GroupedSums& account : accounts)
    SALDO_RETURN_IF_ERROR(ShowBalances(*question.type, account, *response.add_accounts()));
  return absl::OkStatus();
}

absl::Status ReadTurnover(ReadingStore& store, const CallContext& context,
                          const AccountTypes& types, const v1::GetTurnoverRequest& request,
                          v1::GetTurnoverResponse& response) {
  rpc::BadRequestBuilder bad;
  Question question;
  CheckAccount(types, request.account(), question, bad);
  if (question.type != nullptr)
    question.selection = CheckSelection("selection", *question.type, request.selection(), bad);
  question.moments = {RequiredMoment("from", request.has_from(), request.from(), bad),
                      MomentOrNow("to", request.has_to(), request.to(), bad)};
  SALDO_RETURN_IF_ERROR(bad.Build());
  SALDO_ASSIGN_OR_RETURN(const auto moments, Resolve(store, context, question.moments));
  SALDO_RETURN_IF_ERROR(CheckOrder(moments[0], moments[1]));
  SALDO_ASSIGN_OR_RETURN(const auto accounts, ReadGroups(store, context, types, question, moments));
  return ShowTurnovers(*question.type, accounts[0], response);
}

absl::Status ReadPeriods(ReadingStore& store, const CallContext& context, const AccountTypes& types,
                         const v1::ListTurnoversRequest& request,
                         v1::ListTurnoversResponse& response) {
  rpc::BadRequestBuilder bad;
  Question question;
  CheckAccount(types, request.account(), question, bad);
  if (question.type != nullptr)
    question.selection = CheckSelection("selection", *question.type, request.selection(), bad);
  const Periods periods = CheckPeriods(request, bad);
  SALDO_RETURN_IF_ERROR(bad.Build());
  const AccountType& type = *question.type;
  SALDO_ASSIGN_OR_RETURN(
      const auto sums,
      store.ReadTurnovers(context, ScopeOf(types, type, question.selection.filter),
                          question.keys[0], request.period(), periods.from, periods.to));
  std::map<std::string, GroupedSums> by_day;
  for (const ReadingStore::PeriodSums& one : sums) {
    GroupedSums& groups = by_day.try_emplace(one.day, question.selection.group_by, 1).first->second;
    SALDO_RETURN_IF_ERROR(groups.Add(one.attributes, 0, one.sums));
  }
  for (const auto& [day, groups] : by_day) {
    for (const auto& [values, moments] : groups.groups()) {
      v1::PeriodTurnover& shown = *response.add_turnovers();
      shown.set_day(day);
      ShowGroup(type, groups.grouping(), values, shown.mutable_attributes());
      shown.set_debit(moments[0].debit.ToString(type.scale));
      shown.set_credit(moments[0].credit.ToString(type.scale));
    }
  }
  return absl::OkStatus();
}

absl::Status ReadEvents(ReadingStore& store, const CallContext& context, const AccountTypes& types,
                        const v1::ListEventsRequest& request, v1::ListEventsResponse& response) {
  rpc::BadRequestBuilder bad;
  Question question;
  CheckAccount(types, request.account(), question, bad);
  std::vector<AttributeFilter> filter;
  if (question.type != nullptr)
    filter = CheckFilter("filter", *question.type, request.filter(), bad);
  question.moments = {RequiredMoment("from", request.has_from(), request.from(), bad),
                      MomentOrNow("to", request.has_to(), request.to(), bad)};
  const int32_t page_size = CheckPageSize(request.page_size(), bad);
  std::optional<PagePosition> token;
  if (!request.page_token().empty()) {
    token = ReadPageToken(request);
    if (!token.has_value()) bad.Add("page_token", "is not one that this query was answered with");
  }
  SALDO_RETURN_IF_ERROR(bad.Build());
  SALDO_ASSIGN_OR_RETURN(PagePosition position,
                         PositionOf(store, context, request, token, question.moments));
  SALDO_ASSIGN_OR_RETURN(
      const ReadingStore::EventList list,
      store.ReadEvents(context, ScopeOf(types, *question.type, std::move(filter)), question.keys[0],
                       {.from = position.from,
                        .to = position.to,
                        .descending = request.descending(),
                        .after_occurred_at = position.occurred_at,
                        .after_batch_id = position.batch_id,
                        .after_ordinal = position.ordinal,
                        .limit = page_size + 1}));
  if (position.from < list.complete_from)
    return EventsDropped({{"after", ShowMoment(list.complete_from)}});
  const size_t shown = std::min(list.events.size(), static_cast<size_t>(page_size));
  for (size_t i = 0; i < shown; ++i)
    ShowEvent(*question.type, list.events[i], *response.add_events());
  if (list.events.size() > shown) {
    const ReadingStore::ListedEvent& last = list.events[shown - 1];
    position.occurred_at = last.occurred_at;
    position.batch_id = last.batch_id;
    position.ordinal = last.ordinal;
    response.set_next_page_token(MakePageToken(request, position));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status BalanceReader::GetBalance(const CallContext& context, const AccountTypes& types,
                                       const v1::GetBalanceRequest& request,
                                       v1::GetBalanceResponse& response) {
  trace::Span span("BalanceReader.GetBalance");
  return Traced(span, ReadBalance(store_, context, types, request, response));
}

absl::Status BalanceReader::BatchGetBalances(const CallContext& context, const AccountTypes& types,
                                             const v1::BatchGetBalancesRequest& request,
                                             v1::BatchGetBalancesResponse& response) {
  trace::Span span("BalanceReader.BatchGetBalances");
  return Traced(span, ReadBalances(store_, context, types, request, response));
}

absl::Status BalanceReader::GetTurnover(const CallContext& context, const AccountTypes& types,
                                        const v1::GetTurnoverRequest& request,
                                        v1::GetTurnoverResponse& response) {
  trace::Span span("BalanceReader.GetTurnover");
  return Traced(span, ReadTurnover(store_, context, types, request, response));
}

absl::Status BalanceReader::ListTurnovers(const CallContext& context, const AccountTypes& types,
                                          const v1::ListTurnoversRequest& request,
                                          v1::ListTurnoversResponse& response) {
  trace::Span span("BalanceReader.ListTurnovers");
  return Traced(span, ReadPeriods(store_, context, types, request, response));
}

absl::Status BalanceReader::ListEvents(const CallContext& context, const AccountTypes& types,
                                       const v1::ListEventsRequest& request,
                                       v1::ListEventsResponse& response) {
  trace::Span span("BalanceReader.ListEvents");
  return Traced(span, ReadEvents(store_, context, types, request, response));
}

}  // namespace saldo::accounts
