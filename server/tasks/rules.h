// Which requests about tasks are allowed, and what clients see of a task. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "saldo/v1/task_service.pb.h"
#include "server/tasks/kinds.h"
#include "server/tasks/store.h"

namespace saldo::tasks {

namespace api = saldo::v1;

// A request as the rest of the slice takes it, or INVALID_ARGUMENT with a BadRequest that names
// every field at fault.
absl::StatusOr<NewTask> Check(const api::EnqueueTaskRequest& request, const Kinds& kinds);
absl::StatusOr<int64_t> Check(const api::GetTaskRequest& request);
// One task more than the page has is asked for, to see whether there is another page.
absl::StatusOr<TaskQuery> Check(const api::ListTasksRequest& request, const Kinds& kinds);

// Names the place after the task `last` in the list of `query`.
std::string PageToken(const TaskQuery& query, int64_t last);

api::Task ToMessage(const Task& task);
api::TaskKind ToMessage(const Kind& kind);

}  // namespace saldo::tasks
