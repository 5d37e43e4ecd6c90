#include "cli/task/store.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/postgres/transaction.h"

namespace saldo::cli::task {
namespace {

using postgres::Connection;
using postgres::Result;
using postgres::Statement;

#define SALDO_TASK_COLUMNS                                                                      \
  "id, kind, key, payload, state, run_at, attempts, max_attempts, coalesce(last_error, ''),"    \
  " coalesce(result, ''), created_at, started_at, finished_at, coalesce(lease_owner, '') FROM " \
  "tasks"

constexpr Statement kKinds{"task.kinds",
                           "SELECT kind, about, schedule, max_attempts, timeout_seconds "
                           "FROM task_kinds ORDER BY kind"};
constexpr Statement kTasks{"task.tasks", "SELECT " SALDO_TASK_COLUMNS
                                         " WHERE ($1 = '' OR kind = $1) AND ($2 = '' OR state = $2)"
                                         " ORDER BY id DESC LIMIT $3"};
constexpr Statement kTask{"task.task", "SELECT " SALDO_TASK_COLUMNS " WHERE id = $1"};
constexpr Statement kAdd{"task.add",
                         "SELECT task_id, outcome FROM enqueue_task($1, $2, $3, NULL, true, NULL)"};
#undef SALDO_TASK_COLUMNS

absl::StatusOr<std::vector<Task>> Tasks(absl::StatusOr<Result> result) {
  SALDO_RETURN_IF_ERROR(result.status());
  SALDO_ASSIGN_OR_RETURN(
      const auto rows,
      (std::move(*result)
           .As<int64_t, std::string, std::string, std::string, std::string, absl::Time, int32_t,
               int32_t, std::string, std::string, absl::Time, std::optional<absl::Time>,
               std::optional<absl::Time>, std::string>()));
  std::vector<Task> tasks;
  for (const auto& [id, kind, key, payload, state, run_at, attempts, max_attempts, error, done,
                    created_at, started_at, finished_at, runner] : rows) {
    tasks.push_back({id, kind, key, payload, state, run_at, attempts, max_attempts, error, done,
                     created_at, started_at, finished_at, runner});
  }
  return tasks;
}

}  // namespace

absl::StatusOr<std::vector<Kind>> ReadKinds(Connection& connection, const CallContext& context) {
  SALDO_ASSIGN_OR_RETURN(Result result, connection.Query(context, kKinds));
  SALDO_ASSIGN_OR_RETURN(
      const auto rows,
      (std::move(result).As<std::string, std::string, std::string, int32_t, double>()));
  std::vector<Kind> kinds;
  for (const auto& [kind, about, schedule, max_attempts, seconds] : rows)
    kinds.push_back({kind, about, schedule, max_attempts, absl::Seconds(seconds)});
  return kinds;
}

absl::StatusOr<std::vector<Task>> ReadTasks(Connection& connection, const CallContext& context,
                                            const Filter& filter, int64_t limit) {
  return Tasks(connection.Query(context, kTasks, filter.kind, filter.state, limit));
}

absl::StatusOr<Task> ReadTask(Connection& connection, const CallContext& context, int64_t id) {
  SALDO_ASSIGN_OR_RETURN(std::vector<Task> tasks, Tasks(connection.Query(context, kTask, id)));
  if (tasks.empty()) return absl::NotFoundError(absl::StrCat("there is no task ", id));
  return std::move(tasks[0]);
}

absl::StatusOr<Added> Add(Connection& connection, const CallContext& context,
                          const std::string& kind, const std::string& key,
                          const std::string& payload) {
  SALDO_ASSIGN_OR_RETURN(Result result, connection.Query(context, kAdd, kind, key, payload));
  SALDO_ASSIGN_OR_RETURN(const auto row, (std::move(result).One<int64_t, std::string>()));
  const auto& [id, outcome] = row;
  using Outcome = Added::Outcome;
  return Added{.id = id,
               .outcome = outcome == "made"      ? Outcome::kMade
                          : outcome == "differs" ? Outcome::kDiffers
                                                 : Outcome::kWaits};
}

}  // namespace saldo::cli::task
