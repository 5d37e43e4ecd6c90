// How other slices take part in WriteEvents: what a request asks for beside its events becomes an
// attachment of it.
#pragma once

#include <cstddef>

#include "absl/status/status.h"
#include "saldo/v1/account_service.pb.h"
#include "server/accounts/writing/request.h"

namespace saldo::accounts {

// Outlives the service. Thread-safe.
class RequestExtension {
 public:
  virtual ~RequestExtension() = default;
  // Adds to `checked`, the events of `request` after their checks, what the slice has to do with it
  // (see Attach), if anything. `shard` is where the events go. Called on gRPC's own thread, so it
  // waits for nothing. INVALID_ARGUMENT with a BadRequest, also for what is on another shard.
  virtual absl::Status Extend(const v1::WriteEventsRequest& request, size_t shard,
                              WriteRequest* checked) const = 0;
};

}  // namespace saldo::accounts
