// What the relay has read and not yet passed: bounds it, and tells how far everything is delivered
// without a gap.
//
// Messages are numbered by position, in the order of seq and ordinal. The consumer appends batches,
// the sender completes positions in any order, the cleaner asks for the last seq below which all is
// complete: where the cursor may go. Thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "absl/types/span.h"

namespace saldo::retranslator {

class DeliveryWindow {
 public:
  struct Batch {
    int64_t seq;
    uint32_t messages;  // 0 is allowed
  };

  // `messages_max` and `bytes_max` bound what is inside; a group that is larger than `bytes_max`
  // alone is let in when it is alone. Passed up to `seq` so far.
  DeliveryWindow(size_t messages_max, size_t bytes_max, int64_t seq);

  // Waits until a group of this size has room. False after `timeout` or Close.
  bool WaitForRoom(size_t messages, size_t bytes, absl::Duration timeout);

  // Takes a group of batches, in the order of seq, and answers the position of its first message.
  // `memory` is kept until the whole group is complete. The group must have room.
  uint64_t Append(absl::Span<const Batch> batches, size_t bytes,
                  std::shared_ptr<const void> memory);

  // These messages are delivered, or given up. Each position once.
  void Complete(absl::Span<const uint64_t> positions);

  // All messages of this seq and below are complete.
  int64_t passed_seq() const;
  size_t messages() const;

  // Ends every wait for room.
  void Close();

 private:
  struct PendingBatch {
    int64_t seq;
    uint64_t end;  // the position after its last message
  };
  struct Group {
    uint64_t end;
    size_t bytes;
    std::shared_ptr<const void> memory;
  };
  struct Room;

  bool HasRoom(size_t messages, size_t bytes) const ABSL_SHARED_LOCKS_REQUIRED(mutex_);
  void AdvanceOverBatches() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const size_t messages_max_;
  const size_t bytes_max_;

  mutable absl::Mutex mutex_;
  std::vector<bool> complete_ ABSL_GUARDED_BY(mutex_);  // by position modulo messages_max_
  uint64_t head_ ABSL_GUARDED_BY(mutex_) = 0;           // the first position that is not complete
  uint64_t tail_ ABSL_GUARDED_BY(mutex_) = 0;           // the next to be given out
  size_t bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  std::deque<PendingBatch> batches_ ABSL_GUARDED_BY(mutex_);
  std::deque<Group> groups_ ABSL_GUARDED_BY(mutex_);
  int64_t passed_seq_ ABSL_GUARDED_BY(mutex_);
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace saldo::retranslator
