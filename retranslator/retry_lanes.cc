#include "retranslator/retry_lanes.h"

#include <algorithm>

namespace saldo::retranslator {

bool RetryLanes::Enqueue(std::string_view name, uint64_t position) {
  if (lanes_.empty()) return false;
  const auto it = lanes_.find(std::string(name));
  if (it == lanes_.end()) return false;
  it->second.waiting.insert(position);
  return true;
}

bool RetryLanes::Failed(std::string_view name, uint64_t position, absl::Time now) {
  const std::string key(name);
  Lane& lane = lanes_[key];
  const int failures = ++lane.failures[position];
  if (failures >= options_.attempts_max) return false;
  const absl::Duration pause = std::min(
      options_.backoff_min * (int64_t{1} << std::min(failures - 1, 30)), options_.backoff_max);
  TakeBack(key, lane, position, now + pause);
  return true;
}

void RetryLanes::Returned(std::string_view name, uint64_t position, absl::Time now) {
  const std::string key(name);
  TakeBack(key, lanes_[key], position, now);
}

void RetryLanes::TakeBack(const std::string& name, Lane& lane, uint64_t position, absl::Time due) {
  if (lane.out == position) lane.out.reset();
  lane.waiting.insert(position);
  // Only the first in the lane sets the pace; those behind it failed with it.
  const bool sets_pace = *lane.waiting.begin() == position || lane.due == absl::InfiniteFuture();
  if (!lane.out.has_value() && sets_pace) Schedule(name, lane, due);
}

void RetryLanes::Done(std::string_view name, uint64_t position, absl::Time now) {
  const auto it = lanes_.find(std::string(name));
  if (it == lanes_.end()) return;
  Lane& lane = it->second;
  lane.failures.erase(position);
  if (lane.out == position) lane.out.reset();
  if (lane.out.has_value()) return;
  if (!lane.waiting.empty()) {
    // A message that was on its way when the lane opened says nothing about the pause of the first.
    if (lane.due == absl::InfiniteFuture()) Schedule(it->first, lane, now);
    return;
  }
  due_.erase({lane.due, it->first});
  lanes_.erase(it);
}

std::optional<uint64_t> RetryLanes::NextDue(absl::Time now) {
  if (due_.empty() || due_.begin()->first > now) return std::nullopt;
  const std::string name = due_.begin()->second;
  Lane& lane = lanes_.at(name);
  lane.out = *lane.waiting.begin();
  lane.waiting.erase(lane.waiting.begin());
  Schedule(name, lane, absl::InfiniteFuture());
  return lane.out;
}

absl::Time RetryLanes::next_due() const {
  return due_.empty() ? absl::InfiniteFuture() : due_.begin()->first;
}

void RetryLanes::Schedule(const std::string& name, Lane& lane, absl::Time due) {
  if (lane.due != absl::InfiniteFuture()) due_.erase({lane.due, name});
  lane.due = due;
  if (due != absl::InfiniteFuture()) due_.insert({due, name});
}

}  // namespace saldo::retranslator
