// A change of the database and the messages about it, both or neither.
#pragma once

#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/base/call_context.h"
#include "common/postgres/pool.h"
#include "server/outbox/outbox.h"

namespace saldo::outbox {

// Runs `change` in a transaction, as Pool::Transact does (so perhaps more than once), appends the
// messages that it returns, commits, and reports the commit to the outbox. `change` takes all its
// row locks itself; with no messages nothing is appended.
absl::Status Transact(
    postgres::Pool& pool, const Outbox& outbox, const CallContext& context,
    const postgres::TransactionOptions& options,
    absl::FunctionRef<absl::StatusOr<std::vector<Message>>(postgres::Transaction&)> change);

}  // namespace saldo::outbox
