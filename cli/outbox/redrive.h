// Sending dead letters anew, in bounded transactions.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "common/base/call_context.h"
#include "common/postgres/connection.h"

namespace saldo::cli::outbox {

// Of one transaction, which is one batch. A single message may be larger.
inline constexpr int64_t kRedriveMessagesMax = 1000;
inline constexpr int64_t kRedriveBytesMax = 16 << 20;

struct RedriveResult {
  int64_t messages = 0;
  int64_t transactions = 0;
  absl::Status status;  // why it ended early; the messages above are sent anew all the same
};

// These, each once. Nothing is done when one of them does not wait.
RedriveResult RedriveIds(postgres::Connection& connection, const CallContext& context,
                         std::vector<int64_t> ids);

// Those that wait at the start, the first `limit` of them by id.
RedriveResult RedriveAll(postgres::Connection& connection, const CallContext& context,
                         int64_t limit);

}  // namespace saldo::cli::outbox
