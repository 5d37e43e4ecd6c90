#include "server/tasks/runner.h"

#include <unistd.h>

#include <algorithm>
#include <exception>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/status_macros.h"
#include "common/observability/log.h"
#include "server/tasks/cleanup.h"

namespace saldo::tasks {
namespace {

constexpr absl::Duration kCallTimeout = absl::Seconds(5);
constexpr absl::Duration kStartTimeout = absl::Seconds(30);
constexpr absl::Duration kCountInterval = absl::Seconds(10);
constexpr absl::Duration kStoreRetryWait = absl::Milliseconds(500);
constexpr size_t kRunsMax = 256;  // as jobs.tasks.workers at the most

std::string OwnerName() {
  char host[256] = "";
  gethostname(host, sizeof(host) - 1);
  absl::BitGen random;
  return absl::StrCat(host, ":", getpid(), ":", absl::Hex(absl::Uniform<uint64_t>(random)));
}

const std::vector<double>& RunBuckets() {
  static const std::vector<double> buckets = {0.001, 0.005, 0.02, 0.1, 0.5, 1,
                                              5,     15,    60,   300, 900, 3600};
  return buckets;
}

}  // namespace

absl::Duration RetryWait(int attempt, absl::Duration min, absl::Duration max, double draw) {
  absl::Duration wait = min;
  for (int i = 1; i < attempt && wait < max; ++i) wait *= 2;
  return std::min(wait, max) * (0.5 + draw / 2);
}

struct Runner::Run {
  Run(Claimed claimed, const Kinds::Entry& of, const std::string& owner, absl::Time leased_until)
      : kind(of.kind),
        max_attempts(claimed.max_attempts),
        traceparent(std::move(claimed.traceparent)),
        lease{claimed.task.id, owner, claimed.task.attempt},
        deadline(absl::Now() + of.kind.timeout),
        context(std::move(claimed.task), deadline),
        lease_until(leased_until) {}

  const Kind& kind;
  const int max_attempts;
  const std::string traceparent;
  const Lease lease;
  const absl::Time deadline;
  TaskContext context;

  absl::Mutex mutex;
  Interrupt interrupt ABSL_GUARDED_BY(mutex) = Interrupt::kNone;
  // By this process's clock, counted from before the renewal was asked for: earlier than the
  // database's.
  absl::Time lease_until ABSL_GUARDED_BY(mutex);

  Interrupt why() {
    absl::MutexLock lock(&mutex);
    return interrupt;
  }
};

Runner::Runner(const TasksConfig& config, Kinds& kinds, TaskStore& store,
               metrics::Registry& registry, const trace::Tracer& tracer)
    : config_(config),
      kinds_(kinds),
      store_(store),
      registry_(registry),
      tracer_(tracer),
      owner_(OwnerName()),
      queue_(kRunsMax) {
  kinds_.Add(CleanupKind(config_, store_));
}

absl::Status Runner::Start() {
  for (const ScheduleConfig& schedule : config_.schedules)
    kinds_.SetSchedule(schedule.kind, schedule.cron == "off" ? "" : schedule.cron);
  SALDO_RETURN_IF_ERROR(kinds_.Check());
  SALDO_RETURN_IF_ERROR(store_.Register(CallContext::WithTimeout(kStartTimeout), kinds_));
  if (!config_.enabled) return absl::OkStatus();
  names_ = kinds_.Names();
  for (const auto& [name, entry] : kinds_.all()) {
    if (entry.schedule.has_value()) scheduled_.push_back(name);
  }
  AddMetrics();
  for (int i = 0; i < config_.workers; ++i) workers_.emplace_back("task", [this] { Work(); });
  loop_ = runtime::Thread("tasks", [this] { Loop(); });
  return absl::OkStatus();
}

void Runner::AddMetrics() {
  for (const std::string& kind : names_) {
    kind_metrics_[kind] = {
        .waiting = &registry_.AddGauge("saldo_tasks_waiting", "Tasks in the database that wait.",
                                       {{"kind", kind}}),
        .running = &registry_.AddGauge(
            "saldo_tasks_running", "Tasks in the database that run, anywhere.", {{"kind", kind}}),
        .seconds = &registry_.AddHistogram("saldo_tasks_run_seconds", "Time of a task's run.",
                                           {{"kind", kind}}, RunBuckets())};
  }
}

void Runner::Stop() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  stop_.Stop();
  tick_.Wake();
  // The loop renews leases until the last run has ended.
  loop_.Join();
  queue_.Close();
  workers_.clear();
}

bool Runner::stopping() {
  absl::MutexLock lock(&mutex_);
  return stopping_;
}

void Runner::Loop() {
  while (true) {
    InterruptRuns();
    {
      absl::MutexLock lock(&mutex_);
      if (stopping_ && runs_.empty()) return;
    }
    const absl::Status status = Pass();
    if (status.ok()) {
      if (failures_ > 0) log::Info("tasks run again", {{"failures", failures_}});
      failures_ = 0;
    } else {
      const auto level = ++failures_ == 1 ? log::Level::kWarning : log::Level::kDebug;
      log::Write(level, "tasks cannot be looked after", {{"reason", status}});
    }
    tick_.WaitFor(Pause());
  }
}

absl::Status Runner::Pass() {
  if (absl::Now() >= next_renewal_) {
    SALDO_RETURN_IF_ERROR(RenewLeases());
    next_renewal_ = absl::Now() + config_.lease / 3;
  }
  if (stopping()) return absl::OkStatus();
  if (absl::Now() >= next_upkeep_) {
    // Set first: a failure must not turn this into a tight loop of wakes.
    next_upkeep_ = absl::Now() + config_.poll_interval;
    SALDO_RETURN_IF_ERROR(Upkeep());
  }
  return ClaimAll();
}

absl::Status Runner::Upkeep() {
  SALDO_ASSIGN_OR_RETURN(const std::vector<Abandoned> abandoned,
                         store_.TakeBack(CallContext::WithTimeout(kCallTimeout)));
  for (const Abandoned& one : abandoned) {
    log::Warning("a task's runner vanished",
                 {{"id", one.id}, {"kind", one.kind}, {"failed", one.failed}});
  }
  SALDO_RETURN_IF_ERROR(FireSchedules());
  if (absl::Now() < next_counts_) return absl::OkStatus();
  next_counts_ = absl::Now() + kCountInterval;
  return ShowCounts();
}

absl::Status Runner::FireSchedules() {
  if (scheduled_.empty()) return absl::OkStatus();
  SALDO_ASSIGN_OR_RETURN(const std::vector<Fired> all,
                         store_.ReadFired(CallContext::WithTimeout(kCallTimeout), scheduled_));
  for (const Fired& last : all) {
    const Kinds::Entry* entry = kinds_.Find(last.kind);
    // Whatever was missed since the last time is made up for by one task.
    if (entry->schedule->Next(last.fired_at) > last.now) continue;
    SALDO_RETURN_IF_ERROR(store_.Fire(CallContext::WithTimeout(kCallTimeout), last).status());
  }
  return absl::OkStatus();
}

absl::Status Runner::ShowCounts() {
  SALDO_ASSIGN_OR_RETURN(const std::vector<KindCount> counts,
                         store_.Count(CallContext::WithTimeout(kCallTimeout)));
  std::map<std::string, std::pair<int64_t, int64_t>> of;
  for (const KindCount& one : counts)
    (one.state == State::kWaiting ? of[one.kind].first : of[one.kind].second) = one.count;
  for (const auto& [kind, metrics] : kind_metrics_) {
    metrics.waiting->Set(static_cast<double>(of[kind].first));
    metrics.running->Set(static_cast<double>(of[kind].second));
  }
  return absl::OkStatus();
}

absl::Status Runner::RenewLeases() {
  std::vector<std::shared_ptr<Run>> runs;
  {
    absl::MutexLock lock(&mutex_);
    for (const auto& run : runs_) {
      if (run->why() != Interrupt::kLost) runs.push_back(run);
    }
  }
  if (runs.empty()) return absl::OkStatus();
  std::vector<int64_t> ids;
  std::vector<std::string> progress;
  for (const auto& run : runs) {
    ids.push_back(run->lease.id);
    progress.push_back(run->context.Progress());
  }
  const absl::Time asked = absl::Now();
  SALDO_ASSIGN_OR_RETURN(
      const std::vector<int64_t> kept,
      store_.Renew(CallContext::WithTimeout(std::min(kCallTimeout, config_.lease / 4)), owner_, ids,
                   progress, config_.lease));
  for (const auto& run : runs) {
    if (std::find(kept.begin(), kept.end(), run->lease.id) != kept.end()) {
      absl::MutexLock lock(&run->mutex);
      run->lease_until = asked + config_.lease;
      continue;
    }
    // One that has just ended is not lost, and does not notice.
    InterruptRun(*run, Interrupt::kLost);
  }
  return absl::OkStatus();
}

absl::Status Runner::ClaimAll() {
  while (true) {
    {
      absl::MutexLock lock(&mutex_);
      if (stopping_ || static_cast<int>(runs_.size()) >= config_.workers) return absl::OkStatus();
    }
    const absl::Time asked = absl::Now();
    SALDO_ASSIGN_OR_RETURN(
        std::optional<Claimed> claimed,
        store_.Claim(CallContext::WithTimeout(kCallTimeout), names_, owner_, config_.lease));
    if (!claimed.has_value()) return absl::OkStatus();
    const Kinds::Entry& entry = *kinds_.Find(claimed->task.kind);
    auto run = std::make_shared<Run>(*std::move(claimed), entry, owner_, asked + config_.lease);
    {
      absl::MutexLock lock(&mutex_);
      runs_.insert(run);
    }
    // The queue has room for all workers, and is closed after this loop only.
    queue_.Push(std::move(run));
  }
}

absl::Duration Runner::Pause() {
  const absl::Time now = absl::Now();
  absl::Time until = now + config_.poll_interval;
  absl::MutexLock lock(&mutex_);
  for (const auto& run : runs_) {
    if (run->why() == Interrupt::kNone) until = std::min(until, run->deadline);
  }
  if (!runs_.empty()) until = std::min(until, std::max(next_renewal_, now + kStoreRetryWait));
  return until - now;
}

void Runner::InterruptRuns() {
  const absl::Time now = absl::Now();
  absl::MutexLock lock(&mutex_);
  for (const auto& run : runs_) {
    run->mutex.Lock();
    // Early enough for the handler to end before another runner may take the task.
    const bool lost = now > run->lease_until - config_.lease / 5;
    run->mutex.Unlock();
    if (lost) {
      InterruptRun(*run, Interrupt::kLost);
    } else if (stopping_) {
      InterruptRun(*run, Interrupt::kStop);
    } else if (now >= run->deadline) {
      InterruptRun(*run, Interrupt::kTimeout);
    }
  }
}

void Runner::InterruptRun(Run& run, Interrupt why) {
  {
    absl::MutexLock lock(&run.mutex);
    if (run.interrupt != Interrupt::kNone) return;
    run.interrupt = why;
  }
  run.context.Interrupt();
}

void Runner::Work() {
  while (std::optional<std::shared_ptr<Run>> run = queue_.Pop()) {
    Execute(**run);
    {
      absl::MutexLock lock(&mutex_);
      runs_.erase(*run);
    }
    tick_.Wake();
  }
}

void Runner::Execute(Run& run) {
  trace::Span span(tracer_, absl::StrCat("task ", run.kind.name), trace::Kind::kInternal,
                   std::nullopt);
  // Who added the task may have ended long ago, so its span is no parent of this one.
  if (const auto origin = trace::SpanContext::FromTraceparent(run.traceparent)) {
    span.AddLink(*origin);
  }
  span.SetAttribute("saldo.task.id", run.lease.id);
  span.SetAttribute("saldo.task.attempt", static_cast<int64_t>(run.lease.attempt));
  const absl::Time begin = absl::Now();
  const absl::StatusOr<std::string> result = Handle(run);
  span.SetStatus(result.status());
  kind_metrics_.find(run.kind.name)
      ->second.seconds->Observe(absl::ToDoubleSeconds(absl::Now() - begin));
  static constexpr const char* kResults[] = {"done", "retried", "failed", "returned", "lost"};
  const Outcome outcome = Settle(run, result);
  const char* name = kResults[static_cast<int>(outcome)];
  registry_
      .AddCounter("saldo_tasks_runs_total", "Runs of tasks that ended here.",
                  {{"kind", run.kind.name}, {"result", name}})
      .Increment();
  const bool bad = outcome == Outcome::kRetried || outcome == Outcome::kFailed;
  log::Write(bad ? log::Level::kWarning : log::Level::kDebug, "a task's run ended",
             {{"id", run.lease.id},
              {"kind", run.kind.name},
              {"key", run.context.key()},
              {"attempt", run.lease.attempt},
              {"result", name},
              {"reason", result.status()}});
}

absl::StatusOr<std::string> Runner::Handle(Run& run) {
  if (run.why() != Interrupt::kNone) return absl::CancelledError("interrupted before it began");
  // An exception from a library must cost one run, not the process.
  try {
    return run.kind.handler(run.context);
  } catch (const std::exception& error) {
    return absl::InternalError(absl::StrCat("exception: ", error.what()));
  }
}

Runner::Outcome Runner::Settle(Run& run, const absl::StatusOr<std::string>& result) {
  const Interrupt why = run.why();
  Outcome outcome = Outcome::kRetried;
  if (result.ok()) {
    outcome = Outcome::kDone;
  } else if (why == Interrupt::kLost) {
    return Outcome::kLost;
  } else if (why == Interrupt::kStop) {
    outcome = Outcome::kReturned;
  } else if (absl::IsInvalidArgument(result.status()) || run.lease.attempt >= run.max_attempts) {
    outcome = Outcome::kFailed;
  }
  while (true) {
    const absl::StatusOr<bool> stored = Store(run, outcome, result);
    if (stored.ok()) return *stored ? outcome : Outcome::kLost;
    log::Warning("the end of a task's run is not stored",
                 {{"id", run.lease.id}, {"reason", stored.status()}});
    // The lease is renewed meanwhile, if the database is there.
    if (run.why() == Interrupt::kLost || !stop_.WaitFor(kStoreRetryWait)) return Outcome::kLost;
  }
}

absl::StatusOr<bool> Runner::Store(Run& run, Outcome outcome,
                                   const absl::StatusOr<std::string>& result) {
  const CallContext context = CallContext::WithTimeout(kCallTimeout);
  if (outcome == Outcome::kDone) return store_.Finish(context, run.lease, *result);
  if (outcome == Outcome::kReturned) return store_.Return(context, run.lease);
  std::string error = result.status().ToString(absl::StatusToStringMode::kWithNoExtraData);
  if (run.why() == Interrupt::kTimeout) {
    error = absl::StrCat("timed out after ", absl::FormatDuration(run.kind.timeout), ": ", error);
  }
  if (outcome == Outcome::kFailed) return store_.Fail(context, run.lease, error);
  double draw = 0;
  {
    absl::MutexLock lock(&mutex_);
    draw = absl::Uniform(random_, 0.0, 1.0);
  }
  return store_.Retry(context, run.lease, error,
                      RetryWait(run.lease.attempt, config_.retry_min, config_.retry_max, draw));
}

}  // namespace saldo::tasks
