#include "tests/system/ledger_history.h"

#include <set>
#include <string_view>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "google/protobuf/util/message_differencer.h"
#include "google/protobuf/util/time_util.h"

namespace saldo::testing {
namespace {

using google::protobuf::util::MessageDifferencer;
using google::protobuf::util::TimeUtil;
using EventId = std::pair<int64_t, int32_t>;
using Faults = std::vector<std::string>;

EventId IdOf(const v1::AccountEvent& event) { return {event.batch_id(), event.ordinal()}; }

std::string Describe(const v1::AccountEvent& event) {
  return absl::StrCat("event ", event.batch_id(), "-", event.ordinal(), " of request '",
                      event.request_id(), "' (", event.ShortDebugString(), ")");
}

std::string AccountOf(const v1::AccountEvent& event) {
  std::string account = event.account().type();
  const std::map<std::string, std::string> key(event.account().key().begin(),
                                               event.account().key().end());
  for (const auto& [name, value] : key) absl::StrAppend(&account, "/", value);
  return account;
}

bool SameAmount(const std::string& a, const std::string& b) {
  const auto first = Decimal::Parse(a);
  const auto second = Decimal::Parse(b);
  return first.ok() && second.ok() && *first == *second;
}

bool AsAsked(const v1::NewEvent& asked, const v1::AccountEvent& event) {
  return MessageDifferencer::Equals(asked.account(), event.account()) &&
         std::map<std::string, std::string>(asked.attributes().begin(), asked.attributes().end()) ==
             std::map<std::string, std::string>(event.attributes().begin(),
                                                event.attributes().end()) &&
         asked.side() == event.side() && SameAmount(asked.amount(), event.amount()) &&
         asked.info() == event.info() &&
         (!asked.has_occurred_at() || TimeUtil::TimestampToMicroseconds(asked.occurred_at()) ==
                                          TimeUtil::TimestampToMicroseconds(event.occurred_at()));
}

// `events` are those of this request, in the order of batches and ordinals.
void CheckRequest(const std::string& id, const SentRequest& sent,
                  const std::vector<const v1::AccountEvent*>& events, Faults* faults) {
  const auto fault = [&](const std::string& what) {
    faults->push_back(absl::StrCat("request '", id, "': ", what));
  };
  if (events.empty()) {
    if (sent.fate == Fate::kWritten) fault("acknowledged, but not there");
    return;
  }
  if (sent.fate == Fate::kRejected) return fault("rejected, but there: " + Describe(*events[0]));
  const auto size = static_cast<size_t>(sent.request.events_size());
  if (events.size() != size)
    return fault(absl::StrCat("has ", events.size(), " events instead of ", size));
  for (size_t i = 0; i < size; ++i) {
    const v1::AccountEvent& event = *events[i];
    const int index = static_cast<int>(i);
    if (event.batch_id() != events[0]->batch_id() ||
        event.ordinal() != events[0]->ordinal() + index)
      return fault("torn apart: " + Describe(event));
    if (!AsAsked(sent.request.events(index), event))
      return fault("other content than was asked for: " + Describe(event));
    if (sent.fate != Fate::kWritten) continue;
    if (event.batch_id() != sent.answer.batch_id() ||
        event.ordinal() != sent.answer.first_ordinal() + index ||
        sent.answer.events_size() != static_cast<int>(size) ||
        event.subaccount_id() != sent.answer.events(index).subaccount_id() ||
        event.balance_after() != sent.answer.events(index).balance_after()) {
      return fault(absl::StrCat("not as it was answered: ", Describe(event),
                                "; answered: ", sent.answer.ShortDebugString()));
    }
  }
}

void CheckRequests(const LedgerHistory& history, const LedgerContent& content, Faults* faults) {
  std::map<std::string, std::vector<const v1::AccountEvent*>> of_request;
  std::set<EventId> seen;
  for (const v1::AccountEvent& event : content.events) {
    if (!seen.insert(IdOf(event)).second) faults->push_back("stored twice: " + Describe(event));
    if (!history.requests.contains(event.request_id()))
      faults->push_back("not asked for: " + Describe(event));
    of_request[event.request_id()].push_back(&event);
  }
  for (const auto& [id, sent] : history.requests) CheckRequest(id, sent, of_request[id], faults);
}

// The balance after an event follows from the one before; after each request it is within limits.
void CheckBalances(const LedgerContent& content, Faults* faults) {
  struct Account {
    Decimal balance;
    const v1::AccountEvent* last = nullptr;
  };
  std::map<std::string, Account> accounts;
  const auto check_limits = [&](const Account& account) {
    const Limits& limits = content.limits.at(account.last->account().type());
    if ((limits.min.has_value() && account.balance < *limits.min) ||
        (limits.max.has_value() && account.balance > *limits.max))
      faults->push_back("outside its limits after " + Describe(*account.last));
  };
  for (const v1::AccountEvent& event : content.events) {
    if (!content.limits.contains(event.account().type())) {
      if (!event.balance_after().empty()) faults->push_back("has a balance: " + Describe(event));
      continue;
    }
    Account& account = accounts[AccountOf(event)];
    if (account.last != nullptr && account.last->request_id() != event.request_id())
      check_limits(account);
    const Decimal amount = Decimal::Parse(event.amount()).value_or(Decimal());
    const bool fits = event.side() == v1::SIDE_CREDIT
                          ? Decimal::Add(account.balance, amount, &account.balance)
                          : Decimal::Subtract(account.balance, amount, &account.balance);
    if (!fits || !SameAmount(account.balance.ToString(), event.balance_after()))
      faults->push_back(absl::StrCat("the balance after ", Describe(event), " should be ",
                                     account.balance.ToString()));
    account.last = &event;
  }
  for (const auto& [name, account] : accounts) check_limits(account);
}

void CheckTopics(const LedgerContent& content, const std::vector<PublishedEvent>& published,
                 Faults* faults) {
  std::map<EventId, const v1::AccountEvent*> missing;
  for (const v1::AccountEvent& event : content.events) missing[IdOf(event)] = &event;
  std::map<EventId, const PublishedEvent*> seen;
  std::map<std::string, EventId> last_of_key;  // by seq and ordinal
  for (const PublishedEvent& message : published) {
    const EventId id = IdOf(message.event);
    const auto [first, fresh] = seen.try_emplace(id, &message);
    if (!fresh) {
      if (first->second->key != message.key || first->second->id != message.id ||
          !MessageDifferencer::Equals(first->second->event, message.event))
        faults->push_back("published twice, and differently: " + Describe(message.event));
      continue;
    }
    const auto stored = missing.find(id);
    if (stored == missing.end()) {
      faults->push_back("published, but not stored: " + Describe(message.event));
      continue;
    }
    if (!MessageDifferencer::Equals(*stored->second, message.event))
      faults->push_back(absl::StrCat("published ", Describe(message.event), ", stored ",
                                     Describe(*stored->second)));
    missing.erase(stored);
    if (message.key != AccountOf(message.event) ||
        !absl::EndsWith(message.id, absl::StrCat("-", id.first, "-", id.second)))
      faults->push_back(absl::StrCat("key '", message.key, "', id '", message.id,
                                     "': ", Describe(message.event)));
    const auto seq = content.seq_of_batch.find(id.first);
    if (seq == content.seq_of_batch.end()) {
      faults->push_back("published without a seq: " + Describe(message.event));
      continue;
    }
    EventId& last = last_of_key[message.key];
    const EventId place(seq->second, id.second);
    if (place <= last) faults->push_back("out of its order: " + Describe(message.event));
    last = place;
  }
  for (const auto& [id, event] : missing) faults->push_back("not published: " + Describe(*event));
}

// The batches of one account follow each other in the order of seq, where a lock saw to that.
void CheckSeqs(const LedgerContent& content, Faults* faults) {
  std::map<std::string, int64_t> last;
  for (const v1::AccountEvent& event : content.events) {
    const auto seq = content.seq_of_batch.find(event.batch_id());
    if (seq == content.seq_of_batch.end()) {
      faults->push_back("without a seq: " + Describe(event));
      continue;
    }
    if (!content.limits.contains(event.account().type())) continue;
    int64_t& before = last[AccountOf(event)];
    if (seq->second < before) faults->push_back("the order of seq differs: " + Describe(event));
    before = seq->second;
  }
}

}  // namespace

std::vector<std::string> FindFaults(const LedgerHistory& history, const LedgerContent& content,
                                    const std::vector<PublishedEvent>& published) {
  Faults faults = history.surprises;
  CheckRequests(history, content, &faults);
  CheckBalances(content, &faults);
  CheckSeqs(content, &faults);
  CheckTopics(content, published, &faults);
  return faults;
}

}  // namespace saldo::testing
