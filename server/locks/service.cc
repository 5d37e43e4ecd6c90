#include "server/locks/service.h"

#include <algorithm>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "common/base/status_macros.h"
#include "common/rpc/timestamps.h"
#include "server/keys/attributes.h"
#include "server/locks/rules.h"

namespace saldo::locks {
namespace {

using Api = v1::LockService;

}  // namespace

LockService::LockService(const keys::ShardedTypes& types, Acquiring& acquiring,
                         rpc::Dispatcher& dispatcher)
    : types_(types),
      acquiring_(acquiring),
      acquire_(dispatcher, Api::service_full_name(), "Acquire"),
      renew_(dispatcher, Api::service_full_name(), "Renew"),
      release_(dispatcher, Api::service_full_name(), "Release"),
      get_(dispatcher, Api::service_full_name(), "Get"),
      list_(dispatcher, Api::service_full_name(), "List") {}

void LockService::AcquireLock(std::shared_ptr<rpc::AsyncCall> call,
                              const v1::AcquireLockRequest& request,
                              v1::AcquireLockResponse& response) {
  absl::StatusOr<AcquireCheck> check = Check(request, types_);
  if (!check.ok()) return call->Finish(check.status());
  const CallContext context = call->context();
  const trace::SpanContext trace = call->trace_context();
  acquiring_.Acquire(*std::move(check), context, trace,
                     [call = std::move(call), &response](absl::StatusOr<Granted> granted) {
                       if (granted.ok()) {
                         response.set_token(granted->token);
                         *response.mutable_expires_at() = rpc::ToTimestamp(granted->expires_at);
                       }
                       call->Finish(granted.status());
                     });
}

absl::Status LockService::RenewLock(rpc::Call& call, const v1::RenewLockRequest& request,
                                    v1::RenewLockResponse& response) {
  SALDO_ASSIGN_OR_RETURN(const TokenCheck check, Check(request, types_));
  const size_t shard = check.place.shard;
  const absl::StatusOr<absl::Time> end =
      acquiring_.store(shard).Renew(call.context(), check.place.lock, check.token, check.ttl);
  if (!end.ok()) return types_.shards().Named(shard, end.status());
  *response.mutable_expires_at() = rpc::ToTimestamp(*end);
  return absl::OkStatus();
}

absl::Status LockService::ReleaseLock(rpc::Call& call, const v1::ReleaseLockRequest& request,
                                      v1::ReleaseLockResponse&) {
  SALDO_ASSIGN_OR_RETURN(const TokenCheck check, Check(request, types_));
  const size_t shard = check.place.shard;
  return types_.shards().Named(
      shard, acquiring_.store(shard).Release(call.context(), check.place.lock, check.token));
}

absl::Status LockService::GetLock(rpc::Call& call, const v1::GetLockRequest& request,
                                  v1::GetLockResponse& response) {
  SALDO_ASSIGN_OR_RETURN(const Place place, Check(request, types_));
  const auto found = acquiring_.store(place.shard).Get(call.context(), place.lock);
  if (!found.ok()) return types_.shards().Named(place.shard, found.status());
  for (const Holder& holder : found->first) *response.add_holders() = ToMessage(holder);
  response.set_waiting(static_cast<int32_t>(found->second));
  return absl::OkStatus();
}

absl::Status LockService::ListLocks(rpc::Call& call, const v1::ListLocksRequest& request,
                                    v1::ListLocksResponse& response) {
  SALDO_ASSIGN_OR_RETURN(const ListCheck check, Check(request, types_));
  absl::Mutex mutex;
  std::vector<KeyedHolder> all;
  // Each shard gives what may be on the page, and one more, which tells whether there is another.
  const auto read = [&](size_t shard) -> absl::Status {
    SALDO_ASSIGN_OR_RETURN(
        std::vector<KeyedHolder> part,
        acquiring_.store(shard).List(call.context(), check.type->name, check.after_key,
                                     check.after_token, check.limit + 1));
    absl::MutexLock lock(&mutex);
    std::move(part.begin(), part.end(), std::back_inserter(all));
    return absl::OkStatus();
  };
  SALDO_RETURN_IF_ERROR(types_.shards().ForAll(read));
  std::sort(all.begin(), all.end(), [](const KeyedHolder& a, const KeyedHolder& b) {
    return std::tie(a.key, a.holder.token) < std::tie(b.key, b.holder.token);
  });
  if (static_cast<int64_t>(all.size()) > check.limit) {
    all.resize(static_cast<size_t>(check.limit));
    response.set_next_page_token(
        MakePageToken(check.type->name, all.back().key, all.back().holder.token));
  }
  for (const KeyedHolder& held : all) {
    v1::HeldLock* const message = response.add_locks();
    keys::DecodeValues(check.type->key, held.key, message->mutable_key());
    *message->mutable_holder() = ToMessage(held.holder);
  }
  return absl::OkStatus();
}

}  // namespace saldo::locks
