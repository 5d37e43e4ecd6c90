#include "server/locks/queue.h"

#include <algorithm>

namespace saldo::locks {

using Outcome = Decision::Outcome;

Decision Decide(absl::Time now, const std::vector<Holder>& holders,
                const std::vector<Waiter>& waiters, const Ask& ask) {
  size_t alive = 0;
  const Holder* longest = nullptr;
  for (const Holder& holder : holders) {
    if (holder.expires_at <= now) continue;
    if (holder.owner == ask.owner && holder.exclusive == ask.exclusive)
      return {.outcome = Outcome::kHasIt, .token = holder.token};
    ++alive;
    if (Conflict(ask.exclusive, holder.exclusive) &&
        (longest == nullptr || holder.expires_at > longest->expires_at))
      longest = &holder;
  }
  if (longest != nullptr)
    return {.outcome = Outcome::kHeld, .holder = *longest, .lapses_at = longest->expires_at};

  // Whoever came first and could not have it beside the asking one.
  Decision queued{.outcome = Outcome::kQueued, .lapses_at = absl::InfinitePast()};
  for (const Waiter& waiter : waiters) {
    if (waiter.lease_until <= now || (ask.waiter.has_value() && waiter.id >= *ask.waiter)) continue;
    if (!Conflict(ask.exclusive, waiter.exclusive)) continue;
    ++queued.ahead;
    queued.lapses_at = std::max(queued.lapses_at, waiter.lease_until);
  }
  if (queued.ahead > 0) return queued;
  if (alive >= kHoldersMax) return {.outcome = Outcome::kFull};
  return {.outcome = Outcome::kGrant};
}

}  // namespace saldo::locks
