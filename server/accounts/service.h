// AccountService: checks a request, has the writer or the reader do it, and answers.
#pragma once

#include <functional>
#include <memory>

#include "absl/status/status.h"
#include "common/rpc/dispatcher.h"
#include "saldo/v1/account_service.grpc.pb.h"
#include "server/accounts/types/account_type.h"
#include "server/accounts/writing/writer.h"

namespace saldo::accounts {

namespace internal {

// Each method takes its messages as bytes, see rpc::Method.
using Api = v1::AccountService;
using RawAccountApi = Api::WithRawCallbackMethod_WriteEvents<
    Api::WithRawCallbackMethod_WriteEventsStream<Api::Service>>;

}  // namespace internal

class AccountService final : public internal::RawAccountApi {
 public:
  // The types that hold at the moment.
  using Types = std::function<std::shared_ptr<const AccountTypes>()>;

  // All arguments outlive the service.
  AccountService(Types types, Writer& writer, rpc::Dispatcher& dispatcher);

 private:
  using Bytes = grpc::ByteBuffer;

  // Checks and hands over to the writer, which answers.
  void Write(std::shared_ptr<rpc::AsyncCall> call, const v1::WriteEventsRequest& request,
             v1::WriteEventsResponse& response);
  void WriteOfStream(std::shared_ptr<rpc::StreamItem> item, const v1::WriteEventsRequest& request,
                     v1::WriteEventsStreamResponse& response);

  grpc::ServerUnaryReactor* WriteEvents(grpc::CallbackServerContext* c, const Bytes* q,
                                        Bytes* p) override {
    return write_.UnaryAsync(c, q, p, &AccountService::Write, this);
  }
  grpc::ServerBidiReactor<Bytes, Bytes>* WriteEventsStream(
      grpc::CallbackServerContext* c) override {
    return write_stream_.Stream(c, &AccountService::WriteOfStream, this);
  }

  const Types types_;
  Writer& writer_;
  rpc::Method write_;
  rpc::StreamMethod write_stream_;
};

}  // namespace saldo::accounts
