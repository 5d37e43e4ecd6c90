#include "server/tasks/store.h"

#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/base/strings.h"
#include "common/observability/text.h"
#include "common/observability/trace.h"
#include "common/postgres/error.h"
#include "common/postgres/statement.h"
#include "common/postgres/transaction.h"
#include "common/rpc/errors.h"

namespace saldo::tasks {
namespace {

using postgres::Result;
using postgres::Statement;
using postgres::Transaction;

constexpr int kClaimTries = 3;
constexpr int64_t kTakeBackMax = 100;

#define SALDO_TASK_COLUMNS                                                                    \
  "id, kind, key, payload, state, run_at, attempts, max_attempts, coalesce(last_error, ''), " \
  "coalesce(result, ''), created_at, started_at, finished_at"

constexpr Statement kEnqueue{"tasks.enqueue",
                             "SELECT task_id, outcome FROM enqueue_task($1, $2, $3, $4, $5, $6)"};
constexpr Statement kGet{"tasks.get", "SELECT " SALDO_TASK_COLUMNS " FROM tasks WHERE id = $1"};
constexpr Statement kList{"tasks.list", "SELECT " SALDO_TASK_COLUMNS
                                        " FROM tasks WHERE id < $1 AND ($2 = '' OR kind = $2) "
                                        "AND ($3 = '' OR state = $3) ORDER BY id DESC LIMIT $4"};
#undef SALDO_TASK_COLUMNS
constexpr Statement kCount{
    "tasks.count",
    "SELECT kind, state, count(*) FROM tasks WHERE state = 'waiting' GROUP BY kind, state "
    "UNION ALL "
    "SELECT kind, state, count(*) FROM tasks WHERE state = 'running' GROUP BY kind, state"};
// A kind's row is written only when something in it changes: every start of a server comes here.
constexpr Statement kRegister{
    "tasks.register",
    "INSERT INTO task_kinds AS k (kind, about, schedule, max_attempts, timeout_seconds) "
    "SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::int4[], $5::float8[]) "
    "AS n (kind, about, schedule, max_attempts, timeout_seconds) ORDER BY kind "
    "ON CONFLICT (kind) DO UPDATE SET about = excluded.about, schedule = excluded.schedule,"
    " max_attempts = excluded.max_attempts, timeout_seconds = excluded.timeout_seconds,"
    " fired_at = CASE WHEN k.schedule = '' THEN clock_timestamp() ELSE k.fired_at END,"
    " registered_at = clock_timestamp() "
    "WHERE (k.about, k.schedule, k.max_attempts, k.timeout_seconds) <> (excluded.about,"
    " excluded.schedule, excluded.max_attempts, excluded.timeout_seconds)"};
constexpr Statement kReadFired{
    "tasks.read_fired",
    "SELECT kind, fired_at, clock_timestamp() FROM task_kinds WHERE kind = ANY ($1)"};
constexpr Statement kFire{
    "tasks.fire",
    "UPDATE task_kinds SET fired_at = $3 WHERE kind = $1 AND fired_at = $2 RETURNING kind"};
// Of two runners that find waiting tasks of one key at once, the unique index lets one through.
constexpr Statement kClaim{
    "tasks.claim",
    "UPDATE tasks SET state = 'running', attempts = attempts + 1, started_at = clock_timestamp(),"
    " lease_owner = $2, lease_until = clock_timestamp() + make_interval(secs => $3), result = NULL "
    "WHERE id = (SELECT id FROM tasks AS t WHERE state = 'waiting' AND run_at <= clock_timestamp()"
    "  AND kind = ANY ($1) AND NOT EXISTS (SELECT FROM tasks AS r"
    "   WHERE r.kind = t.kind AND r.key = t.key AND r.state = 'running')"
    "  ORDER BY run_at, id LIMIT 1 FOR UPDATE SKIP LOCKED) "
    "RETURNING id, kind, key, payload, attempts, max_attempts, coalesce(traceparent, '')"};
constexpr Statement kRenew{
    "tasks.renew",
    "UPDATE tasks SET lease_until = clock_timestamp() + make_interval(secs => $4),"
    " result = coalesce(nullif(r.progress, ''), result) "
    "FROM unnest($2::int8[], $3::text[]) AS r (id, progress) "
    "WHERE tasks.id = r.id AND state = 'running' AND lease_owner = $1 RETURNING tasks.id"};
constexpr Statement kTakeBack{
    "tasks.take_back",
    "UPDATE tasks SET state = CASE WHEN attempts < max_attempts THEN 'waiting' ELSE 'failed' END,"
    " run_at = clock_timestamp(),"
    " finished_at = CASE WHEN attempts < max_attempts THEN NULL ELSE clock_timestamp() END,"
    " last_error = 'the runner ' || left(lease_owner, 200) || ' vanished during the run',"
    " lease_owner = NULL, lease_until = NULL "
    "WHERE id IN (SELECT id FROM tasks WHERE state = 'running' AND lease_until < clock_timestamp()"
    "  ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED) RETURNING id, kind, state = 'failed'"};

// The ends of a run. An owner has a task at most once per attempt.
#define SALDO_TASK_LEASED " WHERE id = $1 AND lease_owner = $2 AND attempts = $3 RETURNING id"
constexpr Statement kFinish{
    "tasks.finish",
    "UPDATE tasks SET state = 'done', finished_at = clock_timestamp(), result = $4,"
    " lease_owner = NULL, lease_until = NULL" SALDO_TASK_LEASED};
constexpr Statement kFail{
    "tasks.fail",
    "UPDATE tasks SET state = 'failed', finished_at = clock_timestamp(), last_error = $4,"
    " lease_owner = NULL, lease_until = NULL" SALDO_TASK_LEASED};
constexpr Statement kRetry{"tasks.retry",
                           "UPDATE tasks SET state = 'waiting', last_error = $4,"
                           " run_at = clock_timestamp() + make_interval(secs => $5),"
                           " lease_owner = NULL, lease_until = NULL" SALDO_TASK_LEASED};
constexpr Statement kReturn{
    "tasks.return",
    "UPDATE tasks SET state = 'waiting', attempts = attempts - 1, run_at = clock_timestamp(),"
    " lease_owner = NULL, lease_until = NULL" SALDO_TASK_LEASED};
#undef SALDO_TASK_LEASED

constexpr Statement kRemove{
    "tasks.remove",
    "DELETE FROM tasks WHERE id IN (SELECT id FROM tasks WHERE state IN ('done', 'failed')"
    " AND finished_at <= greatest(clock_timestamp() - make_interval(secs => $1),"
    "  (SELECT finished_at FROM tasks WHERE state IN ('done', 'failed')"
    "   ORDER BY finished_at DESC OFFSET $2 LIMIT 1))"
    " ORDER BY finished_at LIMIT $3)"};

constexpr State kStates[] = {State::kWaiting, State::kRunning, State::kDone, State::kFailed};

absl::StatusOr<State> ParseState(std::string_view name) {
  for (const State state : kStates) {
    if (StateName(state) == name) return state;
  }
  return absl::InternalError("a task has an unknown state");
}

// Texts of handlers, as PostgreSQL takes them.
std::string Storable(std::string_view text, size_t limit) {
  std::string clean;
  text::AppendUtf8(text, &clean);
  for (char& c : clean) {
    if (c == '\0') c = ' ';
  }
  return std::string(text::CutUtf8(clean, limit));
}

absl::StatusOr<std::vector<Task>> Tasks(Result result) {
  SALDO_ASSIGN_OR_RETURN(
      const auto rows, (std::move(result)
                            .As<int64_t, std::string, std::string, std::string, std::string_view,
                                absl::Time, int32_t, int32_t, std::string, std::string, absl::Time,
                                std::optional<absl::Time>, std::optional<absl::Time>>()));
  std::vector<Task> tasks;
  tasks.reserve(static_cast<size_t>(rows.size()));
  for (const auto& [id, kind, key, payload, state_name, run_at, attempts, max_attempts, error, done,
                    created_at, started_at, finished_at] : rows) {
    SALDO_ASSIGN_OR_RETURN(const State state, ParseState(state_name));
    tasks.push_back({id, kind, key, payload, state, run_at, attempts, max_attempts, error, done,
                     created_at, started_at, finished_at});
  }
  return tasks;
}

absl::StatusOr<std::tuple<int64_t, std::string>> CallEnqueue(Transaction& tx, const NewTask& task,
                                                             bool hasten) {
  const std::string trace = trace::CurrentTraceparent();
  SALDO_ASSIGN_OR_RETURN(Result result, tx.Query(kEnqueue, task.kind, task.key, task.payload,
                                                 task.run_at, hasten, trace));
  return std::move(result).One<int64_t, std::string>();
}

}  // namespace

std::string_view StateName(State state) {
  switch (state) {
    case State::kWaiting:
      return "waiting";
    case State::kRunning:
      return "running";
    case State::kDone:
      return "done";
    case State::kFailed:
      return "failed";
  }
  return "";
}

template <typename... Args>
absl::StatusOr<int64_t> TaskStore::Change(const CallContext& context, const Statement& statement,
                                          const Args&... args) {
  int64_t changed = 0;
  SALDO_RETURN_IF_ERROR(
      pool_.Transact(context, {.name = statement.name}, [&](Transaction& tx) -> absl::Status {
        SALDO_ASSIGN_OR_RETURN(const Result result, tx.Query(statement, args...));
        changed = result.affected();
        return absl::OkStatus();
      }));
  return changed;
}

absl::StatusOr<Enqueued> TaskStore::Enqueue(const CallContext& context, const NewTask& task) {
  trace::Span span("TaskStore.Enqueue");
  std::tuple<int64_t, std::string> row;
  const absl::Status status =
      pool_.Transact(context, {.name = "tasks.enqueue"}, [&](Transaction& tx) -> absl::Status {
        SALDO_ASSIGN_OR_RETURN(row, CallEnqueue(tx, task, /*hasten=*/true));
        return absl::OkStatus();
      });
  span.SetStatus(status);
  SALDO_RETURN_IF_ERROR(status);
  const auto& [id, outcome] = row;
  if (outcome != "differs") return Enqueued{.id = id, .coalesced = outcome == "waits"};
  return absl::AlreadyExistsError(
      absl::StrCat("task ", id, " of kind ", task.kind, " and key '", task.key,
                   "' waits with another payload; use another key, or wait until it has begun"));
}

absl::StatusOr<Task> TaskStore::Get(const CallContext& context, int64_t id) {
  trace::Span span("TaskStore.Get");
  absl::StatusOr<Result> result = pool_.Read(context, kGet, id);
  span.SetStatus(result.status());
  SALDO_RETURN_IF_ERROR(result.status());
  SALDO_ASSIGN_OR_RETURN(std::vector<Task> tasks, Tasks(*std::move(result)));
  if (tasks.empty()) return rpc::NotFound("task", std::to_string(id));
  return std::move(tasks[0]);
}

absl::StatusOr<std::vector<Task>> TaskStore::List(const CallContext& context,
                                                  const TaskQuery& query) {
  trace::Span span("TaskStore.List");
  const std::string_view state = query.state.has_value() ? StateName(*query.state) : "";
  absl::StatusOr<Result> result =
      pool_.Read(context, kList, query.before, query.kind, state, query.limit);
  span.SetStatus(result.status());
  SALDO_RETURN_IF_ERROR(result.status());
  return Tasks(*std::move(result));
}

absl::StatusOr<std::vector<KindCount>> TaskStore::Count(const CallContext& context) {
  SALDO_ASSIGN_OR_RETURN(Result result, pool_.Read(context, kCount));
  SALDO_ASSIGN_OR_RETURN(const auto rows,
                         (std::move(result).As<std::string, std::string_view, int64_t>()));
  std::vector<KindCount> counts;
  for (const auto& [kind, state_name, count] : rows) {
    SALDO_ASSIGN_OR_RETURN(const State state, ParseState(state_name));
    counts.push_back({kind, state, count});
  }
  return counts;
}

absl::Status TaskStore::Register(const CallContext& context, const Kinds& kinds) {
  std::vector<std::string_view> names, abouts, schedules;
  std::vector<int32_t> attempts;
  std::vector<double> timeouts;
  for (const auto& [name, entry] : kinds.all()) {
    names.push_back(name);
    abouts.push_back(entry.kind.about);
    schedules.push_back(entry.kind.schedule);
    attempts.push_back(entry.kind.max_attempts);
    timeouts.push_back(absl::ToDoubleSeconds(entry.kind.timeout));
  }
  return Change(context, kRegister, names, abouts, schedules, attempts, timeouts).status();
}

absl::StatusOr<std::vector<Fired>> TaskStore::ReadFired(const CallContext& context,
                                                        absl::Span<const std::string> kinds) {
  SALDO_ASSIGN_OR_RETURN(Result result, pool_.Read(context, kReadFired, kinds));
  SALDO_ASSIGN_OR_RETURN(const auto rows,
                         (std::move(result).As<std::string, absl::Time, absl::Time>()));
  std::vector<Fired> fired;
  for (const auto& [kind, at, now] : rows) fired.push_back({kind, at, now});
  return fired;
}

absl::StatusOr<bool> TaskStore::Fire(const CallContext& context, const Fired& seen) {
  bool fired = false;
  SALDO_RETURN_IF_ERROR(
      pool_.Transact(context, {.name = "tasks.fire"}, [&](Transaction& tx) -> absl::Status {
        SALDO_ASSIGN_OR_RETURN(const Result result,
                               tx.Query(kFire, seen.kind, seen.fired_at, seen.now));
        fired = result.size() == 1;
        if (!fired) return absl::OkStatus();
        // A task that waits for another try is not hastened: the schedule must not undo its wait.
        NewTask task;
        task.kind = seen.kind;
        return CallEnqueue(tx, task, /*hasten=*/false).status();
      }));
  return fired;
}

absl::StatusOr<std::optional<Claimed>> TaskStore::Claim(const CallContext& context,
                                                        absl::Span<const std::string> kinds,
                                                        const std::string& owner,
                                                        absl::Duration lease) {
  for (int i = 0; i < kClaimTries; ++i) {
    std::optional<Claimed> claimed;
    const absl::Status status =
        pool_.Transact(context, {.name = "tasks.claim"}, [&](Transaction& tx) -> absl::Status {
          claimed.reset();
          SALDO_ASSIGN_OR_RETURN(Result result,
                                 tx.Query(kClaim, kinds, owner, absl::ToDoubleSeconds(lease)));
          SALDO_ASSIGN_OR_RETURN(const auto rows,
                                 (std::move(result)
                                      .As<int64_t, std::string, std::string, std::string, int32_t,
                                          int32_t, std::string>()));
          for (const auto& [id, kind, key, payload, attempt, max_attempts, traceparent] : rows)
            claimed = Claimed{{id, kind, key, payload, attempt}, max_attempts, traceparent};
          return absl::OkStatus();
        });
    if (status.ok()) return claimed;
    if (postgres::ConstraintName(status) != "tasks_running") return status;
  }
  return std::optional<Claimed>();
}

absl::StatusOr<std::vector<int64_t>> TaskStore::Renew(const CallContext& context,
                                                      const std::string& owner,
                                                      absl::Span<const int64_t> ids,
                                                      absl::Span<const std::string> progress,
                                                      absl::Duration lease) {
  std::vector<std::string> texts;
  for (const std::string& text : progress) texts.push_back(Storable(text, kResultMax));
  std::vector<int64_t> kept;
  SALDO_RETURN_IF_ERROR(
      pool_.Transact(context, {.name = "tasks.renew"}, [&](Transaction& tx) -> absl::Status {
        kept.clear();
        SALDO_ASSIGN_OR_RETURN(Result result,
                               tx.Query(kRenew, owner, ids, texts, absl::ToDoubleSeconds(lease)));
        SALDO_ASSIGN_OR_RETURN(const auto rows, std::move(result).As<int64_t>());
        for (const auto& [id] : rows) kept.push_back(id);
        return absl::OkStatus();
      }));
  return kept;
}

absl::StatusOr<std::vector<Abandoned>> TaskStore::TakeBack(const CallContext& context) {
  std::vector<Abandoned> abandoned;
  SALDO_RETURN_IF_ERROR(
      pool_.Transact(context, {.name = "tasks.take_back"}, [&](Transaction& tx) -> absl::Status {
        abandoned.clear();
        SALDO_ASSIGN_OR_RETURN(Result result, tx.Query(kTakeBack, kTakeBackMax));
        SALDO_ASSIGN_OR_RETURN(const auto rows,
                               (std::move(result).As<int64_t, std::string, bool>()));
        for (const auto& [id, kind, failed] : rows) abandoned.push_back({id, kind, failed});
        return absl::OkStatus();
      }));
  return abandoned;
}

absl::StatusOr<bool> TaskStore::Finish(const CallContext& context, const Lease& lease,
                                       std::string_view result) {
  SALDO_ASSIGN_OR_RETURN(const int64_t changed,
                         Change(context, kFinish, lease.id, lease.owner,
                                static_cast<int32_t>(lease.attempt), Storable(result, kResultMax)));
  return changed == 1;
}

absl::StatusOr<bool> TaskStore::Fail(const CallContext& context, const Lease& lease,
                                     std::string_view error) {
  SALDO_ASSIGN_OR_RETURN(const int64_t changed,
                         Change(context, kFail, lease.id, lease.owner,
                                static_cast<int32_t>(lease.attempt), Storable(error, kErrorMax)));
  return changed == 1;
}

absl::StatusOr<bool> TaskStore::Retry(const CallContext& context, const Lease& lease,
                                      std::string_view error, absl::Duration wait) {
  SALDO_ASSIGN_OR_RETURN(
      const int64_t changed,
      Change(context, kRetry, lease.id, lease.owner, static_cast<int32_t>(lease.attempt),
             Storable(error, kErrorMax), absl::ToDoubleSeconds(wait)));
  return changed == 1;
}

absl::StatusOr<bool> TaskStore::Return(const CallContext& context, const Lease& lease) {
  SALDO_ASSIGN_OR_RETURN(const int64_t changed, Change(context, kReturn, lease.id, lease.owner,
                                                       static_cast<int32_t>(lease.attempt)));
  return changed == 1;
}

absl::StatusOr<int64_t> TaskStore::Remove(const CallContext& context, absl::Duration keep,
                                          int64_t keep_count, int64_t limit) {
  return Change(context, kRemove, absl::ToDoubleSeconds(keep), keep_count, limit);
}

}  // namespace saldo::tasks
