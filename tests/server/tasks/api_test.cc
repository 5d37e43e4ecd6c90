// TaskService of a whole server.
#include <algorithm>
#include <catch2/catch.hpp>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "saldo/v1/task_service.grpc.pb.h"
#include "tests/server/test_app.h"
#include "tests/support/test_env.h"

namespace saldo::server {
namespace {

namespace tasks_api = saldo::v1;
using TaskApi = tasks_api::TaskService;
using testing::Eventually;

struct TaskApp : TestApp {
  std::unique_ptr<TaskApi::Stub> tasks = TaskApi::NewStub(channel);

  // With `enabled`, tasks run.
  explicit TaskApp(bool enabled)
      : TestApp([enabled](ServerConfig& config) {
          config.tasks.enabled = enabled;
          config.tasks.poll_interval = absl::Milliseconds(50);
        }) {}

  template <typename Request, typename Response>
  absl::Status Ask(grpc::Status (TaskApi::Stub::*method)(grpc::ClientContext*, const Request&,
                                                         Response*),
                   const Request& request, Response* response) {
    ClientCall call;
    return rpc::FromGrpcStatus((tasks.get()->*method)(&call.context, request, response));
  }
  tasks_api::EnqueueTaskResponse Enqueue(const std::string& kind, const std::string& key = "") {
    tasks_api::EnqueueTaskRequest request;
    request.set_kind(kind);
    request.set_key(key);
    tasks_api::EnqueueTaskResponse response;
    const absl::Status status = Ask(&TaskApi::Stub::EnqueueTask, request, &response);
    if (!status.ok()) throw std::runtime_error(status.ToString());
    return response;
  }
  tasks_api::Task Get(int64_t id) {
    tasks_api::GetTaskRequest request;
    request.set_id(id);
    tasks_api::GetTaskResponse response;
    const absl::Status status = Ask(&TaskApi::Stub::GetTask, request, &response);
    if (!status.ok()) throw std::runtime_error(status.ToString());
    return response.task();
  }
};

}  // namespace

TEST_CASE("a task that is added over the API runs") {
  TaskApp app(/*enabled=*/true);
  const tasks_api::EnqueueTaskResponse added = app.Enqueue("partitions", "by hand");
  CHECK_FALSE(added.coalesced());
  CHECK(added.task().kind() == "partitions");
  CHECK(added.task().key() == "by hand");
  CHECK(added.task().max_attempts() == 5);
  REQUIRE(Eventually(
      kPatience, [&] { return app.Get(added.task().id()).state() == tasks_api::TASK_STATE_DONE; }));
  const tasks_api::Task task = app.Get(added.task().id());
  CHECK(task.result() == "up to date");
  CHECK(task.attempts() == 1);
  CHECK(task.has_finished_at());
  CHECK(app.database.Query("SELECT count(*) FROM tasks WHERE key = 'by hand'") == "1");
}

TEST_CASE("adding a task again is the same task") {
  TaskApp app(/*enabled=*/false);
  const tasks_api::EnqueueTaskResponse first = app.Enqueue("partitions");
  CHECK_FALSE(first.coalesced());
  CHECK(first.task().state() == tasks_api::TASK_STATE_WAITING);
  const tasks_api::EnqueueTaskResponse again = app.Enqueue("partitions");
  CHECK(again.coalesced());
  CHECK(again.task().id() == first.task().id());
  tasks_api::EnqueueTaskRequest request;
  request.set_kind("partitions");
  request.set_payload("other");
  tasks_api::EnqueueTaskResponse response;
  const absl::Status differs = app.Ask(&TaskApi::Stub::EnqueueTask, request, &response);
  CHECK(differs.code() == absl::StatusCode::kAlreadyExists);
  CHECK_THAT(std::string(differs.message()), Catch::Contains("waits with another payload"));
}

TEST_CASE("bad requests about tasks are refused") {
  TaskApp app(/*enabled=*/false);
  tasks_api::EnqueueTaskRequest request;
  request.set_kind("dance");
  tasks_api::EnqueueTaskResponse response;
  const absl::Status unknown = app.Ask(&TaskApi::Stub::EnqueueTask, request, &response);
  CHECK(unknown.code() == absl::StatusCode::kInvalidArgument);
  CHECK_THAT(std::string(unknown.message()), Catch::Contains("partitions, task_cleanup"));
  tasks_api::GetTaskRequest get;
  get.set_id(77);
  tasks_api::GetTaskResponse got;
  const absl::Status missing = app.Ask(&TaskApi::Stub::GetTask, get, &got);
  CHECK(missing.code() == absl::StatusCode::kNotFound);
  CHECK(missing.message() == "task 77 not found");
  CHECK(app.database.Query("SELECT count(*) FROM tasks") == "0");
}

TEST_CASE("lists of tasks are stable from page to page") {
  TaskApp app(/*enabled=*/false);
  for (int i = 0; i < 7; ++i)
    app.Enqueue(i % 2 == 0 ? "partitions" : "task_cleanup", absl::StrCat(i));
  tasks_api::ListTasksRequest request;
  request.set_page_size(2);
  request.set_kind("partitions");
  std::vector<std::string> keys;
  for (int page = 0; page < 2; ++page) {
    tasks_api::ListTasksResponse response;
    REQUIRE(app.Ask(&TaskApi::Stub::ListTasks, request, &response).ok());
    CHECK(response.tasks_size() == 2);
    for (const tasks_api::Task& task : response.tasks()) keys.push_back(task.key());
    CHECK(response.next_page_token().empty() == (page == 1));
    request.set_page_token(response.next_page_token());
    app.Enqueue("partitions", absl::StrCat("new ", page));
  }
  CHECK(keys == std::vector<std::string>{"6", "4", "2", "0"});

  request.Clear();
  request.set_state(tasks_api::TASK_STATE_FAILED);
  tasks_api::ListTasksResponse failed;
  REQUIRE(app.Ask(&TaskApi::Stub::ListTasks, request, &failed).ok());
  CHECK(failed.tasks_size() == 0);
  app.database.Query(
      "UPDATE tasks SET state = 'failed', finished_at = now(), last_error = 'no' "
      "WHERE key = '3'");
  REQUIRE(app.Ask(&TaskApi::Stub::ListTasks, request, &failed).ok());
  REQUIRE(failed.tasks_size() == 1);
  CHECK(failed.tasks(0).last_error() == "no");

  tasks_api::ListTaskKindsResponse kinds;
  REQUIRE(app.Ask(&TaskApi::Stub::ListTaskKinds, tasks_api::ListTaskKindsRequest(), &kinds).ok());
  const auto partitions =
      std::find_if(kinds.kinds().begin(), kinds.kinds().end(),
                   [](const tasks_api::TaskKind& kind) { return kind.kind() == "partitions"; });
  REQUIRE(partitions != kinds.kinds().end());
  CHECK(partitions->schedule() == "* * * * *");
  CHECK(partitions->timeout().seconds() == 300);
}

}  // namespace saldo::server
