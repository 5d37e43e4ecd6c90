// The order of messages after one of them failed: later messages of its key wait behind it until it
// is sent or given up.
//
// A lane is a topic with a key. Normally there is none, and messages pass straight through. The
// first failure of a lane opens it; its messages are then sent one at a time, the first again after
// a growing pause. Pure state with the time passed in; not thread-safe.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/time/time.h"

namespace saldo::retranslator {

struct RetryOptions {
  // How often a message is sent before it becomes a dead letter, the first time included.
  int attempts_max = 5;
  // The pause before the second try; doubles with each further one up to the maximum.
  absl::Duration backoff_min = absl::Milliseconds(200);
  absl::Duration backoff_max = absl::Seconds(10);
};

class RetryLanes {
 public:
  explicit RetryLanes(const RetryOptions& options) : options_(options) {}

  bool empty() const { return lanes_.empty(); }

  // Whether a new message of this lane must wait; it is then taken in.
  bool Enqueue(std::string_view name, uint64_t position);

  // The message failed and may be sent again. True: it waits for its turn. False: its attempts are
  // used up, and it is for the caller to give it up and call Done.
  bool Failed(std::string_view name, uint64_t position, absl::Time now);

  // The message came back through no fault that is known to be its own: it waits for its turn,
  // without a pause, and no attempt is counted.
  void Returned(std::string_view name, uint64_t position, absl::Time now);

  // The message is delivered or given up: the lane goes on with the next.
  void Done(std::string_view name, uint64_t position, absl::Time now);

  // A message to send now, if any; it is then out until Failed or Done. Of the lanes that are due,
  // the one due first.
  std::optional<uint64_t> NextDue(absl::Time now);

  // When NextDue may have something; infinite when nothing waits.
  absl::Time next_due() const;

 private:
  struct Lane {
    std::set<uint64_t> waiting;               // in the order of positions
    std::map<uint64_t, int> failures;         // attempts that failed, of those that have
    std::optional<uint64_t> out;              // being sent
    absl::Time due = absl::InfiniteFuture();  // when the first of `waiting` may go
  };

  void TakeBack(const std::string& name, Lane& lane, uint64_t position, absl::Time due);
  void Schedule(const std::string& name, Lane& lane, absl::Time due);

  const RetryOptions options_;
  absl::flat_hash_map<std::string, Lane> lanes_;
  std::set<std::pair<absl::Time, std::string>> due_;
};

}  // namespace saldo::retranslator
