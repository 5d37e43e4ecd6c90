// A background job: one function that does one piece of work, and the loop around it.
#pragma once

#include <string>
#include <string_view>

#include "absl/functional/any_invocable.h"
#include "absl/random/random.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/runtime/service.h"
#include "common/runtime/stop_signal.h"
#include "common/runtime/thread.h"

namespace saldo::runtime {

struct PeriodicJobOptions {
  // From the end of a run that found nothing more to do to the start of the next.
  absl::Duration interval = absl::Seconds(1);
  // The wait after a failed run: starts at the minimum, doubles with each failure in a row, and is
  // cut at the maximum; each wait is drawn between half of that and all of it, so that instances
  // that failed together do not try again together.
  absl::Duration backoff_min = absl::Milliseconds(100);
  absl::Duration backoff_max = absl::Seconds(10);
};

class PeriodicJob final : public Service {
 public:
  // One bounded piece of work. True: there is more, run again at once; false: run again after the
  // interval. A run that may take long checks `stop`, and waits only through it.
  using RunOnce = absl::AnyInvocable<absl::StatusOr<bool>(StopSignal& stop)>;

  // `name` also names the thread; its first 15 characters should tell jobs apart.
  PeriodicJob(std::string name, const PeriodicJobOptions& options, RunOnce run_once);
  ~PeriodicJob() override { Stop(); }

  std::string_view name() const override { return name_; }
  // INVALID_ARGUMENT for durations that are not positive or a maximum below the minimum.
  absl::Status Start() override;
  void Stop() override;

  // Runs again at once instead of after the interval. Does not cut a wait after a failure, so that
  // a busy caller cannot turn a failing job into a tight loop. From any thread, never blocks.
  void Wake() { stop_.Wake(); }

 private:
  void Loop();
  absl::StatusOr<bool> RunGuarded();
  void NoteFailure(const absl::Status& status);
  void NoteSuccess();
  bool WaitAfterFailure();

  const std::string name_;
  const PeriodicJobOptions options_;
  RunOnce run_once_;
  StopSignal stop_;

  // Of the job's thread alone.
  absl::BitGen random_;
  int failures_ = 0;  // in a row
  std::string logged_failure_;
  absl::Time failing_since_;

  Thread thread_;
};

}  // namespace saldo::runtime
