// AccountService: checks a request, has the writer or the reader do it, and answers.
#pragma once

#include <functional>
#include <memory>

#include "absl/status/status.h"
#include "common/observability/metrics.h"
#include "common/rpc/dispatcher.h"
#include "saldo/v1/account_service.grpc.pb.h"
#include "server/accounts/reading/reader.h"
#include "server/accounts/types/account_type.h"
#include "server/accounts/writing/writer.h"

namespace saldo::accounts {

namespace internal {

// Each method takes its messages as bytes, see rpc::Method.
using Api = v1::AccountService;
using RawWritingApi = Api::WithRawCallbackMethod_WriteEvents<
    Api::WithRawCallbackMethod_WriteEventsStream<Api::Service>>;
using RawAccountApi =
    Api::WithRawCallbackMethod_GetBalance<Api::WithRawCallbackMethod_BatchGetBalances<
        Api::WithRawCallbackMethod_GetTurnover<Api::WithRawCallbackMethod_ListTurnovers<
            Api::WithRawCallbackMethod_ListEvents<RawWritingApi>>>>>;

}  // namespace internal

class AccountService final : public internal::RawAccountApi {
 public:
  // The types that hold at the moment.
  using Types = std::function<std::shared_ptr<const AccountTypes>()>;

  // All arguments outlive the service.
  AccountService(Types types, Writer& writer, BalanceReader& reader, rpc::Dispatcher& dispatcher,
                 metrics::Registry& registry);

 private:
  using Bytes = grpc::ByteBuffer;

  // Checks and hands over to the writer, which answers.
  void Write(std::shared_ptr<rpc::AsyncCall> call, const v1::WriteEventsRequest& request,
             v1::WriteEventsResponse& response);
  void WriteOfStream(std::shared_ptr<rpc::StreamItem> item, const v1::WriteEventsRequest& request,
                     v1::WriteEventsStreamResponse& response);

  // Counts a request that was not written, by the reason of its ErrorInfo or by its code.
  void Count(const absl::Status& status);

  // Has the reader answer, with the types of this moment.
  template <auto kRead, typename Request, typename Response>
  absl::Status Read(rpc::Call& call, const Request& request, Response& response) {
    return (reader_.*kRead)(call.context(), *types_(), request, response);
  }

  grpc::ServerUnaryReactor* WriteEvents(grpc::CallbackServerContext* c, const Bytes* q,
                                        Bytes* p) override {
    return write_.UnaryAsync(c, q, p, &AccountService::Write, this);
  }
  grpc::ServerBidiReactor<Bytes, Bytes>* WriteEventsStream(
      grpc::CallbackServerContext* c) override {
    return write_stream_.Stream(c, &AccountService::WriteOfStream, this);
  }

  grpc::ServerUnaryReactor* GetBalance(grpc::CallbackServerContext* c, const Bytes* q,
                                       Bytes* p) override {
    return get_balance_.Unary(c, q, p,
                              &AccountService::Read<&BalanceReader::GetBalance,
                                                    v1::GetBalanceRequest, v1::GetBalanceResponse>,
                              this);
  }
  grpc::ServerUnaryReactor* BatchGetBalances(grpc::CallbackServerContext* c, const Bytes* q,
                                             Bytes* p) override {
    return batch_get_balances_.Unary(
        c, q, p,
        &AccountService::Read<&BalanceReader::BatchGetBalances, v1::BatchGetBalancesRequest,
                              v1::BatchGetBalancesResponse>,
        this);
  }
  grpc::ServerUnaryReactor* GetTurnover(grpc::CallbackServerContext* c, const Bytes* q,
                                        Bytes* p) override {
    return get_turnover_.Unary(
        c, q, p,
        &AccountService::Read<&BalanceReader::GetTurnover, v1::GetTurnoverRequest,
                              v1::GetTurnoverResponse>,
        this);
  }
  grpc::ServerUnaryReactor* ListTurnovers(grpc::CallbackServerContext* c, const Bytes* q,
                                          Bytes* p) override {
    return list_turnovers_.Unary(
        c, q, p,
        &AccountService::Read<&BalanceReader::ListTurnovers, v1::ListTurnoversRequest,
                              v1::ListTurnoversResponse>,
        this);
  }
  grpc::ServerUnaryReactor* ListEvents(grpc::CallbackServerContext* c, const Bytes* q,
                                       Bytes* p) override {
    return list_events_.Unary(c, q, p,
                              &AccountService::Read<&BalanceReader::ListEvents,
                                                    v1::ListEventsRequest, v1::ListEventsResponse>,
                              this);
  }

  const Types types_;
  Writer& writer_;
  BalanceReader& reader_;
  metrics::Registry& registry_;
  rpc::Method write_;
  rpc::StreamMethod write_stream_;
  rpc::Method get_balance_;
  rpc::Method batch_get_balances_;
  rpc::Method get_turnover_;
  rpc::Method list_turnovers_;
  rpc::Method list_events_;
};

}  // namespace saldo::accounts
