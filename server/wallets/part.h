// What wallets keep besides the ledger's events, written in the same transaction: the rows of
// wallets, of holds and of transfers between shards. Each hold and each transfer is ended once, for
// its row is locked while that is decided.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "absl/time/time.h"
#include "absl/types/span.h"
#include "common/base/decimal.h"
#include "server/accounts/writing/part.h"
#include "server/wallets/transfer_counts.h"

namespace saldo::wallets {

struct NewWallet {
  std::string wallet_id;
  std::string currency;
  std::string external_id;
  Decimal overdraft_limit;
  std::string request_id;
};
// Refused while it has open holds or transfers under way.
struct CloseWallet {
  std::string wallet_id;
  std::string currency;
  std::string request_id;
};

// When a hold was made, for the answer to the call: of the batch that wrote it.
struct HoldTimes {
  int64_t batch_id = 0;
  absl::Time created_at;
  absl::Time expires_at;
};
struct NewHold {
  std::string hold_id;
  std::string wallet_id;
  std::string request_id;
  Decimal amount;
  absl::Duration ttl;
  std::shared_ptr<HoldTimes> times;  // written by the writer's thread before it answers
};
enum class HoldEnd { kCaptured, kReleased, kExpired };
// A hold is captured before it expires, up to its amount, and expired after that. It may be
// released at any time.
struct EndHold {
  std::string hold_id;
  std::string wallet_id;
  HoldEnd how;
  // Set by the writer's thread before it answers, unless this end was written before.
  std::shared_ptr<bool> ended = nullptr;
  // The rest is of captures, and for their message.
  Decimal captured = Decimal();
  int scale = 0;
  std::string currency = {};
  std::string to_wallet_id = {};
  std::string request_id = {};
  std::string description = {};
};

// A transfer within the shard: its events tell all of it, and it is only counted.
struct LocalTransfer {};

// A transfer between two shards.
struct TransferRow {
  std::string transfer_id;
  std::string from_wallet_id;
  std::string to_wallet_id;
  Decimal amount;
  std::string currency;
  std::string request_id;
  std::string description;
};
// On the payer's shard.
struct NewTransferOut {
  TransferRow transfer;
};
// On the payee's shard: credited or, with a reason, refused. TRANSFER_DECIDED when it is either
// already.
struct NewTransferIn {
  TransferRow transfer;
  std::string refused_reason;
};
// On the payer's shard: settled or, with a reason, refunded. TRANSFER_DECIDED when it is either
// already.
struct EndTransfer {
  std::string transfer_id;
  std::string from_wallet_id;
  std::string refund_reason;
};

using Change = std::variant<NewWallet, CloseWallet, NewHold, EndHold, LocalTransfer, NewTransferOut,
                            NewTransferIn, EndTransfer>;

class WalletPart final : public accounts::WritePart {
 public:
  // `topic` is of messages that no event carries. `counts` outlive the part.
  WalletPart(std::string topic, TransferCounts& counts)
      : topic_(std::move(topic)), counts_(counts) {}

  std::string_view name() const override { return "wallets"; }
  std::unique_ptr<accounts::PartBatch> Begin(
      absl::Span<const accounts::Attachment* const> attachments) const override;

 private:
  const std::string topic_;
  TransferCounts& counts_;
};

// What a request changes. Its content is in the request's fingerprint already.
struct WalletChange final : accounts::Attachment {
  WalletChange(const WalletPart& its_part, Change its_change)
      : Attachment(its_part), change(std::move(its_change)) {}
  size_t Bytes() const override;
  const Change change;
};

}  // namespace saldo::wallets
