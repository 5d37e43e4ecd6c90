#include "server/tasks/kinds.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/strings.h"

namespace saldo::tasks {
namespace {

constexpr size_t kNameMax = 63;
constexpr int kAttemptsMax = 100;

bool IsName(std::string_view name) {
  return !name.empty() && name.size() <= kNameMax && name[0] >= 'a' && name[0] <= 'z' &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
         });
}

}  // namespace

void TaskContext::SetProgress(std::string_view text) {
  absl::MutexLock lock(&mutex_);
  progress_ = std::string(text);
}

std::string TaskContext::Progress() const {
  absl::MutexLock lock(&mutex_);
  return progress_;
}

void Kinds::Fault(std::string_view name, std::string_view what) {
  faults_.push_back(absl::StrCat("kind of task '", AsAbsl(name), "': ", AsAbsl(what)));
}

void Kinds::Add(Kind kind) {
  const std::string name = kind.name;
  if (!IsName(name)) Fault(name, "a name is of a-z, 0-9 and _, and starts with a letter");
  if (kind.handler == nullptr) Fault(name, "has no handler");
  if (kind.max_attempts < 1 || kind.max_attempts > kAttemptsMax)
    Fault(name, absl::StrCat("max_attempts must be of 1 to ", kAttemptsMax));
  if (kind.timeout <= absl::ZeroDuration() || kind.timeout > absl::Hours(24 * 30))
    Fault(name, "the timeout must be more than 0 and at most 30 days");
  const std::string schedule = kind.schedule;
  if (!kinds_.emplace(name, Entry{std::move(kind), std::nullopt}).second) {
    return Fault(name, "was added before");
  }
  SetSchedule(name, schedule);
}

void Kinds::SetSchedule(const std::string& name, const std::string& schedule) {
  const auto found = kinds_.find(name);
  if (found == kinds_.end()) {
    return Fault(name, absl::StrCat("has a schedule, but does not exist; there are ",
                                    absl::StrJoin(Names(), ", ")));
  }
  Entry& entry = found->second;
  entry.kind.schedule = schedule;
  entry.schedule.reset();
  if (schedule.empty()) return;
  absl::StatusOr<Cron> cron = Cron::Parse(schedule);
  if (!cron.ok()) return Fault(name, std::string(cron.status().message()));
  entry.schedule = *std::move(cron);
}

absl::Status Kinds::Check() const {
  if (faults_.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrJoin(faults_, "; "));
}

const Kinds::Entry* Kinds::Find(std::string_view name) const {
  const auto found = kinds_.find(name);
  return found == kinds_.end() ? nullptr : &found->second;
}

std::vector<std::string> Kinds::Names() const {
  std::vector<std::string> names;
  names.reserve(kinds_.size());
  for (const auto& [name, entry] : kinds_) names.push_back(name);
  return names;
}

}  // namespace saldo::tasks
