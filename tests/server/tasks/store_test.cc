#include "server/tasks/store.h"

#include <catch2/catch.hpp>
#include <set>

#include "absl/strings/str_cat.h"
#include "common/postgres/connection.h"
#include "common/runtime/thread.h"
#include "tests/server/tasks/tasks_test_util.h"

namespace saldo::tasks {
namespace {

// A database where the kinds "work" and "other" are known, and no runner.
struct Known : Database {
  Kinds kinds;
  Known() {
    for (const char* name : {"work", "other"})
      kinds.Add(MakeKind(name, [](TaskContext&) { return std::string(); }));
    REQUIRE(kinds.Check().ok());
    REQUIRE(store().Register(Soon(), kinds).ok());
  }

  Enqueued Add(const NewTask& task) {
    const absl::StatusOr<Enqueued> enqueued = store().Enqueue(Soon(), task);
    INFO(enqueued.status().ToString());
    REQUIRE(enqueued.ok());
    return *enqueued;
  }
  std::optional<Claimed> Claim(const std::string& owner = "me") {
    const std::vector<std::string> names = {"work"};
    return store().Claim(Soon(), names, owner, absl::Minutes(1)).value();
  }
};

}  // namespace

TEST_CASE("a task that would do what a waiting one will do is that one") {
  Known database;
  const Enqueued first = database.Add({"work", "k", "p", std::nullopt});
  CHECK_FALSE(first.coalesced);
  const Enqueued again = database.Add({"work", "k", "p", std::nullopt});
  CHECK(again.coalesced);
  CHECK(again.id == first.id);
  CHECK_FALSE(database.Add({"work", "other", "p", std::nullopt}).coalesced);
  CHECK_FALSE(database.Add({"other", "k", "p", std::nullopt}).coalesced);

  const absl::Status differs =
      database.store().Enqueue(Soon(), {"work", "k", "else", std::nullopt}).status();
  CHECK(differs.code() == absl::StatusCode::kAlreadyExists);
  CHECK_THAT(std::string(differs.message()),
             Catch::Contains(absl::StrCat("task ", first.id, " of kind work and key 'k'")));
  CHECK(database.store().Get(Soon(), first.id).value().payload == "p");

  // One that runs may have begun too early, so another is made, and waits for it.
  const std::optional<Claimed> claimed = database.Claim();
  REQUIRE(claimed.has_value());
  CHECK(claimed->task.id == first.id);
  const Enqueued next = database.Add({"work", "k", "p", std::nullopt});
  CHECK_FALSE(next.coalesced);
  CHECK(database.Claim()->task.key == "other");
  CHECK_FALSE(database.Claim().has_value());
  REQUIRE(database.store().Finish(Soon(), {first.id, "me", 1}, "").value());
  CHECK(database.Claim()->task.id == next.id);
}

TEST_CASE("the sooner of two moments counts") {
  Known database;
  const absl::Time now = absl::Now();
  const auto run_at = [&](const NewTask& task) {
    return database.store().Get(Soon(), database.Add(task).id).value().run_at;
  };
  const absl::Time noon = absl::FromUnixSeconds(absl::ToUnixSeconds(now) + 7'200);
  CHECK(run_at({"work", "", "", noon}) == noon);
  CHECK(run_at({"work", "", "", noon + absl::Hours(1)}) == noon);
  CHECK(run_at({"work", "", "", noon - absl::Hours(1)}) == noon - absl::Hours(1));
  CHECK_FALSE(database.Claim().has_value());
  CHECK(run_at({"work", "", "", std::nullopt}) < now + absl::Minutes(5));
  CHECK(database.Claim().has_value());
  CHECK(database.Query("SELECT count(*) FROM tasks") == "1");
}

TEST_CASE("callers that come at once add one task") {
  Known database;
  constexpr int kCallers = 8, kRounds = 20;
  absl::Mutex mutex;
  std::vector<std::set<int64_t>> ids(kRounds);
  int made = 0;
  {
    std::vector<runtime::Thread> callers;
    for (int i = 0; i < kCallers; ++i) {
      callers.emplace_back("caller", [&] {
        for (int round = 0; round < kRounds; ++round) {
          const Enqueued one = database.store()
                                   .Enqueue(Soon(), {"work", absl::StrCat(round), "", std::nullopt})
                                   .value();
          absl::MutexLock lock(&mutex);
          ids[round].insert(one.id);
          made += one.coalesced ? 0 : 1;
        }
      });
    }
  }
  for (const std::set<int64_t>& round : ids) CHECK(round.size() == 1);
  CHECK(made == kRounds);
  CHECK(database.Query("SELECT count(*) FROM tasks") == std::to_string(kRounds));
}

TEST_CASE("claimers that come at once share the tasks, one of a key at a time") {
  Known database;
  // Two of a key can wait: a second one was added while the first ran, which was then given back.
  database.Query(
      "INSERT INTO tasks (kind, key, payload, run_at, max_attempts) SELECT 'work', n % 20, '', "
      "now(), 3 FROM generate_series(1, 40) AS n");
  CHECK(database.Query("SELECT count(*) FROM tasks WHERE state = 'waiting'") == "40");
  absl::Mutex mutex;
  std::multiset<std::string> keys;
  {
    std::vector<runtime::Thread> claimers;
    for (int i = 0; i < 8; ++i) {
      claimers.emplace_back("claimer", [&, owner = absl::StrCat("owner ", i)] {
        while (const std::optional<Claimed> claimed = database.Claim(owner)) {
          absl::MutexLock lock(&mutex);
          keys.insert(claimed->task.key);
        }
      });
    }
  }
  // One may find nothing while others hold what it could have; what is left is taken now.
  while (const std::optional<Claimed> claimed = database.Claim()) keys.insert(claimed->task.key);
  CHECK(keys.size() == 20);
  CHECK(std::set<std::string>(keys.begin(), keys.end()).size() == 20);
  CHECK(database.Query("SELECT count(*), count(DISTINCT key) FROM tasks WHERE state = 'running'") ==
        "20|20");
}

TEST_CASE("only the run that has the lease can end") {
  Known database;
  const int64_t id = database.Add({"work", "", "", std::nullopt}).id;
  REQUIRE(database.Claim("first").has_value());
  database.Query("UPDATE tasks SET lease_until = now() - interval '1 s'");
  REQUIRE(database.store().TakeBack(Soon()).value().size() == 1);
  CHECK(database.store().TakeBack(Soon()).value().empty());
  REQUIRE(database.Claim("first")->task.attempt == 2);

  for (const Lease& stale : {Lease{id, "first", 1}, Lease{id, "second", 2}}) {
    CHECK_FALSE(database.store().Finish(Soon(), stale, "stale").value());
    CHECK_FALSE(database.store().Fail(Soon(), stale, "stale").value());
    CHECK_FALSE(database.store().Retry(Soon(), stale, "stale", absl::ZeroDuration()).value());
    CHECK_FALSE(database.store().Return(Soon(), stale).value());
  }
  CHECK(database.State(id) == "running");
  const std::vector<int64_t> ids = {id, id + 1};
  const std::vector<std::string> progress = {"half", ""};
  CHECK(database.store().Renew(Soon(), "second", ids, progress, absl::Hours(1)).value().empty());
  CHECK(database.store().Renew(Soon(), "first", ids, progress, absl::Hours(1)).value() ==
        std::vector<int64_t>{id});
  CHECK(database.Query("SELECT result, lease_until > now() + interval '50 min' FROM tasks") ==
        "half|t");
  const Lease mine{id, "first", 2};
  CHECK(database.store().Finish(Soon(), mine, "done").value());
  CHECK_FALSE(database.store().Finish(Soon(), mine, "twice").value());
  CHECK(database.Query("SELECT state, result, lease_owner IS NULL FROM tasks") == "done|done|t");
}

TEST_CASE("a schedule does not hasten a task that waits for another attempt") {
  Known database;
  const int64_t id = database.Add({"work", "", "", std::nullopt}).id;
  REQUIRE(database.Claim().has_value());
  REQUIRE(database.store().Retry(Soon(), {id, "me", 1}, "no", absl::Hours(1)).value());
  const std::vector<std::string> names = {"work", "unknown"};
  const std::vector<Fired> fired = database.store().ReadFired(Soon(), names).value();
  REQUIRE(fired.size() == 1);
  CHECK(database.store().Fire(Soon(), fired[0]).value());
  CHECK_FALSE(database.store().Fire(Soon(), fired[0]).value());  // by another, later
  CHECK(database.Query("SELECT count(*), min(run_at) > now() + interval '50 min' FROM tasks") ==
        "1|t");
  // A person who asks for it does.
  CHECK(database.Add({"work", "", "", std::nullopt}).id == id);
  CHECK(database.Claim().has_value());
}

TEST_CASE("the registered kinds follow the programs") {
  Known database;
  CHECK(
      database.Query("SELECT kind, about, schedule, max_attempts, timeout_seconds FROM task_kinds "
                     "ORDER BY kind") == "other|for a test||3|300\nwork|for a test||3|300");
  database.Query(
      "UPDATE task_kinds SET fired_at = now() - interval '1 year', registered_at = "
      "'2000-01-01'");
  REQUIRE(database.store().Register(Soon(), database.kinds).ok());
  CHECK(database.Query("SELECT count(*) FROM task_kinds WHERE registered_at = '2000-01-01'") ==
        "2");  // nothing was written
  Kinds changed;
  Kind kind = MakeKind(
      "work", [](TaskContext&) { return std::string(); }, 7);
  kind.schedule = "0 0 * * *";
  changed.Add(kind);
  REQUIRE(database.store().Register(Soon(), changed).ok());
  // A schedule that is new has missed nothing.
  CHECK(database.Query("SELECT schedule, max_attempts, fired_at > now() - interval '1 hour' FROM "
                       "task_kinds WHERE kind = 'work'") == "0 0 * * *|7|t");
  database.Query("UPDATE task_kinds SET fired_at = now() - interval '1 year'");
  Kinds moved;
  kind.schedule = "0 1 * * *";
  moved.Add(kind);
  REQUIRE(database.store().Register(Soon(), moved).ok());
  CHECK(database.Query("SELECT schedule, fired_at < now() - interval '1 hour' FROM task_kinds "
                       "WHERE kind = 'work'") == "0 1 * * *|t");
  const absl::Status unknown =
      database.store().Enqueue(Soon(), {"unknown", "", "", std::nullopt}).status();
  CHECK(unknown.code() == absl::StatusCode::kFailedPrecondition);
  CHECK_THAT(std::string(unknown.message()), Catch::Contains("no kind of task 'unknown'"));
}

}  // namespace saldo::tasks
