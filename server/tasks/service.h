// TaskService: validates a request, has the store do it and answers.
#pragma once

#include "absl/status/status.h"
#include "common/rpc/dispatcher.h"
#include "saldo/v1/task_service.grpc.pb.h"
#include "server/tasks/kinds.h"
#include "server/tasks/rules.h"
#include "server/tasks/runner.h"
#include "server/tasks/store.h"

namespace saldo::tasks {

namespace internal {

// Each method takes its messages as bytes, see rpc::Method::Unary.
using Api = api::TaskService;
using RawTaskApi = Api::WithRawCallbackMethod_EnqueueTask<Api::WithRawCallbackMethod_GetTask<
    Api::WithRawCallbackMethod_ListTasks<Api::WithRawCallbackMethod_ListTaskKinds<Api::Service>>>>;

}  // namespace internal

class TaskService final : public internal::RawTaskApi {
 public:
  // All arguments outlive the service; the kinds are complete before it is called.
  TaskService(const Kinds& kinds, TaskStore& store, Runner& runner, rpc::Dispatcher& dispatcher);

 private:
  absl::Status Enqueue(rpc::Call& call, const api::EnqueueTaskRequest& request,
                       api::EnqueueTaskResponse& response);
  absl::Status Get(rpc::Call& call, const api::GetTaskRequest& request,
                   api::GetTaskResponse& response);
  absl::Status List(rpc::Call& call, const api::ListTasksRequest& request,
                    api::ListTasksResponse& response);
  absl::Status ListKinds(rpc::Call& call, const api::ListTaskKindsRequest& request,
                         api::ListTaskKindsResponse& response);

  grpc::ServerUnaryReactor* EnqueueTask(grpc::CallbackServerContext* c, const grpc::ByteBuffer* q,
                                        grpc::ByteBuffer* p) override {
    return enqueue_.Unary(c, q, p, &TaskService::Enqueue, this);
  }
  grpc::ServerUnaryReactor* GetTask(grpc::CallbackServerContext* c, const grpc::ByteBuffer* q,
                                    grpc::ByteBuffer* p) override {
    return get_.Unary(c, q, p, &TaskService::Get, this);
  }
  grpc::ServerUnaryReactor* ListTasks(grpc::CallbackServerContext* c, const grpc::ByteBuffer* q,
                                      grpc::ByteBuffer* p) override {
    return list_.Unary(c, q, p, &TaskService::List, this);
  }
  grpc::ServerUnaryReactor* ListTaskKinds(grpc::CallbackServerContext* c, const grpc::ByteBuffer* q,
                                          grpc::ByteBuffer* p) override {
    return list_kinds_.Unary(c, q, p, &TaskService::ListKinds, this);
  }

  const Kinds& kinds_;
  TaskStore& store_;
  Runner& runner_;
  rpc::Method enqueue_;
  rpc::Method get_;
  rpc::Method list_;
  rpc::Method list_kinds_;
};

}  // namespace saldo::tasks
