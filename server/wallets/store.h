// The SQL of wallets.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/base/call_context.h"
#include "common/base/decimal.h"
#include "common/postgres/pool.h"
#include "common/postgres/transaction.h"
#include "server/wallets/part.h"

namespace saldo::wallets {

struct WalletRow {
  std::string wallet_id;
  std::string currency;
  std::string external_id;
  Decimal overdraft_limit;
  absl::Time created_at;
  std::optional<absl::Time> closed_at;
  Decimal balance;
  Decimal held;
};
struct HoldRow {
  std::string hold_id;
  std::string wallet_id;
  std::string currency;
  Decimal amount;
  std::string state;  // open, captured, released, expired; "expired" also for open ones past it
  std::optional<Decimal> captured;
  absl::Time created_at;
  absl::Time expires_at;
};
struct TransferOutRow {
  TransferRow transfer;
  std::string state;  // debited, settled, refunded
  std::string refund_reason;
  absl::Time created_at;
};
// A transfer within the shard, as its events tell it.
struct WrittenTransfer {
  std::string to_wallet_id;
  std::string currency;
  Decimal amount;
  absl::Time created_at;
};

// Reads of one shard. Thread-safe.
class WalletStore {
 public:
  // `pool` outlives the store.
  explicit WalletStore(postgres::Pool& pool) : pool_(pool) {}

  // Of those that are there: id and currency.
  struct Currency {
    std::string wallet_id;
    std::string currency;
  };
  absl::StatusOr<std::vector<Currency>> Currencies(const CallContext& context,
                                                   const std::vector<std::string>& wallet_ids);
  absl::StatusOr<std::optional<WalletRow>> Find(const CallContext& context,
                                                const std::string& wallet_id);
  // After the id `after`, by id; all currencies when `currency` is empty.
  absl::StatusOr<std::vector<WalletRow>> List(const CallContext& context,
                                              const std::string& currency, const std::string& after,
                                              int32_t limit);

  absl::StatusOr<std::optional<HoldRow>> FindHold(const CallContext& context,
                                                  const std::string& hold_id);
  // Open ones after this position.
  absl::StatusOr<std::vector<HoldRow>> ListHolds(const CallContext& context,
                                                 const std::string& wallet_id,
                                                 absl::Time after_expires_at,
                                                 const std::string& after_hold_id, int32_t limit);
  // Those whose time has passed, the oldest first.
  absl::StatusOr<std::vector<HoldRow>> ExpiredHolds(const CallContext& context, int32_t limit);

  absl::StatusOr<std::optional<TransferOutRow>> FindTransferOut(const CallContext& context,
                                                                const std::string& transfer_id);
  absl::StatusOr<std::optional<NewTransferIn>> FindTransferIn(const CallContext& context,
                                                              const std::string& transfer_id);
  // Those that are debited for longer than `grace` and lie after this position, the oldest first.
  absl::StatusOr<std::vector<TransferOutRow>> Debited(const CallContext& context,
                                                      absl::Duration grace,
                                                      absl::Time after_created_at,
                                                      const std::string& after_id, int32_t limit);
  // This transfer between two wallets of this shard, if the request under this id made it.
  absl::StatusOr<std::optional<WrittenTransfer>> FindWrittenTransfer(
      const CallContext& context, const std::string& write_id, const std::string& transfer_id);

  // For metrics.
  struct Counts {
    int64_t open_holds = 0;
    int64_t transfers = 0;         // debited
    double oldest_transfer_s = 0;  // 0 when there is none
  };
  absl::StatusOr<Counts> Count(const CallContext& context);

 private:
  postgres::Pool& pool_;
};

// The part's reads, each left to the transaction's next round trip. Rows are locked in the order of
// their ids.
absl::Status LockWallets(postgres::Transaction& tx, const std::vector<std::string>& wallet_ids);
absl::Status LockHolds(postgres::Transaction& tx, const std::vector<std::string>& hold_ids);
absl::Status LockTransfersOut(postgres::Transaction& tx, const std::vector<std::string>& ids);
absl::Status FindTransfersIn(postgres::Transaction& tx, const std::vector<std::string>& ids);
// What is open of each wallet.
absl::Status CountOpen(postgres::Transaction& tx, const std::vector<std::string>& wallet_ids);
absl::Status ReadClock(postgres::Transaction& tx);

// Their answers.
struct LockedWallet {
  std::string wallet_id;
  bool closed;
};
struct LockedHold {
  std::string hold_id;
  std::string state;
  absl::Time expires_at;
  Decimal amount;
};
struct LockedTransfer {
  std::string transfer_id;
  std::string state;
};
struct OpenCounts {
  std::string wallet_id;
  int64_t holds;
  int64_t transfers;
};
absl::StatusOr<std::vector<LockedWallet>> ReadLockedWallets(postgres::Result result);
absl::StatusOr<std::vector<LockedHold>> ReadLockedHolds(postgres::Result result);
absl::StatusOr<std::vector<LockedTransfer>> ReadLockedTransfers(postgres::Result result);
absl::StatusOr<std::vector<std::string>> ReadTransfersIn(postgres::Result result);
absl::StatusOr<std::vector<OpenCounts>> ReadOpenCounts(postgres::Result result);
absl::StatusOr<absl::Time> ReadClockResult(postgres::Result result);

// The part's rows of one batch, each list in the order of its key.
struct PartRows {
  std::vector<const NewWallet*> new_wallets;
  std::vector<std::string> closed_wallets;
  struct Hold {
    const NewHold* hold;
    absl::Time expires_at;
  };
  std::vector<Hold> new_holds;
  std::vector<const EndHold*> ended_holds;
  std::vector<const NewTransferOut*> transfers_out;
  std::vector<const NewTransferIn*> transfers_in;
  std::vector<const EndTransfer*> ended_transfers;
};
// Leaves them to the transaction's last round trip. `now` is the transaction's moment.
absl::Status WriteRows(postgres::Transaction& tx, absl::Time now, const PartRows& rows);

}  // namespace saldo::wallets
