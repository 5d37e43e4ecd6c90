// The one way for a thread to wait: a wait that a stop ends at once.
#pragma once

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace saldo::runtime {

class StopSignal {
 public:
  // Ends every wait, now and later. Idempotent.
  void Stop() {
    absl::MutexLock lock(&mutex_);
    stopped_ = true;
  }

  // Ends the wait under way, or the next one if none is, without stopping.
  void Wake() {
    absl::MutexLock lock(&mutex_);
    woken_ = true;
  }

  bool stopped() const {
    absl::MutexLock lock(&mutex_);
    return stopped_;
  }

  // Waits until `timeout` has passed, or Wake or Stop was called. True when the thread should go
  // on, false when it should end.
  bool WaitFor(absl::Duration timeout) {
    absl::MutexLock lock(&mutex_);
    mutex_.AwaitWithTimeout(absl::Condition(this, &StopSignal::Ready), timeout);
    woken_ = false;
    return !stopped_;
  }

 private:
  bool Ready() const ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return stopped_ || woken_; }

  mutable absl::Mutex mutex_;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  bool woken_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace saldo::runtime
