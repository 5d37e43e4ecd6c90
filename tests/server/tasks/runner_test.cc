#include "server/tasks/runner.h"

#include <atomic>
#include <catch2/catch.hpp>
#include <set>

#include "absl/strings/str_cat.h"
#include "tests/server/tasks/tasks_test_util.h"

namespace saldo::tasks {
namespace {

using testing::Eventually;

std::string Sample(Database& database, const std::string& sample) {
  const std::string text = database.registry().Text();
  const size_t at = text.find("\n" + sample + " ");
  if (at == std::string::npos) return "";
  const size_t value = at + sample.size() + 2;
  return text.substr(value, text.find('\n', value) - value);
}

// Counts how many run at once, for each key.
class Gate {
 public:
  absl::StatusOr<std::string> Run(TaskContext& task) {
    {
      absl::MutexLock lock(&mutex_);
      if (!running_.insert(task.key()).second) overlaps_++;
      most_ = std::max(most_, running_.size());
      runs_++;
    }
    task.stop().WaitFor(absl::Milliseconds(5));
    absl::MutexLock lock(&mutex_);
    running_.erase(task.key());
    return std::string("ran");
  }
  int overlaps() {
    absl::MutexLock lock(&mutex_);
    return overlaps_;
  }
  int runs() {
    absl::MutexLock lock(&mutex_);
    return runs_;
  }
  size_t most() {
    absl::MutexLock lock(&mutex_);
    return most_;
  }

 private:
  absl::Mutex mutex_;
  std::set<std::string> running_ ABSL_GUARDED_BY(mutex_);
  size_t most_ ABSL_GUARDED_BY(mutex_) = 0;
  int overlaps_ ABSL_GUARDED_BY(mutex_) = 0;
  int runs_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace

TEST_CASE("the wait before another attempt doubles up to its bound") {
  const auto wait = [](int attempt, double draw) {
    return RetryWait(attempt, absl::Seconds(1), absl::Seconds(60), draw);
  };
  CHECK(wait(1, 1.0) == absl::Seconds(1));
  CHECK(wait(1, 0.0) == absl::Milliseconds(500));
  CHECK(wait(2, 1.0) == absl::Seconds(2));
  CHECK(wait(6, 1.0) == absl::Seconds(32));
  CHECK(wait(7, 1.0) == absl::Seconds(60));
  CHECK(wait(100, 0.0) == absl::Seconds(30));
  CHECK(wait(2'000'000'000, 0.5) == absl::Seconds(45));
}

TEST_CASE("a task runs with its payload, and its result is kept") {
  Database database;
  Program program(database);
  program.kinds.Add(MakeKind("echo", [](TaskContext& task) -> absl::StatusOr<std::string> {
    return absl::StrCat(task.id(), " ", task.kind(), " ", task.key(), " ", task.payload(), " ",
                        task.attempt(), " ", task.context().remaining() > absl::Minutes(4),
                        std::string("\0\xff", 2));
  }));
  REQUIRE(program.runner.Start().ok());
  const int64_t id = database.Enqueue("echo", "the key", "{\"a\": 1}");
  REQUIRE(database.Becomes(id, "done"));
  const Task task = database.store().Get(Soon(), id).value();
  CHECK(task.result == absl::StrCat(id, " echo the key {\"a\": 1} 1 1 \xEF\xBF\xBD"));
  CHECK(task.attempts == 1);
  CHECK(task.max_attempts == 3);
  CHECK(task.last_error.empty());
  REQUIRE(task.started_at.has_value());
  REQUIRE(task.finished_at.has_value());
  CHECK(task.created_at <= *task.started_at);
  CHECK(*task.started_at <= *task.finished_at);
  CHECK(Eventually(kPatience, [&] {
    return Sample(database, "saldo_tasks_runs_total{kind=\"echo\",result=\"done\"}") == "1";
  }));
  CHECK(Sample(database, "saldo_tasks_run_seconds_count{kind=\"echo\"}") == "1");
}

TEST_CASE("operators see how many tasks wait and run") {
  Database database;
  Program program(database);
  program.kinds.Add(MakeKind("echo", [](TaskContext&) { return std::string(); }));
  REQUIRE(database.store().Register(Soon(), program.kinds).ok());
  for (const char* key : {"a", "b", "c"}) {
    REQUIRE(database.store().Enqueue(Soon(), {"echo", key, "", absl::Now() + kPatience * 10}).ok());
  }
  database.Query(
      "UPDATE tasks SET state = 'running', lease_owner = 'x', lease_until = now() + interval '1 "
      "h' WHERE key = 'c'");
  REQUIRE(program.runner.Start().ok());
  CHECK(Eventually(kPatience, [&] {
    return Sample(database, "saldo_tasks_waiting{kind=\"echo\"}") == "2" &&
           Sample(database, "saldo_tasks_running{kind=\"echo\"}") == "1";
  }));
}

TEST_CASE("two runners never run one key twice at once, and miss nothing") {
  Database database;
  Gate gate;
  Program one(database), other(database);
  for (Program* program : {&one, &other}) {
    program->kinds.Add(MakeKind("gate", [&](TaskContext& task) { return gate.Run(task); }));
    REQUIRE(program->runner.Start().ok());
  }
  std::set<int64_t> ids;
  int made = 0;
  for (int i = 0; i < 300; ++i) {
    const auto enqueued =
        database.store().Enqueue(Soon(), {"gate", absl::StrCat("key ", i % 5), "", std::nullopt});
    REQUIRE(enqueued.ok());
    made += enqueued->coalesced ? 0 : 1;
    ids.insert(enqueued->id);
    if (i % 10 == 0) (i % 20 == 0 ? one : other).runner.Wake();
  }
  CHECK(Eventually(kPatience, [&] {
    return database.Query("SELECT count(*) FROM tasks WHERE kind = 'gate' AND state <> 'done'") ==
           "0";
  }));
  CHECK(gate.overlaps() == 0);
  CHECK(gate.runs() == made);
  CHECK(static_cast<int>(ids.size()) == made);
  CHECK(made > 5);
  CHECK(gate.most() > 1);  // different keys do run at once
}

TEST_CASE("a failed run is tried again with a wait, and only so many times") {
  Database database;
  TasksConfig config = Fast();
  config.retry_min = absl::Milliseconds(200);
  config.retry_max = absl::Milliseconds(400);
  Program program(database, config);
  absl::Mutex mutex;
  std::vector<absl::Time> runs;
  program.kinds.Add(MakeKind(
      "broken",
      [&](TaskContext& task) -> absl::StatusOr<std::string> {
        absl::MutexLock lock(&mutex);
        runs.push_back(absl::Now());
        return absl::UnavailableError(
            absl::StrCat("attempt ", task.attempt(), " failed ", std::string(5'000, 'x')));
      },
      4));
  program.kinds.Add(MakeKind("hopeless", [](TaskContext&) -> absl::StatusOr<std::string> {
    return absl::InvalidArgumentError("the payload is no number");
  }));
  std::atomic<int> mended{0};
  program.kinds.Add(MakeKind("mended", [&](TaskContext&) -> absl::StatusOr<std::string> {
    if (++mended < 3) throw std::runtime_error("not yet");
    return std::string("at last");
  }));
  REQUIRE(program.runner.Start().ok());
  const int64_t broken = database.Enqueue("broken"), hopeless = database.Enqueue("hopeless"),
                works = database.Enqueue("mended");
  REQUIRE(database.Becomes(broken, "failed"));
  REQUIRE(database.Becomes(works, "done"));
  REQUIRE(database.Becomes(hopeless, "failed"));

  Task task = database.store().Get(Soon(), broken).value();
  CHECK(task.attempts == 4);
  CHECK_THAT(task.last_error, Catch::StartsWith("UNAVAILABLE: attempt 4 failed xxx"));
  CHECK(task.last_error.size() == kErrorMax);
  {
    absl::MutexLock lock(&mutex);
    REQUIRE(runs.size() == 4);
    CHECK(runs[1] - runs[0] >= absl::Milliseconds(100));
    CHECK(runs[2] - runs[1] >= absl::Milliseconds(200));
    CHECK(runs[3] - runs[2] >= absl::Milliseconds(200));
  }
  task = database.store().Get(Soon(), hopeless).value();
  CHECK(task.attempts == 1);
  CHECK(task.last_error == "INVALID_ARGUMENT: the payload is no number");
  task = database.store().Get(Soon(), works).value();
  CHECK(task.attempts == 3);
  CHECK(task.result == "at last");
  CHECK(task.last_error == "INTERNAL: exception: not yet");
  CHECK(Eventually(kPatience, [&] {
    return Sample(database, "saldo_tasks_runs_total{kind=\"broken\",result=\"retried\"}") == "3" &&
           Sample(database, "saldo_tasks_runs_total{kind=\"broken\",result=\"failed\"}") == "1";
  }));
}

TEST_CASE("a run that takes too long is interrupted and counts") {
  Database database;
  Program program(database);
  Kind slow = MakeKind(
      "slow",
      [](TaskContext& task) -> absl::StatusOr<std::string> {
        while (task.stop().WaitFor(absl::Minutes(1))) continue;
        return task.context().Check();
      },
      2);
  slow.timeout = absl::Milliseconds(50);
  program.kinds.Add(slow);
  REQUIRE(program.runner.Start().ok());
  const int64_t id = database.Enqueue("slow");
  REQUIRE(database.Becomes(id, "failed"));
  CHECK_THAT(database.Query("SELECT attempts, last_error FROM tasks"),
             Catch::StartsWith("2|timed out after 50ms: CANCELLED"));
}

TEST_CASE("a stop interrupts what runs and gives it back uncounted") {
  Database database;
  std::atomic<int> begun{0};
  const auto wait = [&](TaskContext& task) -> absl::StatusOr<std::string> {
    ++begun;
    while (task.stop().WaitFor(absl::Minutes(1))) continue;
    return absl::CancelledError("told to end");
  };
  auto first = std::make_unique<Program>(database);
  first->kinds.Add(MakeKind("wait", wait));
  REQUIRE(first->runner.Start().ok());
  const int64_t id = database.Enqueue("wait", "a"), second = database.Enqueue("wait", "b");
  REQUIRE(Eventually(kPatience, [&] { return begun == 2; }));
  const absl::Time begin = absl::Now();
  first->runner.Stop();
  CHECK(absl::Now() - begin < absl::Seconds(10));
  first.reset();
  CHECK(database.Query("SELECT state, attempts, lease_owner IS NULL, last_error IS NULL FROM tasks "
                       "ORDER BY id") == "waiting|0|t|t\nwaiting|0|t|t");

  Program next(database);
  next.kinds.Add(MakeKind("wait", [](TaskContext& task) -> absl::StatusOr<std::string> {
    return absl::StrCat("attempt ", task.attempt());
  }));
  REQUIRE(next.runner.Start().ok());
  CHECK(database.Becomes(id, "done"));
  CHECK(database.Becomes(second, "done"));
  CHECK(database.Query("SELECT DISTINCT result FROM tasks") == "attempt 1");
}

TEST_CASE("the task of a runner that vanished is taken again after its lease") {
  Database database;
  Program program(database);
  program.kinds.Add(MakeKind("work", [](TaskContext& task) -> absl::StatusOr<std::string> {
    return absl::StrCat("attempt ", task.attempt());
  }));
  REQUIRE(program.runner.Start().ok());
  const auto leave = [&](const std::string& key, int attempts, const std::string& lease_until) {
    return database.Number(
        "INSERT INTO tasks (kind, key, payload, state, run_at, attempts, max_attempts, started_at, "
        "lease_owner, lease_until) VALUES ('work', '" +
        key + "', '', 'running', now(), " + std::to_string(attempts) +
        ", 3, now(), 'host:1:aa', clock_timestamp() + interval '" + lease_until +
        "') RETURNING id");
  };
  const int64_t crashed = leave("crashed", 1, "-1 s"), last = leave("last", 3, "-1 s"),
                held = leave("held", 1, "1 h");
  const int64_t behind = database.Enqueue("work", "held");
  REQUIRE(database.Becomes(crashed, "done"));
  CHECK(database.store().Get(Soon(), crashed).value().result == "attempt 2");
  REQUIRE(database.Becomes(last, "failed"));
  CHECK(database.store().Get(Soon(), last).value().last_error ==
        "the runner host:1:aa vanished during the run");
  // The one whose lease holds is left alone, and keeps its key.
  CHECK(database.State(held) == "running");
  CHECK(database.State(behind) == "waiting");
  database.Query("UPDATE tasks SET lease_until = now() - interval '1 s' WHERE id = " +
                 std::to_string(held));
  CHECK(database.Becomes(held, "done"));
  CHECK(database.Becomes(behind, "done"));
}

TEST_CASE("leases are renewed while a task runs, with its progress") {
  Database database;
  TasksConfig config = Fast();
  config.lease = absl::Seconds(1);
  Program program(database, config), rival(database, config);
  std::atomic<int> runs{0};
  std::atomic<bool> release{false};
  const auto handler = [&](TaskContext& task) -> absl::StatusOr<std::string> {
    ++runs;
    task.SetProgress("half of it");
    while (!release && task.stop().WaitFor(absl::Milliseconds(10))) continue;
    return task.stop().stopped() ? absl::StatusOr<std::string>(absl::CancelledError("interrupted"))
                                 : std::string("all of it");
  };
  for (Program* one : {&program, &rival}) {
    one->kinds.Add(MakeKind("long", handler));
    REQUIRE(one->runner.Start().ok());
  }
  const int64_t id = database.Enqueue("long");
  REQUIRE(Eventually(kPatience, [&] {
    return database.Query(
               "SELECT result, clock_timestamp() > started_at + interval '2500 ms', "
               "lease_until > clock_timestamp() FROM tasks") == "half of it|t|t";
  }));
  CHECK(runs == 1);
  release = true;
  REQUIRE(database.Becomes(id, "done"));
  CHECK(database.Query("SELECT result, attempts FROM tasks") == "all of it|1");
}

TEST_CASE("a run whose lease is gone is interrupted and changes nothing") {
  Database database;
  TasksConfig config = Fast();
  config.lease = absl::Seconds(1);
  Program program(database, config);
  std::atomic<int> begun{0}, interrupted{0};
  program.kinds.Add(MakeKind("work", [&](TaskContext& task) -> absl::StatusOr<std::string> {
    ++begun;
    while (task.stop().WaitFor(absl::Minutes(1))) continue;
    ++interrupted;
    return absl::AbortedError("interrupted");
  }));
  REQUIRE(program.runner.Start().ok());
  const int64_t id = database.Enqueue("work");
  REQUIRE(Eventually(kPatience, [&] { return begun == 1; }));
  database.Query("UPDATE tasks SET lease_owner = 'thief', lease_until = now() + interval '1 h'");
  REQUIRE(Eventually(kPatience, [&] { return interrupted == 1; }));
  CHECK(Eventually(kPatience, [&] {
    return Sample(database, "saldo_tasks_runs_total{kind=\"work\",result=\"lost\"}") == "1";
  }));
  CHECK(database.State(id) == "running");
  CHECK(database.Query("SELECT lease_owner, attempts FROM tasks") == "thief|1");
}

TEST_CASE("a schedule fires once among runners, and what was missed is made up for once") {
  Database database;
  std::atomic<int> runs{0};
  const auto add = [&](Program& program) {
    Kind kind = MakeKind("nightly", [&](TaskContext&) -> absl::StatusOr<std::string> {
      ++runs;
      return std::string();
    });
    kind.schedule = "0 3 * * *";
    program.kinds.Add(kind);
    REQUIRE(program.runner.Start().ok());
  };
  Program one(database), other(database), third(database);
  add(one);
  add(other);
  add(third);
  // Its next moment lies ahead.
  CHECK(database.Query("SELECT count(*) FROM tasks WHERE kind = 'nightly'") == "0");
  for (int i = 1; i <= 3; ++i) {
    // Nobody was there for a week.
    database.Query(
        "UPDATE task_kinds SET fired_at = now() - interval '7 days' "
        "WHERE kind = 'nightly'");
    REQUIRE(Eventually(kPatience, [&] { return runs == i; }));
    CHECK(database.Query("SELECT fired_at > now() - interval '1 minute' FROM task_kinds "
                         "WHERE kind = 'nightly'") == "t");
  }
  CHECK(Eventually(kPatience, [&] {
    return database.Query(
               "SELECT count(*), count(*) FILTER (WHERE state = 'done') FROM tasks "
               "WHERE kind = 'nightly'") == "3|3";
  }));
  CHECK(runs == 3);
}

TEST_CASE("schedules come from the configuration too") {
  Database database;
  TasksConfig config = Fast();
  config.schedules = {{"one", "*/5 * * * *"}, {"two", "off"}};
  Program program(database, config);
  for (const char* name : {"one", "two", "three"}) {
    Kind kind = MakeKind(name, [](TaskContext&) { return std::string(); });
    kind.schedule = "0 0 * * *";
    program.kinds.Add(kind);
  }
  REQUIRE(program.runner.Start().ok());
  CHECK(database.Query("SELECT kind, schedule FROM task_kinds ORDER BY kind") ==
        "one|*/5 * * * *\ntask_cleanup|17 * * * *\nthree|0 0 * * *\ntwo|");
  CHECK(program.kinds.Find("one")->schedule.has_value());
  CHECK_FALSE(program.kinds.Find("two")->schedule.has_value());
}

TEST_CASE("kinds that are not right keep the program from starting") {
  Database database;
  TasksConfig config = Fast();
  config.schedules = {{"absent", "* * * * *"}};
  Program program(database, config);
  const auto nothing = [](TaskContext&) { return std::string(); };
  program.kinds.Add(MakeKind("Upper", nothing));
  program.kinds.Add(MakeKind("twice", nothing));
  program.kinds.Add(MakeKind("twice", nothing));
  program.kinds.Add(MakeKind("idle", nullptr));
  program.kinds.Add(MakeKind("never", nothing, 0));
  Kind kind = MakeKind("often", nothing);
  kind.schedule = "* * * *";
  program.kinds.Add(kind);
  const absl::Status status = program.runner.Start();
  CHECK(status.code() == absl::StatusCode::kInvalidArgument);
  for (const char* what :
       {"'Upper': a name is of", "'twice': was added before", "'idle': has no handler",
        "'never': max_attempts must be of 1 to 100", "'often': '* * * *' has 4 fields",
        "'absent': has a schedule, but does not exist; there are Upper, idle, never"}) {
    CHECK_THAT(std::string(status.message()), Catch::Contains(what));
  }
  CHECK(database.Query("SELECT count(*) FROM task_kinds") == "0");
}

TEST_CASE("where tasks are not enabled they can be added but do not run") {
  Database database;
  TasksConfig config = Fast();
  config.enabled = false;
  Program program(database, config);
  std::atomic<int> runs{0};
  const auto handler = [&](TaskContext&) -> absl::StatusOr<std::string> {
    ++runs;
    return std::string();
  };
  program.kinds.Add(MakeKind("work", handler));
  REQUIRE(program.runner.Start().ok());
  const int64_t id = database.Enqueue("work");
  Program runner(database);
  runner.kinds.Add(MakeKind("other", [](TaskContext&) { return std::string(); }));
  REQUIRE(runner.runner.Start().ok());
  // Neither this one, nor one that does not know the kind.
  const int64_t other = database.Enqueue("other");
  REQUIRE(database.Becomes(other, "done"));
  CHECK(database.State(id) == "waiting");
  CHECK(runs == 0);
}

TEST_CASE("finished tasks are removed by age and by number") {
  Database database;
  TasksConfig config = Fast();
  config.keep = absl::Hours(24);
  config.keep_count = 100;
  Program program(database, config);
  program.kinds.Add(MakeKind("work", [](TaskContext&) { return std::string(); }));
  REQUIRE(program.runner.Start().ok());
  const auto add = [&](int count, const std::string& state, const std::string& age) {
    database.Query(
        "INSERT INTO tasks (kind, key, payload, state, run_at, max_attempts, finished_at) SELECT "
        "'work', '', '" +
        age + "', '" + state + "', now(), 1, now() - interval '" + age +
        "' - n * interval '1 ms' FROM generate_series(1, " + std::to_string(count) + ") AS n");
  };
  add(2'500, "done", "2 days");
  add(10, "failed", "25 hours");
  add(50, "done", "1 hour");
  const int64_t waiting = database.store()
                              .Enqueue(Soon(), {"work", "later", "", absl::Now() + absl::Hours(24)})
                              .value()
                              .id;
  database.Query("UPDATE tasks SET created_at = now() - interval '9 days' WHERE id = " +
                 std::to_string(waiting));
  int64_t id = database.Enqueue("task_cleanup");
  REQUIRE(database.Becomes(id, "done"));
  CHECK(database.store().Get(Soon(), id).value().result == "removed 2510");
  CHECK(database.Query("SELECT DISTINCT payload, count(*) FROM tasks WHERE kind = 'work' AND "
                       "state <> 'waiting' GROUP BY 1") == "1 hour|50");
  CHECK(database.State(waiting) == "waiting");

  add(200, "done", "1 minute");
  id = database.Enqueue("task_cleanup");
  REQUIRE(database.Becomes(id, "done"));
  // Of the 251 that had finished, the 100 newest stay.
  CHECK(database.store().Get(Soon(), id).value().result == "removed 151");
}

}  // namespace saldo::tasks
