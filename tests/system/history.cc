#include "tests/system/history.h"

#include <algorithm>
#include <set>

#include "absl/strings/str_cat.h"

namespace saldo::testing {
namespace {

std::string Describe(const ReceivedEvent& event) {
  return absl::StrCat("event ", event.event_id, " of package ", event.package_id, ", type ",
                      event.type, ", title ", event.title);
}

// First occurrences only: delivery is at least once.
std::map<uint64_t, std::vector<ReceivedEvent>> FirstOccurrences(
    const std::vector<ReceivedEvent>& events, std::vector<std::string>* faults) {
  std::map<uint64_t, std::vector<ReceivedEvent>> by_package;
  std::map<uint64_t, ReceivedEvent> seen;
  for (const ReceivedEvent& event : events) {
    const auto [it, first] = seen.try_emplace(event.event_id, event);
    if (!first) {
      if (it->second.package_id != event.package_id || it->second.title != event.title) {
        faults->push_back(
            absl::StrCat("two events with one id: ", Describe(it->second), "; ", Describe(event)));
      }
      continue;
    }
    by_package[event.package_id].push_back(event);
  }
  return by_package;
}

// Matches the events with the changes in order, where only unknown changes may be passed over.
void CheckPackage(const std::vector<Change>& changes, const std::vector<ReceivedEvent>& events,
                  uint64_t package_id, std::vector<std::string>* faults) {
  size_t next = 0;
  for (const Change& change : changes) {
    const bool matches = next < events.size() && events[next].type == change.type &&
                         events[next].title == change.title;
    if (change.outcome == Outcome::kRefused) continue;
    if (matches) {
      ++next;
    } else if (change.outcome == Outcome::kDone) {
      faults->push_back(absl::StrCat("package ", package_id, ": the acknowledged change of type ",
                                     change.type, " with title ", change.title,
                                     " is missing or out of order; found instead: ",
                                     next < events.size() ? Describe(events[next]) : "nothing"));
      return;
    }
  }
  if (next < events.size()) {
    faults->push_back(absl::StrCat("package ", package_id,
                                   ": not asked for, or out of order: ", Describe(events[next])));
  }
  for (size_t i = 1; i < events.size(); ++i) {
    if (events[i].event_id <= events[i - 1].event_id) {
      faults->push_back(
          absl::StrCat("package ", package_id, ": event ids do not grow: ", Describe(events[i])));
    }
  }
}

}  // namespace

std::vector<std::string> FindFaults(const History& history,
                                    const std::vector<ReceivedEvent>& events) {
  std::vector<std::string> faults;
  std::map<uint64_t, std::vector<ReceivedEvent>> by_package = FirstOccurrences(events, &faults);
  for (const auto& [package_id, changes] : history.packages) {
    CheckPackage(changes, by_package[package_id], package_id, &faults);
    by_package.erase(package_id);
  }
  const std::set<std::string> unknown(history.unknown_creates.begin(),
                                      history.unknown_creates.end());
  for (const auto& [package_id, of_package] : by_package) {
    // A package that no client knows can only come from a create whose answer was lost.
    if (of_package.size() == 1 && of_package[0].type == 0 && unknown.contains(of_package[0].title))
      continue;
    faults.push_back(absl::StrCat("not asked for: ", Describe(of_package[0])));
  }
  const std::set<std::string> refused(history.refused.begin(), history.refused.end());
  for (const ReceivedEvent& event : events) {
    if (refused.contains(event.title))
      faults.push_back(absl::StrCat("refused, but sent: ", Describe(event)));
  }
  return faults;
}

}  // namespace saldo::testing
