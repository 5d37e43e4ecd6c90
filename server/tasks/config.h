// How tasks are run; the section `jobs.tasks` of the configuration.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "common/config/binder.h"

namespace saldo::tasks {

struct ScheduleConfig {
  std::string kind;
  std::string cron;  // "off": none
};

struct TasksConfig {
  // Whether this program runs tasks; it can add them in any case.
  bool enabled = true;
  int workers = 4;  // tasks that run at once here
  // How long a task that another program added may wait to be noticed.
  absl::Duration poll_interval = absl::Seconds(1);
  // How long after a crash of its runner a task is taken again. Renewed every third of it.
  absl::Duration lease = absl::Seconds(30);
  // The wait after a failed run: the minimum, doubled with each further attempt, at most the
  // maximum; drawn between half of that and all of it.
  absl::Duration retry_min = absl::Seconds(1);
  absl::Duration retry_max = absl::Minutes(10);
  // Finished tasks are removed when they are older, or more than so many.
  absl::Duration keep = absl::Hours(7 * 24);
  int64_t keep_count = 100'000;
  // Instead of the kinds' own schedules.
  std::vector<ScheduleConfig> schedules;
};

void Bind(config::Binder& binder, TasksConfig& config);

}  // namespace saldo::tasks
