// The account types as the database knows them: their ids, and what they were when it was last used
// with them.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/base/call_context.h"
#include "common/postgres/pool.h"
#include "server/accounts/types/account_type.h"

namespace saldo::accounts {

class TypeStore {
 public:
  // `pool` outlives the store.
  explicit TypeStore(postgres::Pool& pool) : pool_(pool) {}

  // Makes the database fit the configured types and answers them with their ids and keeps_balance:
  // a new type gets a row and partitions for its events, a changed one its new definition. A type
  // that is gone and has no accounts is left alone. FAILED_PRECONDITION with the faults (faults.h),
  // and nothing changed, when what is stored forbids a change.
  // Servers that start together do this one after the other.
  absl::StatusOr<std::vector<AccountType>> Sync(const CallContext& context,
                                                const std::vector<AccountType>& configured);

  // Stores where the accounting day begins, at the first start of all; later it must be the same.
  // INVALID_ARGUMENT when PostgreSQL does not know the zone, FAILED_PRECONDITION when it is another
  // one than the stored.
  absl::Status FixTimeZone(const CallContext& context, const std::string& time_zone);

 private:
  postgres::Pool& pool_;
};

}  // namespace saldo::accounts
