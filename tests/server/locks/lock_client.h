// A client of LockService, for the locks of the built-in example: client_lock{client_id}.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "common/rpc/errors.h"
#include "common/runtime/thread.h"
#include "grpcpp/channel.h"
#include "saldo/v1/lock_service.grpc.pb.h"
#include "tests/server/test_app.h"
#include "tests/support/test_env.h"

namespace saldo::server {

using LockApi = v1::LockService;

inline constexpr v1::LockMode kExclusive = v1::LOCK_MODE_EXCLUSIVE;
inline constexpr v1::LockMode kShared = v1::LOCK_MODE_SHARED;

template <typename Message>
void SetDuration(absl::Duration duration, Message* message) {
  message->set_seconds(absl::ToInt64Seconds(duration));
  message->set_nanos(
      static_cast<int32_t>((duration - absl::Seconds(message->seconds())) / absl::Nanoseconds(1)));
}

// Names client_lock{client_id=`client`}.
template <typename Request>
Request LockRequest(int client) {
  Request request;
  request.set_type("client_lock");
  (*request.mutable_key())["client_id"] = std::to_string(client);
  return request;
}

struct Ask {
  std::string owner;
  v1::LockMode mode = kExclusive;
  absl::Duration ttl = absl::Seconds(30);
  absl::Duration wait = absl::ZeroDuration();
  int client = 1;
};

inline v1::AcquireLockRequest ToRequest(const Ask& ask) {
  auto request = LockRequest<v1::AcquireLockRequest>(ask.client);
  request.set_owner(ask.owner);
  request.set_mode(ask.mode);
  SetDuration(ask.ttl, request.mutable_ttl());
  if (ask.wait > absl::ZeroDuration()) SetDuration(ask.wait, request.mutable_wait());
  return request;
}

struct LockClient {
  explicit LockClient(const std::shared_ptr<grpc::Channel>& channel)
      : stub(LockApi::NewStub(channel)) {}

  template <typename Request, typename Response>
  absl::Status Call(grpc::Status (LockApi::Stub::*method)(grpc::ClientContext*, const Request&,
                                                          Response*),
                    const Request& request, Response* response,
                    absl::Duration timeout = kPatience) const {
    ClientCall call(timeout);
    return rpc::FromGrpcStatus((stub.get()->*method)(&call.context, request, response));
  }

  // The token.
  absl::StatusOr<int64_t> Acquire(const Ask& ask, absl::Duration timeout = kPatience) const {
    v1::AcquireLockResponse response;
    const absl::Status status = Call(&LockApi::Stub::Acquire, ToRequest(ask), &response, timeout);
    if (!status.ok()) return status;
    return response.token();
  }
  absl::Status Renew(int64_t token, absl::Duration ttl, int client = 1) const {
    auto request = LockRequest<v1::RenewLockRequest>(client);
    request.set_token(token);
    SetDuration(ttl, request.mutable_ttl());
    v1::RenewLockResponse response;
    return Call(&LockApi::Stub::Renew, request, &response);
  }
  absl::Status Release(int64_t token, int client = 1) const {
    auto request = LockRequest<v1::ReleaseLockRequest>(client);
    request.set_token(token);
    v1::ReleaseLockResponse response;
    return Call(&LockApi::Stub::Release, request, &response);
  }
  v1::GetLockResponse Get(int client = 1) const {
    v1::GetLockResponse response;
    Call(&LockApi::Stub::Get, LockRequest<v1::GetLockRequest>(client), &response).IgnoreError();
    return response;
  }
  // So many calls wait for it.
  bool Waits(int calls, int client = 1) const {
    return testing::Eventually(kPatience, [&] { return Get(client).waiting() == calls; });
  }

  std::unique_ptr<LockApi::Stub> stub;
};

// A call in a thread of its own.
struct Waiter {
  Waiter(const LockClient& locks, const Ask& ask, absl::Duration timeout = kPatience)
      : thread("waiter", [this, &locks, ask, timeout] {
          context.set_deadline(absl::ToChronoTime(absl::Now() + timeout));
          v1::AcquireLockResponse response;
          const grpc::Status status = locks.stub->Acquire(&context, ToRequest(ask), &response);
          took = absl::Now() - began;
          if (status.ok()) {
            token = response.token();
          } else {
            token = rpc::FromGrpcStatus(status);
          }
        }) {}

  absl::StatusOr<int64_t> Join() {
    thread.Join();
    return token;
  }

  const absl::Time began = absl::Now();
  grpc::ClientContext context;
  absl::StatusOr<int64_t> token = absl::UnknownError("");
  absl::Duration took;
  runtime::Thread thread;
};

// Of an error's details, or its message.
inline std::string ReasonOf(const absl::Status& status) {
  const Details info = InfoOf(status);
  return info.empty() ? std::string(status.message()) : info.at("reason");
}

inline v1::LockToken TokenOf(int64_t token, int client = 1) {
  auto message = LockRequest<v1::LockToken>(client);
  message.set_token(token);
  return message;
}

}  // namespace saldo::server
