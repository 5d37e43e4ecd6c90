// The kinds of tasks that a program can run: a name, a handler, and how it is run.
//
//   tasks::Kind kind;
//   kind.name = "aggregate";
//   kind.about = "brings the turnovers up to date";
//   kind.schedule = "*/5 * * * *";
//   kind.handler = [&](tasks::TaskContext& task) { return aggregator.CatchUp(task.context()); };
//   kinds.Add(std::move(kind));
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/base/call_context.h"
#include "common/runtime/stop_signal.h"
#include "server/tasks/cron.h"

namespace saldo::tasks {

// The bounds of the table's columns.
inline constexpr size_t kKeyMax = 200;       // characters
inline constexpr size_t kPayloadMax = 8192;  // bytes
inline constexpr size_t kErrorMax = 2048;    // bytes
inline constexpr size_t kResultMax = 4096;   // bytes

// One run, as its handler sees it.
class TaskContext {
 public:
  struct Task {
    int64_t id;
    std::string kind;
    std::string key;
    std::string payload;
    int attempt;  // from 1 on
  };

  TaskContext(Task task, absl::Time deadline)
      : task_(std::move(task)), context_(deadline, &cancelled_) {}
  TaskContext(const TaskContext&) = delete;
  TaskContext& operator=(const TaskContext&) = delete;

  int64_t id() const { return task_.id; }
  const std::string& kind() const { return task_.kind; }
  const std::string& key() const { return task_.key; }
  const std::string& payload() const { return task_.payload; }
  int attempt() const { return task_.attempt; }

  // For calls below: ends with the kind's timeout, a stop of the program, or a lease that was lost.
  const CallContext& context() const { return context_; }
  // For waits: ends with the same.
  runtime::StopSignal& stop() { return stop_; }

  // What the run has done so far. Shown as its result while it runs, with a delay.
  void SetProgress(std::string_view text);

  // Runner's side. From any thread.
  void Interrupt() {
    cancelled_.Cancel();
    stop_.Stop();
  }
  std::string Progress() const;

 private:
  const Task task_;
  CancelFlag cancelled_;
  const CallContext context_;
  runtime::StopSignal stop_;
  mutable absl::Mutex mutex_;
  std::string progress_ ABSL_GUARDED_BY(mutex_);
};

// Does the work and answers the result that operators see, at most kResultMax bytes of which are
// kept. A task may run more than once, also after a run that succeeded, when its end could not be
// stored: so a handler repeats without harm. It ends soon after its context does: until then a
// lost lease could let another run begin beside it. INVALID_ARGUMENT fails the task at once; any
// other error is tried again. Runs on several threads at once, for different keys.
using Handler = std::function<absl::StatusOr<std::string>(TaskContext&)>;

struct Kind {
  std::string name;   // [a-z][a-z0-9_]*, at most 63 characters
  std::string about;  // one line for people
  std::string
      schedule;  // a cron expression in UTC; empty: none. Such tasks have no key or payload.
  int max_attempts = 5;                       // 1..100; then the task has failed
  absl::Duration timeout = absl::Minutes(5);  // of one run; positive
  Handler handler;
};

// Filled before the runner starts, constant after that.
class Kinds {
 public:
  struct Entry {
    Kind kind;
    std::optional<Cron> schedule;
  };

  // A kind that is not right is a fault of the program, which Check tells.
  void Add(Kind kind);
  // Replaces the schedule; an empty one takes it away.
  void SetSchedule(const std::string& name, const std::string& schedule);

  // INVALID_ARGUMENT with what was wrong with the calls above.
  absl::Status Check() const;

  // Null when there is none.
  const Entry* Find(std::string_view name) const;
  const std::map<std::string, Entry, std::less<>>& all() const { return kinds_; }
  std::vector<std::string> Names() const;

 private:
  void Fault(std::string_view name, std::string_view what);

  std::map<std::string, Entry, std::less<>> kinds_;
  std::vector<std::string> faults_;
};

}  // namespace saldo::tasks
