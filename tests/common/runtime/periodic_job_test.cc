#include "common/runtime/periodic_job.h"

#include <atomic>
#include <catch2/catch.hpp>
#include <stdexcept>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "tests/support/capture_log.h"

namespace saldo::runtime {
namespace {

constexpr absl::Duration kLong = absl::Hours(1);
constexpr absl::Duration kPatience = absl::Seconds(20);

// Counts runs and lets the test wait for a number of them.
class Runs {
 public:
  int Add() {
    absl::MutexLock lock(&mutex_);
    times_.push_back(absl::Now());
    return static_cast<int>(times_.size());
  }
  bool Reach(int count) {
    absl::MutexLock lock(&mutex_);
    auto reached = [this, count]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
      return static_cast<int>(times_.size()) >= count;
    };
    return mutex_.AwaitWithTimeout(absl::Condition(&reached), kPatience);
  }
  std::vector<absl::Time> times() {
    absl::MutexLock lock(&mutex_);
    return times_;
  }

 private:
  absl::Mutex mutex_;
  std::vector<absl::Time> times_ ABSL_GUARDED_BY(mutex_);
};

TEST_CASE("runs at once while there is more, then once an interval") {
  Runs runs;
  PeriodicJob job("test", {.interval = kLong},
                  [&](StopSignal&) -> absl::StatusOr<bool> { return runs.Add() < 5; });
  REQUIRE(job.Start().ok());
  REQUIRE(runs.Reach(5));
  job.Stop();
  CHECK(runs.times().size() == 5);
}

TEST_CASE("runs again after the interval") {
  Runs runs;
  PeriodicJob job("test", {.interval = absl::Milliseconds(20)},
                  [&](StopSignal&) -> absl::StatusOr<bool> { return runs.Add() < 0; });
  REQUIRE(job.Start().ok());
  REQUIRE(runs.Reach(3));
  job.Stop();
  const auto times = runs.times();
  CHECK(times[2] - times[0] >= absl::Milliseconds(40));
}

TEST_CASE("Wake cuts the interval") {
  Runs runs;
  PeriodicJob job("test", {.interval = kLong},
                  [&](StopSignal&) -> absl::StatusOr<bool> { return runs.Add() < 0; });
  REQUIRE(job.Start().ok());
  REQUIRE(runs.Reach(1));
  job.Wake();
  CHECK(runs.Reach(2));
}

TEST_CASE("a wake during a run is not lost") {
  Runs runs;
  absl::Notification in_run, go_on;
  PeriodicJob job("test", {.interval = kLong}, [&](StopSignal&) -> absl::StatusOr<bool> {
    if (runs.Add() == 1) {
      in_run.Notify();
      go_on.WaitForNotificationWithTimeout(kPatience);
    }
    return false;
  });
  REQUIRE(job.Start().ok());
  REQUIRE(in_run.WaitForNotificationWithTimeout(kPatience));
  job.Wake();
  go_on.Notify();
  CHECK(runs.Reach(2));
}

TEST_CASE("waits after failures grow, stay below the maximum and are not cut by Wake") {
  Runs runs;
  PeriodicJob job("test",
                  {.interval = absl::Milliseconds(1),
                   .backoff_min = absl::Milliseconds(20),
                   .backoff_max = absl::Milliseconds(80)},
                  [&](StopSignal& stop) -> absl::StatusOr<bool> {
                    runs.Add();
                    stop.Wake();
                    return absl::UnavailableError("away");
                  });
  REQUIRE(job.Start().ok());
  REQUIRE(runs.Reach(6));
  job.Stop();
  const auto times = runs.times();
  const double expected_ms[] = {20, 40, 80, 80, 80};
  for (size_t i = 0; i + 1 < 6; ++i) {
    INFO("wait " << i);
    CHECK(times[i + 1] - times[i] >= absl::Milliseconds(expected_ms[i] / 2));
  }
}

TEST_CASE("a failure is logged once per change of its text, and its end once") {
  Runs runs;
  testing::CaptureLog log;
  PeriodicJob job("failing",
                  {.interval = kLong,
                   .backoff_min = absl::Milliseconds(1),
                   .backoff_max = absl::Milliseconds(1)},
                  [&](StopSignal&) -> absl::StatusOr<bool> {
                    const int run = runs.Add();
                    if (run <= 5) return absl::UnavailableError("first_reason");
                    if (run <= 8) return absl::InternalError("second_reason");
                    return run < 10;
                  });
  REQUIRE(job.Start().ok());
  REQUIRE(runs.Reach(10));
  job.Stop();
  const std::string text = log.Text();
  INFO(text);
  CHECK(testing::CountOf(text, "first_reason") == 1);
  CHECK(testing::CountOf(text, "second_reason") == 1);
  CHECK(testing::CountOf(text, "job works again") == 1);
}

TEST_CASE("an exception is a failed run") {
  Runs runs;
  testing::CaptureLog log;
  PeriodicJob job("throwing", {.interval = kLong, .backoff_min = absl::Milliseconds(1)},
                  [&](StopSignal&) -> absl::StatusOr<bool> {
                    if (runs.Add() == 1) throw std::runtime_error("thrown_text");
                    return false;
                  });
  REQUIRE(job.Start().ok());
  REQUIRE(runs.Reach(2));
  job.Stop();
  CHECK(testing::CountOf(log.Text(), "thrown_text") == 1);
}

TEST_CASE("Stop interrupts a wait of the run, the interval and the backoff") {
  const int kind = GENERATE(0, 1, 2);
  Runs runs;
  PeriodicJob job("test", {.interval = kLong, .backoff_min = kLong, .backoff_max = kLong},
                  [&](StopSignal& stop) -> absl::StatusOr<bool> {
                    runs.Add();
                    if (kind == 0) stop.WaitFor(kLong);
                    if (kind == 1) return absl::InternalError("always");
                    return false;
                  });
  REQUIRE(job.Start().ok());
  REQUIRE(runs.Reach(1));
  const absl::Time begin = absl::Now();
  job.Stop();
  job.Stop();
  CHECK(absl::Now() - begin < kPatience);
}

TEST_CASE("Stop without Start, and Start with options that make no sense") {
  PeriodicJob job("test", {.interval = absl::ZeroDuration()},
                  [](StopSignal&) -> absl::StatusOr<bool> { return false; });
  CHECK(job.Start().code() == absl::StatusCode::kInvalidArgument);
  job.Stop();
}

}  // namespace
}  // namespace saldo::runtime
