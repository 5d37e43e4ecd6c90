#include "server/wallets/part.h"

#include <map>
#include <set>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/rpc/timestamps.h"
#include "saldo/v1/wallet_event.pb.h"
#include "server/accounts/writing/request.h"
#include "server/outbox/outbox.h"
#include "server/wallets/errors.h"
#include "server/wallets/movements.h"
#include "server/wallets/store.h"

namespace saldo::wallets {
namespace {

using accounts::Attachment;
using accounts::Turn;

const Change& ChangeOf(const Attachment& attachment) {
  return static_cast<const WalletChange&>(attachment).change;
}

std::vector<std::string> ListOf(const std::set<std::string>& ids) {
  return {ids.begin(), ids.end()};
}

const char* StateOf(HoldEnd how) {
  switch (how) {
    case HoldEnd::kCaptured:
      return "captured";
    case HoldEnd::kReleased:
      return "released";
    case HoldEnd::kExpired:
      return "expired";
  }
  return "";
}

class WalletBatch final : public accounts::PartBatch {
 public:
  WalletBatch(const std::string& topic, TransferCounts& counts,
              absl::Span<const Attachment* const> attachments)
      : topic_(topic), counts_(counts) {
    for (const Attachment* attachment : attachments)
      std::visit([this](const auto& change) { Need(change); }, ChangeOf(*attachment));
  }

  absl::StatusOr<int> Read(postgres::Transaction& tx) override;
  absl::Status TakeResults(absl::Span<postgres::Result> results) override;
  absl::StatusOr<Turn> Check(const Attachment& attachment) const override {
    SALDO_RETURN_IF_ERROR(
        std::visit([this](const auto& change) { return Allow(change); }, ChangeOf(attachment)));
    return Turn::kNow;
  }
  void Accept(const Attachment& attachment, const accounts::Written& written,
              std::string_view traceparent) override {
    traceparent_ = std::string(traceparent);
    std::visit([&](const auto& change) { Take(change, written); }, ChangeOf(attachment));
  }
  absl::Status Write(postgres::Transaction& tx, int64_t batch_id,
                     std::vector<outbox::Message>* messages) override;
  void Committed() override {
    counts_.Add(transfers_);
    // Not earlier: a try that is rolled back has ended nothing.
    for (const auto& [id, row] : ended_holds_) {
      if (row->ended != nullptr) *row->ended = true;
    }
  }

 private:
  struct Hold {
    std::string state;
    absl::Time expires_at;
    Decimal amount;
  };
  struct Open {
    int64_t holds = 0;
    int64_t transfers = 0;
  };

  // What a change has to know.
  void Need(const NewWallet& c) { need_wallets_.insert(c.wallet_id); }
  void Need(const CloseWallet& c) {
    need_wallets_.insert(c.wallet_id);
    need_open_.insert(c.wallet_id);
  }
  void Need(const NewHold& c) {
    need_wallets_.insert(c.wallet_id);
    need_holds_.insert(c.hold_id);
  }
  void Need(const EndHold& c) { need_holds_.insert(c.hold_id); }
  void Need(const LocalTransfer&) {}
  void Need(const NewTransferOut& c) {
    need_wallets_.insert(c.transfer.from_wallet_id);
    need_out_.insert(c.transfer.transfer_id);
  }
  void Need(const NewTransferIn& c) { need_in_.insert(c.transfer.transfer_id); }
  void Need(const EndTransfer& c) { need_out_.insert(c.transfer_id); }

  absl::Status Allow(const NewWallet& c) const;
  absl::Status Allow(const CloseWallet& c) const;
  absl::Status Allow(const NewHold& c) const;
  absl::Status Allow(const EndHold& c) const;
  absl::Status Allow(const LocalTransfer&) const { return absl::OkStatus(); }
  absl::Status Allow(const NewTransferOut& c) const;
  absl::Status Allow(const NewTransferIn& c) const;
  absl::Status Allow(const EndTransfer& c) const;
  // Holds the wallet's row, so that it is not closed meanwhile.
  absl::Status AllowUse(const std::string& wallet_id) const;

  void Take(const NewWallet& c, const accounts::Written&);
  void Take(const CloseWallet& c, const accounts::Written&);
  void Take(const NewHold& c, const accounts::Written& written);
  void Take(const EndHold& c, const accounts::Written&);
  void Take(const LocalTransfer&, const accounts::Written&) { ++transfers_.settled; }
  void Take(const NewTransferOut& c, const accounts::Written&);
  void Take(const NewTransferIn& c, const accounts::Written&);
  void Take(const EndTransfer& c, const accounts::Written&);
  void Tell(v1::WalletEvent event);

  const std::string& topic_;
  TransferCounts& counts_;
  std::set<std::string> need_wallets_, need_open_, need_holds_, need_out_, need_in_;

  // As the batch finds them and then changes them.
  absl::Time now_;
  std::map<std::string, bool> closed_;  // of the wallets that are there
  std::map<std::string, Open> open_;
  std::map<std::string, Hold> holds_;
  std::map<std::string, std::string> out_;  // states
  std::set<std::string> in_;

  // What is written, by key.
  std::map<std::string, const NewWallet*> new_wallets_;
  std::set<std::string> closed_now_;
  std::map<std::string, PartRows::Hold> new_holds_;
  std::map<std::string, const EndHold*> ended_holds_;
  std::map<std::string, const NewTransferOut*> new_out_;
  std::map<std::string, const NewTransferIn*> new_in_;
  std::map<std::string, const EndTransfer*> ended_out_;
  TransferCounts::Numbers transfers_;
  std::string traceparent_;
  struct Told {
    v1::WalletEvent event;
    std::string traceparent;
  };
  std::vector<Told> told_;
};

absl::StatusOr<int> WalletBatch::Read(postgres::Transaction& tx) {
  int statements = 1;
  const auto ask =
      [&](absl::Status (*read)(postgres::Transaction&, const std::vector<std::string>&),
          const std::set<std::string>& ids) -> absl::Status {
    if (ids.empty()) return absl::OkStatus();
    ++statements;
    return read(tx, ListOf(ids));
  };
  SALDO_RETURN_IF_ERROR(ask(LockWallets, need_wallets_));
  SALDO_RETURN_IF_ERROR(ask(LockHolds, need_holds_));
  SALDO_RETURN_IF_ERROR(ask(LockTransfersOut, need_out_));
  SALDO_RETURN_IF_ERROR(ask(FindTransfersIn, need_in_));
  // After the locks: who opens a hold locks the wallet first, so this sees what it has committed.
  SALDO_RETURN_IF_ERROR(ask(CountOpen, need_open_));
  SALDO_RETURN_IF_ERROR(ReadClock(tx));
  return statements;
}

absl::Status WalletBatch::TakeResults(absl::Span<postgres::Result> results) {
  const auto next = [&results] {
    postgres::Result result = std::move(results.front());
    results.remove_prefix(1);
    return result;
  };
  if (!need_wallets_.empty()) {
    SALDO_ASSIGN_OR_RETURN(const auto wallets, ReadLockedWallets(next()));
    for (const LockedWallet& wallet : wallets) closed_[wallet.wallet_id] = wallet.closed;
  }
  if (!need_holds_.empty()) {
    SALDO_ASSIGN_OR_RETURN(const auto holds, ReadLockedHolds(next()));
    for (const LockedHold& hold : holds)
      holds_[hold.hold_id] = {hold.state, hold.expires_at, hold.amount};
  }
  if (!need_out_.empty()) {
    SALDO_ASSIGN_OR_RETURN(const auto transfers, ReadLockedTransfers(next()));
    for (const LockedTransfer& transfer : transfers) out_[transfer.transfer_id] = transfer.state;
  }
  if (!need_in_.empty()) {
    SALDO_ASSIGN_OR_RETURN(const auto transfers, ReadTransfersIn(next()));
    in_.insert(transfers.begin(), transfers.end());
  }
  if (!need_open_.empty()) {
    SALDO_ASSIGN_OR_RETURN(const auto counts, ReadOpenCounts(next()));
    for (const OpenCounts& one : counts) open_[one.wallet_id] = {one.holds, one.transfers};
  }
  SALDO_ASSIGN_OR_RETURN(now_, ReadClockResult(next()));
  return absl::OkStatus();
}

absl::Status WalletBatch::Allow(const NewWallet& c) const {
  if (closed_.contains(c.wallet_id)) return WalletExists(c.wallet_id, c.external_id);
  return absl::OkStatus();
}

absl::Status WalletBatch::AllowUse(const std::string& wallet_id) const {
  const auto wallet = closed_.find(wallet_id);
  if (wallet == closed_.end()) return WalletNotFound(wallet_id);
  if (wallet->second) return WalletClosed(wallet_id);
  return absl::OkStatus();
}

absl::Status WalletBatch::Allow(const CloseWallet& c) const {
  SALDO_RETURN_IF_ERROR(AllowUse(c.wallet_id));
  const auto open = open_.find(c.wallet_id);
  if (open == open_.end()) return absl::OkStatus();
  if (open->second.holds > 0) return WalletHasHolds(c.wallet_id, open->second.holds);
  if (open->second.transfers > 0) return WalletHasTransfers(c.wallet_id, open->second.transfers);
  return absl::OkStatus();
}

absl::Status WalletBatch::Allow(const NewHold& c) const {
  SALDO_RETURN_IF_ERROR(AllowUse(c.wallet_id));
  if (holds_.contains(c.hold_id)) return MadeBefore(c.request_id, "hold", c.hold_id);
  return absl::OkStatus();
}

absl::Status WalletBatch::Allow(const EndHold& c) const {
  const auto found = holds_.find(c.hold_id);
  if (found == holds_.end()) return HoldNotFound(c.hold_id);
  const Hold& hold = found->second;
  const bool expires = c.how == HoldEnd::kExpired;
  if (hold.state == "expired" && !expires) return HoldExpired(c.hold_id);
  if (hold.state != "open") return HoldNotOpen(c.hold_id, hold.state);
  const bool past = now_ >= hold.expires_at;
  if (c.how == HoldEnd::kCaptured && past) return HoldExpired(c.hold_id);
  if (expires && !past) return HoldNotOpen(c.hold_id, "not expired");
  if (c.captured > hold.amount)
    return HoldTooSmall(c.hold_id, hold.amount.ToString(c.scale), c.currency);
  return absl::OkStatus();
}

absl::Status WalletBatch::Allow(const NewTransferOut& c) const {
  SALDO_RETURN_IF_ERROR(AllowUse(c.transfer.from_wallet_id));
  if (out_.contains(c.transfer.transfer_id))
    return MadeBefore(c.transfer.request_id, "transfer", c.transfer.transfer_id);
  return absl::OkStatus();
}

absl::Status WalletBatch::Allow(const NewTransferIn& c) const {
  if (in_.contains(c.transfer.transfer_id)) return TransferDecided(c.transfer.transfer_id);
  return absl::OkStatus();
}

absl::Status WalletBatch::Allow(const EndTransfer& c) const {
  const auto found = out_.find(c.transfer_id);
  if (found == out_.end()) return TransferNotFound(c.transfer_id);
  if (found->second != "debited") return TransferDecided(c.transfer_id);
  return absl::OkStatus();
}

void WalletBatch::Take(const NewWallet& c, const accounts::Written&) {
  closed_[c.wallet_id] = false;
  new_wallets_[c.wallet_id] = &c;
  v1::WalletEvent event;
  event.set_kind(v1::WALLET_EVENT_KIND_CREATED);
  event.set_wallet_id(c.wallet_id);
  event.set_currency(c.currency);
  event.set_external_id(c.external_id);
  event.set_request_id(c.request_id);
  Tell(std::move(event));
}

void WalletBatch::Take(const CloseWallet& c, const accounts::Written&) {
  closed_[c.wallet_id] = true;
  closed_now_.insert(c.wallet_id);
  v1::WalletEvent event;
  event.set_kind(v1::WALLET_EVENT_KIND_CLOSED);
  event.set_wallet_id(c.wallet_id);
  event.set_currency(c.currency);
  event.set_request_id(c.request_id);
  Tell(std::move(event));
}

void WalletBatch::Take(const NewHold& c, const accounts::Written& written) {
  const absl::Time expires_at = now_ + c.ttl;
  holds_[c.hold_id] = {"open", expires_at, c.amount};
  ++open_[c.wallet_id].holds;
  new_holds_[c.hold_id] = {&c, expires_at};
  *c.times = {.batch_id = written.batch_id, .created_at = now_, .expires_at = expires_at};
}

void WalletBatch::Take(const EndHold& c, const accounts::Written&) {
  holds_[c.hold_id].state = StateOf(c.how);
  --open_[c.wallet_id].holds;
  ended_holds_[c.hold_id] = &c;
  if (c.how != HoldEnd::kCaptured) return;
  v1::WalletEvent event;
  event.set_kind(v1::WALLET_EVENT_KIND_HOLD_CAPTURE);
  event.set_wallet_id(c.wallet_id);
  event.set_currency(c.currency);
  event.set_amount(c.captured.ToString(c.scale));
  event.set_counterparty_wallet_id(c.to_wallet_id);
  event.set_request_id(c.request_id);
  event.set_hold_id(c.hold_id);
  event.set_description(c.description);
  Tell(std::move(event));
}

void WalletBatch::Take(const NewTransferOut& c, const accounts::Written&) {
  out_[c.transfer.transfer_id] = "debited";
  ++open_[c.transfer.from_wallet_id].transfers;
  new_out_[c.transfer.transfer_id] = &c;
  ++transfers_.debited;
}

void WalletBatch::Take(const NewTransferIn& c, const accounts::Written&) {
  in_.insert(c.transfer.transfer_id);
  new_in_[c.transfer.transfer_id] = &c;
}

void WalletBatch::Take(const EndTransfer& c, const accounts::Written&) {
  out_[c.transfer_id] = c.refund_reason.empty() ? "settled" : "refunded";
  --open_[c.from_wallet_id].transfers;
  ended_out_[c.transfer_id] = &c;
  ++(c.refund_reason.empty() ? transfers_.settled : transfers_.refunded);
}

void WalletBatch::Tell(v1::WalletEvent event) {
  *event.mutable_occurred_at() = rpc::ToTimestamp(now_);
  told_.push_back({std::move(event), traceparent_});
}

absl::Status WalletBatch::Write(postgres::Transaction& tx, int64_t batch_id,
                                std::vector<outbox::Message>* messages) {
  PartRows rows;
  for (const auto& [id, row] : new_wallets_) rows.new_wallets.push_back(row);
  rows.closed_wallets = ListOf(closed_now_);
  for (const auto& [id, row] : new_holds_) rows.new_holds.push_back(row);
  for (const auto& [id, row] : ended_holds_) rows.ended_holds.push_back(row);
  for (const auto& [id, row] : new_out_) rows.transfers_out.push_back(row);
  for (const auto& [id, row] : new_in_) rows.transfers_in.push_back(row);
  for (const auto& [id, row] : ended_out_) rows.ended_transfers.push_back(row);
  for (Told& told : told_) {
    told.event.set_batch_id(batch_id);
    messages->push_back({.topic = topic_,
                         .key = told.event.wallet_id(),
                         .payload = told.event.SerializeAsString(),
                         .type = kEventType,
                         .traceparent = told.traceparent});
  }
  return WriteRows(tx, now_, rows);
}

}  // namespace

std::unique_ptr<accounts::PartBatch> WalletPart::Begin(
    absl::Span<const Attachment* const> attachments) const {
  return std::make_unique<WalletBatch>(topic_, counts_, attachments);
}

size_t WalletChange::Bytes() const {
  // Ids and names take most of what a change holds besides itself.
  constexpr size_t kTexts = 512;
  return sizeof(WalletChange) + kTexts;
}

}  // namespace saldo::wallets
