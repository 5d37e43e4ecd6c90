// `saldo task` as a user meets it, with a real server.
#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "common/devstack/child_process.h"
#include "common/devstack/files.h"
#include "tests/server/tasks/tasks_test_util.h"
#include "tests/support/test_env.h"

namespace saldo::cli {
namespace {

struct Outcome {
  int code;
  std::string text;
};

Outcome Saldo(std::vector<std::string> arguments) {
  testing::TempDir dir;
  devstack::ChildOptions options;
  options.argv = {*devstack::SiblingProgram("saldo"), "task"};
  options.argv.insert(options.argv.end(), arguments.begin(), arguments.end());
  options.log_file = dir.File("log");
  auto child = devstack::ChildProcess::Start(std::move(options));
  REQUIRE(child.ok());
  const auto ended = (*child)->Wait(absl::Seconds(60));
  REQUIRE(ended.ok());
  return {ended->code, *devstack::ReadFile(dir.File("log"))};
}

// On a database, with a server that has the kinds "good" and "bad".
struct Fixture : tasks::Database {
  tasks::Program program{*this};
  std::string dsn_option = "--postgres.dsn=" + dsn();

  Fixture() {
    program.kinds.Add(tasks::MakeKind("good", [](tasks::TaskContext& task) {
      return absl::StatusOr<std::string>("did\n" + task.payload());
    }));
    program.kinds.Add(tasks::MakeKind("bad", [](tasks::TaskContext&) {
      return absl::StatusOr<std::string>(absl::UnavailableError("no way"));
    }));
  }
};

}  // namespace

TEST_CASE("a real server does what saldo task run asks for") {
  testing::MigratedDatabase database;
  testing::TempDir dir;
  const std::string dsn = "--postgres.dsn=" + database.dsn();
  const Outcome early = Saldo({"run", "partitions", dsn});
  CHECK(early.code == 1);
  CHECK_THAT(early.text, Catch::Contains("no saldo-server has been started"));

  devstack::ChildOptions options;
  options.argv = {*devstack::SiblingProgram("saldo-server"),
                  dsn,
                  "--grpc.address=127.0.0.1",
                  "--grpc.port=0",
                  "--metrics.address=127.0.0.1",
                  "--metrics.port=0",
                  "--status.address=127.0.0.1",
                  "--status.port=0",
                  "--jobs.tasks.poll_interval=50ms"};
  options.log_file = dir.File("server");
  auto server = devstack::ChildProcess::Start(std::move(options));
  REQUIRE(server.ok());
  REQUIRE(testing::Eventually(absl::Seconds(30), [&] {
    return database.Query("SELECT count(*) FROM task_kinds WHERE kind = 'partitions'") == "1";
  }));

  const Outcome kinds = Saldo({"kinds", dsn});
  CHECK(kinds.code == 0);
  CHECK_THAT(kinds.text, Catch::Contains("\npartitions ") && Catch::Contains("  * * * * *  ") &&
                             Catch::Contains("\ntask_cleanup ") &&
                             Catch::Contains("  17 * * * *  "));
  const Outcome run = Saldo({"run", "partitions", "--wait", "--timeout=30s", dsn});
  INFO(run.text);
  CHECK(run.code == 0);
  CHECK_THAT(run.text, Catch::Contains("state        done") && Catch::Contains("up to date"));
  CHECK(database.Query("SELECT state FROM tasks WHERE kind = 'partitions' LIMIT 1") == "done");
  const Outcome list = Saldo({"list", "--kind=partitions", "--state=done", dsn});
  CHECK(list.code == 0);
  CHECK_THAT(list.text, Catch::Contains("result or last error") && Catch::Contains("up to date"));
}

TEST_CASE("run waits for the end, and fails when the task did") {
  Fixture fixture;
  REQUIRE(fixture.program.runner.Start().ok());
  const Outcome good =
      Saldo({"run", "good", "--key=the key", "--payload={\"n\": 1}", "--wait", fixture.dsn_option});
  CHECK(good.code == 0);
  CHECK_THAT(good.text, Catch::StartsWith("task 1 is added\nid           1\n") &&
                            Catch::Contains("key          the key\n") &&
                            Catch::Contains("attempts     1 of 3\n") &&
                            Catch::Contains("payload      {\"n\": 1}\n") &&
                            Catch::Contains("result       did {\"n\": 1}\n"));
  const Outcome bad = Saldo({"run", "bad", "--wait", fixture.dsn_option});
  CHECK(bad.code == 1);
  CHECK_THAT(bad.text, Catch::Contains("state        failed\n") &&
                           Catch::Contains("attempts     3 of 3\n") &&
                           Catch::Contains("last error   UNAVAILABLE: no way\n"));

  CHECK(fixture.Becomes(1, "done"));
  const Outcome list = Saldo({"list", fixture.dsn_option});
  CHECK(list.code == 0);
  const size_t newer = list.text.find("\n2   bad            failed  3/3 "),
               older = list.text.find("\n1   good  the key  done    1/3 ");
  INFO(list.text);
  CHECK(newer != std::string::npos);
  CHECK(older != std::string::npos);
  CHECK(newer < older);
  CHECK_THAT(Saldo({"list", "--limit=1", fixture.dsn_option}).text, !Catch::Contains("the key"));
  CHECK(Saldo({"list", "--state=waiting", fixture.dsn_option}).text == "no tasks\n");
  CHECK(Saldo({"show", "1", fixture.dsn_option}).text ==
        good.text.substr(good.text.find('\n') + 1));
  const Outcome none = Saldo({"show", "99", fixture.dsn_option});
  CHECK(none.code == 1);
  CHECK_THAT(none.text, Catch::Contains("there is no task 99"));
}

TEST_CASE("run tells of a task that waits already, and of one that nobody runs") {
  Fixture fixture;
  REQUIRE(fixture.store().Register(tasks::Soon(), fixture.program.kinds).ok());
  CHECK(Saldo({"run", "good", fixture.dsn_option}).text == "task 1 is added\n");
  const Outcome again = Saldo({"run", "good", fixture.dsn_option});
  CHECK(again.code == 0);
  CHECK(again.text == "task 1 was waiting already, and is brought forward\n");
  const Outcome differs = Saldo({"run", "good", "--payload=p", fixture.dsn_option});
  CHECK(differs.code == 1);
  CHECK_THAT(differs.text, Catch::Contains("task 1 of this kind and key waits with another"));
  const Outcome waited = Saldo({"run", "good", "--wait", "--timeout=300ms", fixture.dsn_option});
  CHECK(waited.code == 1);
  CHECK_THAT(waited.text, Catch::Contains("task 1 is still waiting; does a saldo-server with"));
}

TEST_CASE("what saldo task does not take is said") {
  Fixture fixture;
  REQUIRE(fixture.store().Register(tasks::Soon(), fixture.program.kinds).ok());
  struct Line {
    std::vector<std::string> arguments;
    std::string reason;
  };
  const std::vector<Line> lines = {
      {{"start"}, "'start' is neither list nor show nor kinds nor run"},
      {{"run"}, "run takes a KIND"},
      {{"show"}, "show takes an ID"},
      {{"show", "x"}, "'x' is not the id of a task"},
      {{"list", "x"}, "'x' is one too many"},
      {{"list", "--wait"}, "list does not take --wait"},
      {{"run", "good", "--limit=2"}, "run does not take --limit"},
      {{"list", "--state=idle"}, "'idle' is no state"},
      {{"list", "--limit=0"}, "limit"},
      {{"list", "--kind=ugly"}, "there is no kind 'ugly'; there are bad, good, task_cleanup"},
      {{"run", "ugly"}, "there is no kind 'ugly'; there are bad, good, task_cleanup"},
      {{"run", "good", "--key=" + std::string(201, 'k')}, "a key has up to 200 characters"},
      {{"run", "good", "--payload=" + std::string(8193, 'p')}, "a payload has up to 8192 bytes"},
  };
  for (Line line : lines) {
    line.arguments.push_back(fixture.dsn_option);
    const Outcome outcome = Saldo(line.arguments);
    INFO(outcome.text);
    CHECK(outcome.code == 2);
    CHECK_THAT(outcome.text, Catch::Contains(line.reason));
  }
  CHECK(fixture.Query("SELECT count(*) FROM tasks") == "0");
}

}  // namespace saldo::cli
