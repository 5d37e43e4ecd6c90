// StateService: reads a state itself, and has the ledger's writer change it.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/rpc/dispatcher.h"
#include "saldo/v1/state_service.grpc.pb.h"
#include "server/accounts/writing/writer.h"
#include "server/keys/keyed_types.h"
#include "server/shards/shard_set.h"
#include "server/states/extension.h"
#include "server/states/part.h"
#include "server/states/rules.h"

namespace saldo::states {

// Of a shard's ledger.
using WriterOfShard = std::function<accounts::Writer&(size_t shard)>;

namespace internal {

// Each method takes its messages as bytes, see rpc::Method.
using Api = v1::StateService;
using RawStateApi = Api::WithRawCallbackMethod_Get<
    Api::WithRawCallbackMethod_Put<Api::WithRawCallbackMethod_Delete<Api::Service>>>;

}  // namespace internal

class StateService final : public internal::RawStateApi {
 public:
  // All arguments outlive the service.
  StateService(shards::ShardSet& shards, TypesOfShard types, WriterOfShard writers,
               const StatesPart& part, rpc::Dispatcher& dispatcher);

 private:
  using Bytes = grpc::ByteBuffer;

  // A request that was checked, and where it belongs.
  template <typename Checked>
  struct Placed {
    size_t shard;
    std::shared_ptr<const keys::KeyedTypes> types;
    Checked checked;
  };
  template <typename Checked, typename Request>
  absl::StatusOr<Placed<Checked>> Place(const Request& request) const;

  absl::Status Read(rpc::Call& call, const v1::GetStateRequest& request,
                    v1::GetStateResponse& response);
  void PutOne(std::shared_ptr<rpc::AsyncCall> call, const v1::PutStateRequest& request,
              v1::PutStateResponse& response);
  void DeleteOne(std::shared_ptr<rpc::AsyncCall> call, const v1::DeleteStateRequest& request,
                 v1::DeleteStateResponse& response);
  // Has the writer make the change of a request, and then answers; `fill` gets the version first.
  template <typename Request, typename Fill>
  void Submit(std::shared_ptr<rpc::AsyncCall> call, const Request& request, Fill fill);

  grpc::ServerUnaryReactor* Get(grpc::CallbackServerContext* c, const Bytes* q, Bytes* p) override {
    return get_.Unary(c, q, p, &StateService::Read, this);
  }
  grpc::ServerUnaryReactor* Put(grpc::CallbackServerContext* c, const Bytes* q, Bytes* p) override {
    return put_.UnaryAsync(c, q, p, &StateService::PutOne, this);
  }
  grpc::ServerUnaryReactor* Delete(grpc::CallbackServerContext* c, const Bytes* q,
                                   Bytes* p) override {
    return delete_.UnaryAsync(c, q, p, &StateService::DeleteOne, this);
  }

  shards::ShardSet& shards_;
  const TypesOfShard types_;
  const WriterOfShard writers_;
  const StatesPart& part_;
  rpc::Method get_;
  rpc::Method put_;
  rpc::Method delete_;
};

}  // namespace saldo::states
