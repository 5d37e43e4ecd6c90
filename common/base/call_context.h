// What one unit of work may cost: until when it may run, and whether its caller still wants it.
#pragma once

#include <atomic>

#include "absl/status/status.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace saldo {

// Set once by whoever no longer wants the work, polled by whoever does it.
class CancelFlag {
 public:
  void Cancel() { cancelled_.store(true, std::memory_order_release); }
  bool cancelled() const { return cancelled_.load(std::memory_order_acquire); }

 private:
  std::atomic<bool> cancelled_{false};
};

// Passed by value down from an RPC, a job or a command to every wait below it. Cheap to copy.
class CallContext {
 public:
  // `cancel` may be null and otherwise must outlive the work.
  explicit CallContext(absl::Time deadline, const CancelFlag* cancel = nullptr)
      : deadline_(deadline), cancel_(cancel) {}

  static CallContext WithTimeout(absl::Duration timeout, const CancelFlag* cancel = nullptr) {
    return CallContext(absl::Now() + timeout, cancel);
  }

  absl::Time deadline() const { return deadline_; }
  const CancelFlag* cancel_flag() const { return cancel_; }
  absl::Duration remaining() const { return deadline_ - absl::Now(); }
  bool cancelled() const { return cancel_ != nullptr && cancel_->cancelled(); }

  // The same work, with at most `timeout` from now.
  CallContext Within(absl::Duration timeout) const {
    return CallContext(std::min(deadline_, absl::Now() + timeout), cancel_);
  }

  // CANCELLED or DEADLINE_EXCEEDED when the work should end, else OK.
  absl::Status Check() const {
    if (cancelled()) return absl::CancelledError("the caller cancelled the call");
    if (absl::Now() >= deadline_)
      return absl::DeadlineExceededError("the deadline of the call has passed");
    return absl::OkStatus();
  }

 private:
  absl::Time deadline_;
  const CancelFlag* cancel_;
};

}  // namespace saldo
