// Runs tasks: claims those that are due, keeps their leases while they run, and stores how they
// ended. Fires the kinds' schedules. Any number of runners share the work.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/random/random.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/base/bounded_queue.h"
#include "common/observability/metrics.h"
#include "common/observability/trace.h"
#include "common/runtime/service.h"
#include "common/runtime/stop_signal.h"
#include "common/runtime/thread.h"
#include "server/tasks/config.h"
#include "server/tasks/kinds.h"
#include "server/tasks/store.h"

namespace saldo::tasks {

// The wait after the failed run `attempt` (from 1 on); `draw` is of 0 to 1.
absl::Duration RetryWait(int attempt, absl::Duration min, absl::Duration max, double draw);

class Runner final : public runtime::Service {
 public:
  // All arguments outlive the runner. Adds the kind that removes finished tasks; others are added
  // before Start.
  Runner(const TasksConfig& config, Kinds& kinds, TaskStore& store, metrics::Registry& registry,
         const trace::Tracer& tracer);
  ~Runner() override { Stop(); }

  std::string_view name() const override { return "tasks"; }
  // Makes the kinds known in the database, then runs tasks if enabled. INVALID_ARGUMENT when a kind
  // or a schedule is not right.
  absl::Status Start() override;
  // Interrupts what runs and waits for it; what did not finish waits again, as if it had not begun.
  void Stop() override;

  // A task was added in this process. Thread-safe, never waits.
  void Wake() { tick_.Wake(); }

 private:
  // Why a run was told to end.
  enum class Interrupt { kNone, kStop, kTimeout, kLost };
  enum class Outcome { kDone, kRetried, kFailed, kReturned, kLost };
  struct Run;
  struct KindMetrics {
    metrics::Gauge* waiting;
    metrics::Gauge* running;
    metrics::Histogram* seconds;
  };

  void AddMetrics();
  void Loop();
  absl::Status Pass();
  absl::Status Upkeep();
  absl::Status FireSchedules();
  absl::Status ShowCounts();
  absl::Status RenewLeases();
  absl::Status ClaimAll();
  // Until the next look at the clock is needed.
  absl::Duration Pause();
  // Interrupts what has run for too long, has lost its lease, or, after a stop, everything.
  void InterruptRuns();
  static void InterruptRun(Run& run, Interrupt why);
  bool stopping();

  void Work();
  void Execute(Run& run);
  absl::StatusOr<std::string> Handle(Run& run);
  Outcome Settle(Run& run, const absl::StatusOr<std::string>& result);
  absl::StatusOr<bool> Store(Run& run, Outcome outcome, const absl::StatusOr<std::string>& result);

  const TasksConfig config_;
  Kinds& kinds_;
  TaskStore& store_;
  metrics::Registry& registry_;
  const trace::Tracer& tracer_;
  const std::string owner_;  // differs from all other runners
  std::vector<std::string> names_;
  std::vector<std::string> scheduled_;
  std::map<std::string, KindMetrics, std::less<>> kind_metrics_;

  // Of the loop's thread alone.
  absl::Time next_upkeep_;
  absl::Time next_renewal_;
  absl::Time next_counts_;
  int failures_ = 0;  // of passes, in a row

  absl::Mutex mutex_;
  std::set<std::shared_ptr<Run>> runs_ ABSL_GUARDED_BY(mutex_);  // at most config_.workers
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  absl::BitGen random_ ABSL_GUARDED_BY(mutex_);

  runtime::StopSignal tick_;  // the loop's; ends no wait for good, for leases outlast a stop
  runtime::StopSignal stop_;
  BoundedQueue<std::shared_ptr<Run>> queue_;
  runtime::Thread loop_;
  std::vector<runtime::Thread> workers_;
};

}  // namespace saldo::tasks
