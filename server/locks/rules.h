// What requests about locks must be like. Pure, but for the types of this moment.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "saldo/v1/lock_service.pb.h"
#include "server/keys/sharded_types.h"
#include "server/locks/store.h"

namespace saldo::locks {

inline constexpr absl::Duration kTtlMin = absl::Milliseconds(100);
inline constexpr absl::Duration kTtlMax = absl::Hours(24);
inline constexpr absl::Duration kWaitMax = absl::Seconds(60);
inline constexpr size_t kOwnerBytesMax = 128;
inline constexpr int32_t kPageDefault = 100;
inline constexpr int32_t kPageMax = 1'000;

// A lock, and its shard.
struct Place {
  size_t shard = 0;
  LockName lock;
};
struct AcquireCheck {
  size_t shard = 0;
  Claim claim;
  absl::Duration wait;
};
struct TokenCheck {
  Place place;
  int64_t token = 0;
  absl::Duration ttl;  // of a renewal
};
struct ListCheck {
  std::shared_ptr<const keys::KeyedTypes> types;  // keeps `type` alive
  const keys::KeyedType* type = nullptr;
  std::string after_key;
  int64_t after_token = 0;
  int64_t limit = 0;
};

// INVALID_ARGUMENT with a BadRequest, or UNAVAILABLE while the lock's shard is away.
absl::StatusOr<AcquireCheck> Check(const v1::AcquireLockRequest& request,
                                   const keys::ShardedTypes& types);
absl::StatusOr<TokenCheck> Check(const v1::RenewLockRequest& request,
                                 const keys::ShardedTypes& types);
absl::StatusOr<TokenCheck> Check(const v1::ReleaseLockRequest& request,
                                 const keys::ShardedTypes& types);
absl::StatusOr<Place> Check(const v1::GetLockRequest& request, const keys::ShardedTypes& types);
absl::StatusOr<ListCheck> Check(const v1::ListLocksRequest& request,
                                const keys::ShardedTypes& types);

// Where a page of ListLocksRequest ended: fits no other type.
std::string MakePageToken(const std::string& type, const std::string& key, int64_t token);

v1::LockHolder ToMessage(const Holder& holder);

}  // namespace saldo::locks
