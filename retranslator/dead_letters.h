// Messages that were given up, until the cursor passes them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace saldo::retranslator {

struct DeadLetter {
  int64_t seq;
  int64_t batch_id;
  int32_t ordinal;
  std::string topic;
  std::string key;
  std::string payload;
  std::string type;
  std::optional<std::string> traceparent;
  std::string message_id;
  absl::Time created_at;
  int attempts;
  std::string error;
};

// From the sender to the cleaner. No larger than the window, for each is a message inside it.
// Thread-safe.
class DeadLetterBox {
 public:
  void Add(DeadLetter letter) {
    absl::MutexLock lock(&mutex_);
    letters_.push_back(std::move(letter));
  }

  // Those of batches up to `seq`.
  std::vector<DeadLetter> UpTo(int64_t seq) const {
    std::vector<DeadLetter> found;
    absl::MutexLock lock(&mutex_);
    for (const DeadLetter& letter : letters_) {
      if (letter.seq <= seq) found.push_back(letter);
    }
    return found;
  }

  void DropUpTo(int64_t seq) {
    absl::MutexLock lock(&mutex_);
    std::erase_if(letters_, [seq](const DeadLetter& letter) { return letter.seq <= seq; });
  }

 private:
  mutable absl::Mutex mutex_;
  std::vector<DeadLetter> letters_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace saldo::retranslator
