// LockService: checks a request, has the lock's shard do it, and answers.
#pragma once

#include <memory>

#include "absl/status/status.h"
#include "common/rpc/dispatcher.h"
#include "saldo/v1/lock_service.grpc.pb.h"
#include "server/keys/sharded_types.h"
#include "server/locks/acquiring.h"

namespace saldo::locks {

namespace internal {

// Each method takes its messages as bytes, see rpc::Method.
using Api = v1::LockService;
using RawLockApi = Api::WithRawCallbackMethod_Acquire<
    Api::WithRawCallbackMethod_Renew<Api::WithRawCallbackMethod_Release<
        Api::WithRawCallbackMethod_Get<Api::WithRawCallbackMethod_List<Api::Service>>>>>;

}  // namespace internal

class LockService final : public internal::RawLockApi {
 public:
  // All arguments outlive the service.
  LockService(const keys::ShardedTypes& types, Acquiring& acquiring, rpc::Dispatcher& dispatcher);

 private:
  using Bytes = grpc::ByteBuffer;

  void AcquireLock(std::shared_ptr<rpc::AsyncCall> call, const v1::AcquireLockRequest& request,
                   v1::AcquireLockResponse& response);
  absl::Status RenewLock(rpc::Call& call, const v1::RenewLockRequest& request,
                         v1::RenewLockResponse& response);
  absl::Status ReleaseLock(rpc::Call& call, const v1::ReleaseLockRequest& request,
                           v1::ReleaseLockResponse& response);
  absl::Status GetLock(rpc::Call& call, const v1::GetLockRequest& request,
                       v1::GetLockResponse& response);
  absl::Status ListLocks(rpc::Call& call, const v1::ListLocksRequest& request,
                         v1::ListLocksResponse& response);

  grpc::ServerUnaryReactor* Acquire(grpc::CallbackServerContext* c, const Bytes* q,
                                    Bytes* p) override {
    return acquire_.UnaryAsync(c, q, p, &LockService::AcquireLock, this);
  }
  grpc::ServerUnaryReactor* Renew(grpc::CallbackServerContext* c, const Bytes* q,
                                  Bytes* p) override {
    return renew_.Unary(c, q, p, &LockService::RenewLock, this);
  }
  grpc::ServerUnaryReactor* Release(grpc::CallbackServerContext* c, const Bytes* q,
                                    Bytes* p) override {
    return release_.Unary(c, q, p, &LockService::ReleaseLock, this);
  }
  grpc::ServerUnaryReactor* Get(grpc::CallbackServerContext* c, const Bytes* q, Bytes* p) override {
    return get_.Unary(c, q, p, &LockService::GetLock, this);
  }
  grpc::ServerUnaryReactor* List(grpc::CallbackServerContext* c, const Bytes* q,
                                 Bytes* p) override {
    return list_.Unary(c, q, p, &LockService::ListLocks, this);
  }

  const keys::ShardedTypes& types_;
  Acquiring& acquiring_;
  rpc::Method acquire_;
  rpc::Method renew_;
  rpc::Method release_;
  rpc::Method get_;
  rpc::Method list_;
};

}  // namespace saldo::locks
