// Waiting for what another thread does, with a deadline.
#pragma once

#include "absl/functional/function_ref.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "common/runtime/stop_signal.h"

namespace saldo::testing {

inline bool Eventually(absl::FunctionRef<bool()> condition,
                       absl::Duration timeout = absl::Seconds(20)) {
  runtime::StopSignal pause;
  const absl::Time deadline = absl::Now() + timeout;
  while (!condition()) {
    if (absl::Now() >= deadline) return false;
    pause.WaitFor(absl::Milliseconds(5));
  }
  return true;
}

}  // namespace saldo::testing
