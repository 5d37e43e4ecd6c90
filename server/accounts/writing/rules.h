// Which requests to write events are right in themselves. Pure.
#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "saldo/v1/account_service.pb.h"
#include "server/accounts/types/account_type.h"
#include "server/accounts/writing/request.h"

namespace saldo::accounts {

inline constexpr int kEventsMax = 10'000;                      // of one request
inline constexpr size_t kInfoBytesMax = 4096;                  // of one event
inline constexpr absl::Duration kFutureMax = absl::Hours(24);  // how far ahead an event may lie
extern const absl::Time kOccurredMin;                          // 2000-01-01
// Amounts are below it.
inline constexpr Decimal kAmountEnd = Decimal::FromInteger(1'000'000'000'000'000);

// The request as the writer takes it. INVALID_ARGUMENT with a BadRequest that names every field at
// fault (and the limit), or FAILED_PRECONDITION when it demands to be balanced and is not.
absl::StatusOr<WriteRequest> Check(const v1::WriteEventsRequest& request,
                                   std::shared_ptr<const AccountTypes> types, absl::Time now);

}  // namespace saldo::accounts
