// What an owner of client_lock{client_id=1} does, by plain calls of a server.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "common/rpc/errors.h"
#include "google/rpc/error_details.pb.h"
#include "grpcpp/create_channel.h"
#include "saldo/v1/account_service.grpc.pb.h"
#include "saldo/v1/lock_service.grpc.pb.h"

namespace saldo::testing {

class OwnerCalls {
 public:
  explicit OwnerCalls(const std::string& address)
      : channel_(grpc::CreateChannel(address, grpc::InsecureChannelCredentials())),
        locks_(v1::LockService::NewStub(channel_)),
        accounts_(v1::AccountService::NewStub(channel_)) {}

  // The token. Waits up to 20 seconds for the lock.
  absl::StatusOr<int64_t> Acquire(const std::string& owner, int ttl_seconds) {
    v1::AcquireLockRequest request;
    request.set_type("client_lock");
    (*request.mutable_key())["client_id"] = "1";
    request.set_owner(owner);
    request.set_mode(v1::LOCK_MODE_EXCLUSIVE);
    request.mutable_ttl()->set_seconds(ttl_seconds);
    request.mutable_wait()->set_seconds(20);
    grpc::ClientContext context;
    SetDeadline(context);
    v1::AcquireLockResponse response;
    const grpc::Status status = locks_->Acquire(&context, request, &response);
    if (!status.ok()) return rpc::FromGrpcStatus(status);
    return response.token();
  }

  // "OK", or why not, by the reason of the error.
  std::string Write(const std::string& request_id, int64_t token) {
    v1::WriteEventsRequest request;
    request.set_request_id(request_id);
    v1::NewEvent* const event = request.add_events();
    event->mutable_account()->set_type("agency_reward");
    (*event->mutable_account()->mutable_key())["agency_id"] = "1";
    (*event->mutable_account()->mutable_key())["contract"] = "c";
    event->set_side(v1::SIDE_CREDIT);
    event->set_amount("1");
    v1::LockToken* const lock = request.add_lock_tokens();
    lock->set_type("client_lock");
    (*lock->mutable_key())["client_id"] = "1";
    lock->set_token(token);
    grpc::ClientContext context;
    SetDeadline(context);
    v1::WriteEventsResponse response;
    const grpc::Status status = accounts_->WriteEvents(&context, request, &response);
    if (status.ok()) return "OK";
    google::rpc::ErrorInfo info;
    return rpc::GetDetail(rpc::FromGrpcStatus(status), &info) ? info.reason()
                                                              : status.error_message();
  }

 private:
  static void SetDeadline(grpc::ClientContext& context) {
    context.set_deadline(absl::ToChronoTime(absl::Now() + absl::Seconds(60)));
  }

  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::LockService::Stub> locks_;
  std::unique_ptr<v1::AccountService::Stub> accounts_;
};

}  // namespace saldo::testing
