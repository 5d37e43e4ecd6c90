#include "server/outbox/transact.h"

#include "common/base/status_macros.h"

namespace saldo::outbox {

absl::Status Transact(
    postgres::Pool& pool, const Outbox& outbox, const CallContext& context,
    const postgres::TransactionOptions& options,
    absl::FunctionRef<absl::StatusOr<std::vector<Message>>(postgres::Transaction&)> change) {
  bool appended = false;
  SALDO_RETURN_IF_ERROR(
      pool.Transact(context, options, [&](postgres::Transaction& tx) -> absl::Status {
        SALDO_ASSIGN_OR_RETURN(const std::vector<Message> messages, change(tx));
        appended = !messages.empty();
        return appended ? outbox.Append(tx, messages) : absl::OkStatus();
      }));
  if (appended) outbox.Committed();
  return absl::OkStatus();
}

}  // namespace saldo::outbox
