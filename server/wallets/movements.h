// From what a wallet is to do to what the ledger writes: balanced events between a wallet and the
// other side of the movement, and the rows that go with them. Pure.
#pragma once

#include <memory>
#include <string>

#include "absl/time/time.h"
#include "server/accounts/writing/request.h"
#include "server/wallets/account_types.h"
#include "server/wallets/part.h"
#include "server/wallets/rules.h"

namespace saldo::wallets {

inline constexpr char kEventType[] = "saldo.v1.WalletEvent";

// What all movements of one moment on one shard share. `part` outlives the requests.
struct MovementContext {
  const WalletTypes& types;
  const WalletPart& part;
  absl::Time now;
};

// What a hold's end has to know of it; constant while the hold exists.
struct HoldFacts {
  std::string currency;
  Decimal amount;
};

accounts::WriteRequest Create(const MovementContext& context, const Creation& order);
accounts::WriteRequest Close(const MovementContext& context, const Closing& order,
                             const std::string& currency);
accounts::WriteRequest TopUp(const MovementContext& context, const Payment& order,
                             const std::string& currency);
accounts::WriteRequest Withdraw(const MovementContext& context, const Payment& order,
                                const std::string& currency);
// Between wallets of one shard.
accounts::WriteRequest Transfer(const MovementContext& context, const TransferOrder& order,
                                const std::string& currency);
// The debit of a transfer to another shard. Its fingerprint is that of Transfer.
accounts::WriteRequest Send(const MovementContext& context, const TransferOrder& order,
                            const std::string& currency);
accounts::WriteRequest Hold(const MovementContext& context, const HoldOrder& order,
                            const std::string& currency, std::shared_ptr<HoldTimes> times);
// `far`: its to_wallet_id is on another shard. Of more than the hold has it is not balanced, and
// the part refuses it.
accounts::WriteRequest Capture(const MovementContext& context, const CaptureOrder& order,
                               const HoldFacts& hold, bool far);
accounts::WriteRequest Release(const MovementContext& context, const ReleaseOrder& order,
                               const HoldFacts& hold);
accounts::WriteRequest Expire(const MovementContext& context, const std::string& hold_id,
                              const std::string& wallet_id, const HoldFacts& hold,
                              std::shared_ptr<bool> ended);

// The further steps of a transfer between shards: on the payee's, and on the payer's.
accounts::WriteRequest Credit(const MovementContext& context, const TransferRow& transfer);
accounts::WriteRequest Refuse(const MovementContext& context, const TransferRow& transfer,
                              const std::string& reason);
accounts::WriteRequest Settle(const MovementContext& context, const TransferRow& transfer);
accounts::WriteRequest Refund(const MovementContext& context, const TransferRow& transfer,
                              const std::string& reason);

}  // namespace saldo::wallets
