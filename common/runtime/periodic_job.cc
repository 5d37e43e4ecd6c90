#include "common/runtime/periodic_job.h"

#include <algorithm>
#include <exception>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/observability/log.h"

namespace saldo::runtime {

PeriodicJob::PeriodicJob(std::string name, const PeriodicJobOptions& options, RunOnce run_once)
    : name_(std::move(name)), options_(options), run_once_(std::move(run_once)) {}

absl::Status PeriodicJob::Start() {
  if (options_.interval <= absl::ZeroDuration() || options_.backoff_min <= absl::ZeroDuration() ||
      options_.backoff_max < options_.backoff_min) {
    return absl::InvalidArgumentError(
        absl::StrCat("job ", name_, ": interval ", absl::FormatDuration(options_.interval),
                     " and backoff ", absl::FormatDuration(options_.backoff_min), " to ",
                     absl::FormatDuration(options_.backoff_max), " must be positive and in order"));
  }
  thread_ = Thread(name_, [this] { Loop(); });
  return absl::OkStatus();
}

void PeriodicJob::Stop() {
  stop_.Stop();
  thread_.Join();
}

void PeriodicJob::Loop() {
  while (!stop_.stopped()) {
    const absl::StatusOr<bool> more = RunGuarded();
    if (!more.ok()) {
      // A run that a stop interrupted has not failed.
      if (stop_.stopped()) return;
      NoteFailure(more.status());
      if (!WaitAfterFailure()) return;
      continue;
    }
    NoteSuccess();
    if (!*more && !stop_.WaitFor(options_.interval)) return;
  }
}

absl::StatusOr<bool> PeriodicJob::RunGuarded() {
  // The last line of defence: an exception from a library must cost one run, not the process.
  try {
    return run_once_(stop_);
  } catch (const std::exception& error) {
    return absl::InternalError(absl::StrCat("exception: ", error.what()));
  }
}

void PeriodicJob::NoteFailure(const absl::Status& status) {
  if (failures_++ == 0) failing_since_ = absl::Now();
  std::string text = status.ToString(absl::StatusToStringMode::kWithNoExtraData);
  if (text == logged_failure_) return;
  log::Warning("job failed, will try again",
               {{"job", name_}, {"error", text}, {"failures", failures_}});
  logged_failure_ = std::move(text);
}

void PeriodicJob::NoteSuccess() {
  if (failures_ == 0) return;
  log::Info("job works again",
            {{"job", name_}, {"failures", failures_}, {"after", absl::Now() - failing_since_}});
  failures_ = 0;
  logged_failure_.clear();
}

bool PeriodicJob::WaitAfterFailure() {
  absl::Duration bound = options_.backoff_min;
  for (int i = 1; i < failures_ && bound < options_.backoff_max; ++i) bound *= 2;
  bound = std::min(bound, options_.backoff_max);
  const absl::Time until = absl::Now() + bound * absl::Uniform(random_, 0.5, 1.0);
  while (absl::Now() < until) {
    if (!stop_.WaitFor(until - absl::Now())) return false;
  }
  return !stop_.stopped();
}

}  // namespace saldo::runtime
