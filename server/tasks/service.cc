#include "server/tasks/service.h"

#include <vector>

#include "common/base/status_macros.h"

namespace saldo::tasks {
namespace {

using Api = api::TaskService;

}  // namespace

TaskService::TaskService(const Kinds& kinds, TaskStore& store, Runner& runner,
                         rpc::Dispatcher& dispatcher)
    : kinds_(kinds),
      store_(store),
      runner_(runner),
      enqueue_(dispatcher, Api::service_full_name(), "EnqueueTask"),
      get_(dispatcher, Api::service_full_name(), "GetTask"),
      list_(dispatcher, Api::service_full_name(), "ListTasks"),
      list_kinds_(dispatcher, Api::service_full_name(), "ListTaskKinds") {}

absl::Status TaskService::Enqueue(rpc::Call& call, const api::EnqueueTaskRequest& request,
                                  api::EnqueueTaskResponse& response) {
  SALDO_ASSIGN_OR_RETURN(const NewTask wanted, Check(request, kinds_));
  SALDO_ASSIGN_OR_RETURN(const Enqueued enqueued, store_.Enqueue(call.context(), wanted));
  runner_.Wake();
  SALDO_ASSIGN_OR_RETURN(const Task task, store_.Get(call.context(), enqueued.id));
  *response.mutable_task() = ToMessage(task);
  response.set_coalesced(enqueued.coalesced);
  return absl::OkStatus();
}

absl::Status TaskService::Get(rpc::Call& call, const api::GetTaskRequest& request,
                              api::GetTaskResponse& response) {
  SALDO_ASSIGN_OR_RETURN(const int64_t id, Check(request));
  SALDO_ASSIGN_OR_RETURN(const Task task, store_.Get(call.context(), id));
  *response.mutable_task() = ToMessage(task);
  return absl::OkStatus();
}

absl::Status TaskService::List(rpc::Call& call, const api::ListTasksRequest& request,
                               api::ListTasksResponse& response) {
  SALDO_ASSIGN_OR_RETURN(const TaskQuery query, Check(request, kinds_));
  SALDO_ASSIGN_OR_RETURN(std::vector<Task> tasks, store_.List(call.context(), query));
  if (static_cast<int64_t>(tasks.size()) == query.limit) {
    tasks.pop_back();
    response.set_next_page_token(PageToken(query, tasks.back().id));
  }
  for (const Task& task : tasks) *response.add_tasks() = ToMessage(task);
  return absl::OkStatus();
}

absl::Status TaskService::ListKinds(rpc::Call&, const api::ListTaskKindsRequest&,
                                    api::ListTaskKindsResponse& response) {
  for (const auto& [name, entry] : kinds_.all()) *response.add_kinds() = ToMessage(entry.kind);
  return absl::OkStatus();
}

}  // namespace saldo::tasks
