// The lock tokens of WriteEvents.
#pragma once

#include <cstddef>

#include "absl/status/status.h"
#include "server/accounts/writing/request_extension.h"
#include "server/keys/sharded_types.h"
#include "server/locks/part.h"

namespace saldo::locks {

inline constexpr int kTokensMax = 100;

class LockExtension final : public accounts::RequestExtension {
 public:
  // `types` and `part` outlive it.
  LockExtension(const keys::ShardedTypes& types, const LockTokensPart& part)
      : types_(types), part_(part) {}

  absl::Status Extend(const v1::WriteEventsRequest& request, size_t shard,
                      accounts::WriteRequest* checked) const override;

 private:
  const keys::ShardedTypes& types_;
  const LockTokensPart& part_;
};

}  // namespace saldo::locks
