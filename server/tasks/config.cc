#include "server/tasks/config.h"

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "server/tasks/cron.h"

namespace saldo::tasks {

void Bind(config::Binder& binder, TasksConfig& config) {
  binder.Bool("enabled", &config.enabled, "Run tasks here; they can be added in any case");
  binder.Int("workers", &config.workers, {.min = 1, .max = 256}, "Tasks that run at once");
  binder.Duration("poll_interval", &config.poll_interval,
                  {.min = absl::Milliseconds(10), .max = absl::Minutes(1)},
                  "How long a task of another process may wait to be noticed");
  binder.Duration("lease", &config.lease, {.min = absl::Seconds(1), .max = absl::Hours(1)},
                  "How long after a crash of its runner a task is taken again");
  binder.Duration("retry_min", &config.retry_min,
                  {.min = absl::Milliseconds(10), .max = absl::Hours(1)},
                  "The wait after a task's first failed run; doubled with each further one");
  binder.Duration("retry_max", &config.retry_max,
                  {.min = absl::Milliseconds(10), .max = absl::Hours(24)},
                  "The longest wait after a failed run");
  binder.Duration("keep", &config.keep, {.min = absl::Minutes(1), .max = absl::Hours(24 * 365)},
                  "How long finished tasks are kept");
  binder.Int("keep_count", &config.keep_count, {.min = 100, .max = 1'000'000},
             "How many finished tasks are kept at the most");
  binder.List(
      "schedules", &config.schedules, {.min = 0, .max = 64},
      [](config::Binder& item, ScheduleConfig& schedule) {
        item.String("kind", &schedule.kind, {.min = 1, .max = 63}, "A kind of task");
        item.String("cron", &schedule.cron, {.min = 1, .max = 200},
                    "Minute, hour, day of month, month, day of week, in UTC; or: off");
      },
      "Schedules instead of those that kinds have by themselves");
  binder.Check([&config] {
    if (config.retry_min <= config.retry_max) return absl::OkStatus();
    return absl::InvalidArgumentError("retry_min must not exceed retry_max");
  });
  binder.Check([&config] {
    for (const ScheduleConfig& schedule : config.schedules) {
      if (schedule.cron == "off") continue;
      const absl::Status status = Cron::Parse(schedule.cron).status();
      if (!status.ok()) {
        return absl::InvalidArgumentError(
            absl::StrCat("schedules: ", schedule.kind, ": ", std::string(status.message())));
      }
    }
    return absl::OkStatus();
  });
}

}  // namespace saldo::tasks
