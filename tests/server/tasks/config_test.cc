#include "server/tasks/config.h"

#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "common/config/load.h"
#include "common/devstack/files.h"
#include "tests/support/test_env.h"

namespace saldo::tasks {
namespace {

config::LoadResult Load(std::vector<const char*> flags, TasksConfig* tasks) {
  flags.insert(flags.begin(), "program");
  const char* const no_environment[] = {nullptr};
  return config::Load({.name = "program"}, static_cast<int>(flags.size()), flags.data(),
                      no_environment, [&](config::Binder& binder) { Bind(binder, *tasks); });
}

config::LoadResult LoadFile(const std::string& yaml, TasksConfig* tasks) {
  testing::TempDir dir;
  REQUIRE(devstack::WriteFile(dir.File("tasks.yaml"), yaml).ok());
  const std::string flag = "--config=" + dir.File("tasks.yaml");
  return Load({flag.c_str()}, tasks);
}

}  // namespace

TEST_CASE("how tasks are run is configured") {
  TasksConfig tasks;
  CHECK(Load({}, &tasks).run);
  CHECK(tasks.enabled);
  const config::LoadResult result =
      Load({"--enabled=false", "--workers=2", "--poll_interval=3s", "--lease=9s", "--retry_min=2s",
            "--retry_max=4s", "--keep=1h", "--keep_count=100"},
           &tasks);
  INFO((result.faults.empty() ? "" : result.faults[0]));
  REQUIRE(result.run);
  CHECK_FALSE(tasks.enabled);
  CHECK(tasks.workers == 2);
  CHECK(tasks.poll_interval == absl::Seconds(3));
  CHECK(tasks.lease == absl::Seconds(9));
  CHECK(tasks.retry_min == absl::Seconds(2));
  CHECK(tasks.retry_max == absl::Seconds(4));
  CHECK(tasks.keep == absl::Hours(1));
  CHECK(tasks.keep_count == 100);
  const config::LoadResult crossed = Load({"--retry_min=10s", "--retry_max=4s"}, &tasks);
  REQUIRE(crossed.faults.size() == 1);
  CHECK_THAT(crossed.faults[0], Catch::Contains("retry_min must not exceed retry_max"));
}

TEST_CASE("schedules are checked when they are read") {
  TasksConfig tasks;
  const config::LoadResult good = LoadFile(
      "schedules:\n  - kind: partitions\n    cron: '*/5 * * * *'\n  - kind: other\n    cron: "
      "'off'\n",
      &tasks);
  INFO((good.faults.empty() ? "" : good.faults[0]));
  REQUIRE(good.run);
  REQUIRE(tasks.schedules.size() == 2);
  CHECK(tasks.schedules[0].kind == "partitions");
  CHECK(tasks.schedules[0].cron == "*/5 * * * *");
  CHECK(tasks.schedules[1].cron == "off");
  const config::LoadResult bad =
      LoadFile("schedules:\n  - kind: partitions\n    cron: '61 * * * *'\n", &tasks);
  REQUIRE(bad.faults.size() == 1);
  CHECK_THAT(bad.faults[0], Catch::Contains("schedules: partitions: minute '61'"));
}

}  // namespace saldo::tasks
