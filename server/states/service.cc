#include "server/states/service.h"

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "common/base/status_macros.h"
#include "common/observability/trace.h"
#include "common/rpc/errors.h"
#include "common/rpc/timestamps.h"
#include "server/accounts/writing/fingerprint.h"
#include "server/states/store.h"

namespace saldo::states {
namespace {

using Api = v1::StateService;

constexpr absl::Duration kRedefinedRetry = absl::Seconds(1);

const StateName& NameOf(const StateName& name) { return name; }
const StateName& NameOf(const Change& change) { return change.name; }

}  // namespace

StateService::StateService(shards::ShardSet& shards, TypesOfShard types, WriterOfShard writers,
                           const StatesPart& part, rpc::Dispatcher& dispatcher)
    : shards_(shards),
      types_(std::move(types)),
      writers_(std::move(writers)),
      part_(part),
      get_(dispatcher, Api::service_full_name(), "Get"),
      put_(dispatcher, Api::service_full_name(), "Put"),
      delete_(dispatcher, Api::service_full_name(), "Delete") {}

// The types of any shard tell where a state belongs; the shard's own tell what its database holds.
template <typename Checked, typename Request>
absl::StatusOr<StateService::Placed<Checked>> StateService::Place(const Request& request) const {
  size_t any = shards_.AnyStarted();
  SALDO_RETURN_IF_ERROR(shards_.Check(any));
  std::shared_ptr<const keys::KeyedTypes> types = types_(any);
  const auto knows = [&] {
    return types->Find(keys::KeyedKind::kState, request.type()) != nullptr;
  };
  // A shard that was away when the types were reloaded does not know the new ones.
  for (size_t i = 0; !knows() && i < shards_.size(); ++i) {
    if (!shards_.Check(i).ok()) continue;
    types = types_(i);
    any = i;
  }
  SALDO_ASSIGN_OR_RETURN(Checked checked, Check(request, *types));
  const size_t shard = ShardOf(shards_.map(), NameOf(checked));
  if (shard != any) {
    SALDO_RETURN_IF_ERROR(shards_.Check(shard));
    types = types_(shard);
    SALDO_ASSIGN_OR_RETURN(checked, Check(request, *types));
    if (ShardOf(shards_.map(), NameOf(checked)) != shard) {
      return rpc::WithRetryInfo(
          absl::UnavailableError("the types of states are being redefined on this server"),
          kRedefinedRetry);
    }
  }
  return Placed<Checked>{.shard = shard, .types = std::move(types), .checked = std::move(checked)};
}

absl::Status StateService::Read(rpc::Call& call, const v1::GetStateRequest& request,
                                v1::GetStateResponse& response) {
  SALDO_ASSIGN_OR_RETURN(const Placed<StateName> placed, Place<StateName>(request));
  const StateName& name = placed.checked;
  trace::Span span("StateStore.Read");
  absl::StatusOr<std::optional<State>> state =
      ReadState(shards_.pool(placed.shard), call.context(), name.type->name, name.key);
  span.SetStatus(state.status());
  SALDO_RETURN_IF_ERROR(shards_.Named(placed.shard, state.status()));
  if (!state->has_value()) return rpc::NotFound("state", name.type->Describe(name.key));
  response.set_document(std::move((*state)->document));
  response.set_version((*state)->version);
  *response.mutable_updated_at() = rpc::ToTimestamp((*state)->updated_at);
  return absl::OkStatus();
}

template <typename Request, typename Fill>
void StateService::Submit(std::shared_ptr<rpc::AsyncCall> call, const Request& request, Fill fill) {
  absl::StatusOr<Placed<Change>> placed = Place<Change>(request);
  if (!placed.ok()) return call->Finish(placed.status());
  const size_t shard = placed->shard;
  std::vector<Change> changes;
  changes.push_back(std::move(placed->checked));
  accounts::WriteRequest write;
  // Apart from the ids of WriteEvents, which have no such character.
  write.id = absl::StrCat("\x1fstate\x1f", request.request_id());
  write.fingerprint = accounts::FingerprintOf(std::string_view("state"));
  accounts::Attach(std::make_shared<StateChanges>(part_, std::move(placed->types),
                                                  request.request_id(), std::move(changes)),
                   &write);
  const CallContext context = call->context();
  const trace::SpanContext trace = call->trace_context();
  writers_(shard).Submit(
      std::move(write), context, trace,
      [this, shard, fill, call = std::move(call)](absl::StatusOr<accounts::Written> written) {
        if (written.ok()) fill(written->batch_id);
        call->Finish(shards_.Named(shard, written.status()));
      });
}

void StateService::PutOne(std::shared_ptr<rpc::AsyncCall> call, const v1::PutStateRequest& request,
                          v1::PutStateResponse& response) {
  Submit(std::move(call), request, [&response](int64_t version) { response.set_version(version); });
}

void StateService::DeleteOne(std::shared_ptr<rpc::AsyncCall> call,
                             const v1::DeleteStateRequest& request, v1::DeleteStateResponse&) {
  Submit(std::move(call), request, [](int64_t) {});
}

}  // namespace saldo::states
