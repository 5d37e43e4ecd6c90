// AccountService: finds the shard of a request, checks the request, has the shard's writer or
// reader do it, and answers.
#pragma once

#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/observability/metrics.h"
#include "common/rpc/dispatcher.h"
#include "saldo/v1/account_service.grpc.pb.h"
#include "server/accounts/reading/reader.h"
#include "server/accounts/shard_ledger.h"
#include "server/accounts/types/account_type.h"
#include "server/accounts/writing/request_extension.h"
#include "server/accounts/writing/writer.h"
#include "server/shards/shard_set.h"

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
  // `ledgers` are those of `shards`, in their order. All arguments outlive the service.
  AccountService(shards::ShardSet& shards, absl::Span<const std::unique_ptr<ShardLedger>> ledgers,
                 rpc::Dispatcher& dispatcher, metrics::Registry& registry);

  // Before the first call: extends WriteEvents, in the order of adding. It outlives the service.
  void Add(const RequestExtension& extension) { extensions_.push_back(&extension); }

 private:
  using Bytes = grpc::ByteBuffer;

  // Where a request is done, and the types that it is checked by: the shard's own, for ids differ.
  struct Target {
    size_t shard;
    std::shared_ptr<const AccountTypes> types;
  };
  struct CheckedWrite {
    size_t shard;
    WriteRequest request;
  };

  // That of an account. Where the request names none, any that can tell what is wrong with it.
  // UNAVAILABLE when the shard has not started or is away.
  absl::StatusOr<Target> TargetOf(const v1::AccountKey& account) const;
  absl::StatusOr<CheckedWrite> CheckWrite(const v1::WriteEventsRequest& request) const;

  // Checks and hands over to the writer, which answers.
  void Write(std::shared_ptr<rpc::AsyncCall> call, const v1::WriteEventsRequest& request,
             v1::WriteEventsResponse& response);
  void WriteOfStream(std::shared_ptr<rpc::StreamItem> item, const v1::WriteEventsRequest& request,
                     v1::WriteEventsStreamResponse& response);

  // Counts a request that was not written, by the reason of its ErrorInfo or by its code.
  void Count(const absl::Status& status);

  // Has the reader of the account's shard answer, with the types of this moment.
  template <auto kRead, typename Request, typename Response>
  absl::Status Read(rpc::Call& call, const Request& request, Response& response) {
    const absl::StatusOr<Target> target = TargetOf(request.account());
    if (!target.ok()) return target.status();
    BalanceReader& reader = ledgers_[target->shard]->reader();
    return shards_.Named(target->shard,
                         (reader.*kRead)(call.context(), *target->types, request, response));
  }
  // Asks each shard for its accounts, at the same time.
  absl::Status ReadBalances(rpc::Call& call, const v1::BatchGetBalancesRequest& request,
                            v1::BatchGetBalancesResponse& response);

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
    return batch_get_balances_.Unary(c, q, p, &AccountService::ReadBalances, this);
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

  shards::ShardSet& shards_;
  const absl::Span<const std::unique_ptr<ShardLedger>> ledgers_;
  std::vector<const RequestExtension*> extensions_;
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
