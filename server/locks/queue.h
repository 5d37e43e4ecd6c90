// Who gets a lock: the rules of modes, of expiry and of the queue. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"

namespace saldo::locks {

// Of one lock: who holds it at a time, and who waits for it.
inline constexpr size_t kHoldersMax = 1'000;
inline constexpr size_t kWaitersMax = 1'000;

// A grant. It counts while expires_at lies ahead.
struct Holder {
  int64_t token = 0;
  std::string owner;
  bool exclusive = false;
  absl::Time acquired_at;
  absl::Time expires_at;
};

// Whether two cannot have the lock together.
inline bool Conflict(bool exclusive, bool other_exclusive) { return exclusive || other_exclusive; }

// A place in the queue. It counts while lease_until lies ahead.
struct Waiter {
  int64_t id = 0;  // grows along the queue
  bool exclusive = false;
  absl::Time lease_until;
};

struct Ask {
  std::string_view owner;
  bool exclusive = false;
  std::optional<int64_t> waiter = {};  // its own place, if it has one
};

struct Decision {
  enum class Outcome {
    kGrant,
    kHasIt,   // the asking owner has it in this mode: `token`
    kHeld,    // by others: `holder`
    kQueued,  // `ahead` others come first
    kFull,    // it has as many holders as it may
  };
  Outcome outcome;
  int64_t token = 0;
  // Of those who are in the way, the one that stays longest.
  std::optional<Holder> holder = {};
  size_t ahead = 0;
  // When it is not granted: by then all that is in the way has lapsed, unless it was renewed.
  absl::Time lapses_at = absl::InfiniteFuture();
};

// `now` is the moment by the clock that set the other times. The order of the lists does not
// matter.
Decision Decide(absl::Time now, const std::vector<Holder>& holders,
                const std::vector<Waiter>& waiters, const Ask& ask);

}  // namespace saldo::locks
