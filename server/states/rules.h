// Which requests about states are right in themselves. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/shards/shard_map.h"
#include "saldo/v1/account_service.pb.h"
#include "saldo/v1/state_service.pb.h"
#include "server/accounts/writing/request.h"
#include "server/keys/keyed_types.h"

namespace saldo::states {

// Of one WriteEvents.
inline constexpr int kStatesMax = 16;

// Which state. The type is one of the set that a request was checked by.
struct StateName {
  const keys::KeyedType* type = nullptr;
  std::string key;  // encoded, see keys/attributes.h
};

// "client_id=17", for people.
std::string DescribeKey(const StateName& name);
size_t ShardOf(const shards::ShardMap& map, const StateName& name);

struct Change {
  StateName name;
  std::optional<std::string> document;  // none: it is removed
  // The version that it must have, 0 for a state that must not be there. None: any.
  std::optional<int64_t> expected;
};

// A request as the rest of the slice takes it, or INVALID_ARGUMENT with a BadRequest that names
// every field at fault.
absl::StatusOr<StateName> Check(const v1::GetStateRequest& request, const keys::KeyedTypes& types);
absl::StatusOr<Change> Check(const v1::PutStateRequest& request, const keys::KeyedTypes& types);
absl::StatusOr<Change> Check(const v1::DeleteStateRequest& request, const keys::KeyedTypes& types);
// The states of `request`, in its order. `checked` are its events, which lie in `shard`; the states
// must do so, too.
absl::StatusOr<std::vector<Change>> CheckStates(const v1::WriteEventsRequest& request,
                                                const keys::KeyedTypes& types,
                                                const shards::ShardMap& map, size_t shard,
                                                const accounts::WriteRequest& checked);

}  // namespace saldo::states
