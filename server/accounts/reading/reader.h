// Balances, turnovers and lists of events: one method for each RPC that only reads.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/base/call_context.h"
#include "common/postgres/pool.h"
#include "saldo/v1/account_service.pb.h"
#include "server/accounts/reading/store.h"
#include "server/accounts/types/account_type.h"

namespace saldo::accounts {

// Thread-safe. Every method checks its request, answers from one snapshot, and fails as
// account_service.proto says. `types` are those of the moment of the call. "Now" is this server's
// clock and a second, for the clocks of servers differ and what was acknowledged must be seen.
class BalanceReader {
 public:
  static constexpr int kAccountsMax = 1000;  // of BatchGetBalances

  // `pool` outlives the reader.
  explicit BalanceReader(postgres::Pool& pool) : store_(pool) {}

  absl::Status GetBalance(const CallContext& context, const AccountTypes& types,
                          const v1::GetBalanceRequest& request, v1::GetBalanceResponse& response);
  absl::Status BatchGetBalances(const CallContext& context, const AccountTypes& types,
                                const v1::BatchGetBalancesRequest& request,
                                v1::BatchGetBalancesResponse& response);
  absl::Status GetTurnover(const CallContext& context, const AccountTypes& types,
                           const v1::GetTurnoverRequest& request,
                           v1::GetTurnoverResponse& response);
  absl::Status ListTurnovers(const CallContext& context, const AccountTypes& types,
                             const v1::ListTurnoversRequest& request,
                             v1::ListTurnoversResponse& response);
  absl::Status ListEvents(const CallContext& context, const AccountTypes& types,
                          const v1::ListEventsRequest& request, v1::ListEventsResponse& response);

 private:
  ReadingStore store_;
};

}  // namespace saldo::accounts
