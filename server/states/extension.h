// States that WriteEvents puts together with its events.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>

#include "absl/status/status.h"
#include "common/shards/shard_map.h"
#include "server/accounts/writing/request_extension.h"
#include "server/keys/keyed_types.h"
#include "server/states/part.h"

namespace saldo::states {

// The types of this moment, as a shard's database knows them. Null until that shard has started.
using TypesOfShard = std::function<std::shared_ptr<const keys::KeyedTypes>(size_t shard)>;

class StateExtension final : public accounts::RequestExtension {
 public:
  // `map` and `part` outlive it.
  StateExtension(const shards::ShardMap& map, TypesOfShard types, const StatesPart& part)
      : map_(map), types_(std::move(types)), part_(part) {}

  absl::Status Extend(const v1::WriteEventsRequest& request, size_t shard,
                      accounts::WriteRequest* checked) const override;

 private:
  const shards::ShardMap& map_;
  const TypesOfShard types_;
  const StatesPart& part_;
};

}  // namespace saldo::states
