#include "server/wallets/movements.h"

#include <array>
#include <iterator>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/strings.h"
#include "common/rpc/timestamps.h"
#include "saldo/v1/wallet_event.pb.h"
#include "server/accounts/writing/fingerprint.h"
#include "server/wallets/errors.h"
#include "server/wallets/ids.h"
#include "server/wallets/story.h"

namespace saldo::wallets {
namespace {

using accounts::Posting;
using accounts::WriteRequest;

// A canonical form of what a request is.
class Content {
 public:
  explicit Content(const char* operation) : text_(operation) {}
  Content& Add(std::string_view field) {
    absl::StrAppend(&text_, "\x1f", field.size(), ":", AsAbsl(field));
    return *this;
  }
  Content& Add(Decimal amount) { return Add(amount.ToString()); }
  accounts::Fingerprint fingerprint() const {
    return accounts::FingerprintOf(std::string_view(text_));
  }

 private:
  std::string text_;
};

class Builder {
 public:
  Builder(const MovementContext& context, std::string id, const accounts::Fingerprint& fingerprint)
      : context_(context), now_(absl::FromUnixMicros(absl::ToUnixMicros(context.now))) {
    request_.types = context.types.all;
    request_.id = std::move(id);
    request_.fingerprint = fingerprint;
    request_.balanced = true;
  }

  // Changes the wallet's balance; subscribers hear of it.
  Builder& Wallet(const std::string& wallet_id, const std::string& currency, bool is_credit,
                  Decimal amount, const Story& story) {
    Posting posting{.type = context_.types.wallet,
                    .key = WalletKey(wallet_id, currency),
                    .attributes = "",
                    .is_credit = is_credit,
                    .amount = amount,
                    .occurred_at = now_,
                    .info = InfoOf(story),
                    .message = MessageOf(wallet_id, currency, is_credit, amount, story),
                    .message_type = kEventType,
                    .message_key = wallet_id};
    request_.postings.push_back(std::move(posting));
    return *this;
  }
  Builder& Other(const std::string& wallet_id, const std::string& currency, Contra kind,
                 bool is_credit, Decimal amount) {
    Posting posting{.type = context_.types.contra,
                    .key = ContraKey(wallet_id, currency, kind),
                    .attributes = "",
                    .is_credit = is_credit,
                    .amount = amount,
                    .occurred_at = now_,
                    .info = "",
                    .message = "",
                    .message_key = ""};
    request_.postings.push_back(std::move(posting));
    return *this;
  }
  Builder& With(Change change) {
    request_.attachments.push_back(
        std::make_shared<WalletChange>(context_.part, std::move(change)));
    return *this;
  }
  WriteRequest& request() { return request_; }
  WriteRequest Build() { return std::move(request_); }

 private:
  std::string MessageOf(const std::string& wallet_id, const std::string& currency, bool is_credit,
                        Decimal amount, const Story& story) const {
    v1::WalletEvent event;
    event.set_wallet_id(wallet_id);
    event.set_kind(story.kind);
    event.set_amount((is_credit ? amount : -amount).ToString(context_.types.wallet->scale));
    event.set_currency(currency);
    *event.mutable_occurred_at() = rpc::ToTimestamp(now_);
    event.set_counterparty_wallet_id(std::string(story.counterparty));
    event.set_request_id(std::string(story.request_id));
    event.set_hold_id(std::string(story.hold_id));
    event.set_transfer_id(std::string(story.transfer_id));
    event.set_description(std::string(story.description));
    std::string bytes;
    // Room for what the writer appends.
    bytes.reserve(event.ByteSizeLong() + 64);
    event.AppendToString(&bytes);
    return bytes;
  }

  const MovementContext& context_;
  const absl::Time now_;
  WriteRequest request_;
};

constexpr bool kCredit = true;
constexpr bool kDebit = false;

accounts::Fingerprint FingerprintOf(const TransferOrder& order) {
  return Content("transfer")
      .Add(order.from_wallet_id)
      .Add(order.to_wallet_id)
      .Add(order.amount)
      .Add(order.description)
      .fingerprint();
}

// Of two amounts, which are far from the bounds of a Decimal.
Decimal Difference(Decimal a, Decimal b) {
  Decimal difference;
  (void)Decimal::Subtract(a, b, &difference);
  return difference;
}

// Of the request of a step that nobody gave an id.
accounts::Fingerprint StepFingerprint(const char* step, std::string_view id) {
  return Content(step).Add(id).fingerprint();
}

// On the payee's shard, where nothing else tells that an id is that of another transfer.
accounts::Fingerprint StepFingerprint(const char* step, const TransferRow& transfer) {
  return Content(step)
      .Add(transfer.transfer_id)
      .Add(transfer.to_wallet_id)
      .Add(transfer.amount)
      .Add(transfer.currency)
      .fingerprint();
}

}  // namespace

WriteRequest Create(const MovementContext& context, const Creation& order) {
  Builder builder(context, WriteIdOf(order.request_id),
                  Content("create")
                      .Add(order.currency)
                      .Add(order.external_id)
                      .Add(order.overdraft_limit)
                      .fingerprint());
  builder.request().openings.push_back({.type = context.types.wallet,
                                        .key = WalletKey(order.wallet_id, order.currency),
                                        .min_balance = -order.overdraft_limit});
  return builder
      .With(NewWallet{.wallet_id = order.wallet_id,
                      .currency = order.currency,
                      .external_id = order.external_id,
                      .overdraft_limit = order.overdraft_limit,
                      .request_id = order.request_id})
      .Build();
}

WriteRequest Close(const MovementContext& context, const Closing& order,
                   const std::string& currency) {
  Builder builder(context, WriteIdOf(order.request_id),
                  Content("close").Add(order.wallet_id).fingerprint());
  builder.request().closings.push_back(
      {.type = context.types.wallet, .key = WalletKey(order.wallet_id, currency)});
  return builder
      .With(CloseWallet{
          .wallet_id = order.wallet_id, .currency = currency, .request_id = order.request_id})
      .Build();
}

namespace {

accounts::Fingerprint FingerprintOf(const char* operation, const Payment& order) {
  return Content(operation)
      .Add(order.wallet_id)
      .Add(order.amount)
      .Add(order.description)
      .fingerprint();
}

}  // namespace

WriteRequest TopUp(const MovementContext& context, const Payment& order,
                   const std::string& currency) {
  return Builder(context, WriteIdOf(order.request_id), FingerprintOf("top_up", order))
      .Wallet(order.wallet_id, currency, kCredit, order.amount,
              {.kind = v1::WALLET_EVENT_KIND_TOP_UP,
               .request_id = order.request_id,
               .description = order.description})
      .Other(order.wallet_id, currency, Contra::kExternal, kDebit, order.amount)
      .Build();
}

WriteRequest Withdraw(const MovementContext& context, const Payment& order,
                      const std::string& currency) {
  return Builder(context, WriteIdOf(order.request_id), FingerprintOf("withdraw", order))
      .Wallet(order.wallet_id, currency, kDebit, order.amount,
              {.kind = v1::WALLET_EVENT_KIND_WITHDRAWAL,
               .request_id = order.request_id,
               .description = order.description})
      .Other(order.wallet_id, currency, Contra::kExternal, kCredit, order.amount)
      .Build();
}

namespace {

// What Transfer and Send have in common.
Builder Debit(const MovementContext& context, const TransferOrder& order,
              const std::string& currency, const std::string& transfer_id) {
  Builder builder(context, WriteIdOf(order.request_id), FingerprintOf(order));
  builder.Wallet(order.from_wallet_id, currency, kDebit, order.amount,
                 {.kind = v1::WALLET_EVENT_KIND_TRANSFER_OUT,
                  .request_id = order.request_id,
                  .description = order.description,
                  .counterparty = order.to_wallet_id,
                  .transfer_id = transfer_id});
  return builder;
}

}  // namespace

WriteRequest Transfer(const MovementContext& context, const TransferOrder& order,
                      const std::string& currency) {
  const std::string id = TransferIdOf(order.from_wallet_id, order.request_id);
  return Debit(context, order, currency, id)
      .Wallet(order.to_wallet_id, currency, kCredit, order.amount,
              {.kind = v1::WALLET_EVENT_KIND_TRANSFER_IN,
               .request_id = order.request_id,
               .description = order.description,
               .counterparty = order.from_wallet_id,
               .transfer_id = id})
      .With(LocalTransfer{})
      .Build();
}

WriteRequest Send(const MovementContext& context, const TransferOrder& order,
                  const std::string& currency) {
  const std::string id = TransferIdOf(order.from_wallet_id, order.request_id);
  return Debit(context, order, currency, id)
      .Other(order.from_wallet_id, currency, Contra::kTransit, kCredit, order.amount)
      .With(NewTransferOut{{.transfer_id = id,
                            .from_wallet_id = order.from_wallet_id,
                            .to_wallet_id = order.to_wallet_id,
                            .amount = order.amount,
                            .currency = currency,
                            .request_id = order.request_id,
                            .description = order.description}})
      .Build();
}

WriteRequest Hold(const MovementContext& context, const HoldOrder& order,
                  const std::string& currency, std::shared_ptr<HoldTimes> times) {
  const std::string id = HoldIdOf(order.wallet_id, order.request_id);
  const accounts::Fingerprint fingerprint = Content("hold")
                                                .Add(order.wallet_id)
                                                .Add(order.amount)
                                                .Add(absl::FormatDuration(order.ttl))
                                                .Add(order.description)
                                                .fingerprint();
  return Builder(context, WriteIdOf(order.request_id), fingerprint)
      .Wallet(order.wallet_id, currency, kDebit, order.amount,
              {.kind = v1::WALLET_EVENT_KIND_HOLD,
               .request_id = order.request_id,
               .description = order.description,
               .hold_id = id})
      .Other(order.wallet_id, currency, Contra::kHold, kCredit, order.amount)
      .With(NewHold{.hold_id = id,
                    .wallet_id = order.wallet_id,
                    .request_id = order.request_id,
                    .amount = order.amount,
                    .ttl = order.ttl,
                    .times = std::move(times)})
      .Build();
}

WriteRequest Capture(const MovementContext& context, const CaptureOrder& order,
                     const HoldFacts& hold, bool far) {
  const Decimal captured = order.amount.value_or(hold.amount);
  const Decimal rest = Difference(hold.amount, captured);
  const accounts::Fingerprint fingerprint =
      Content("capture")
          .Add(order.hold_id)
          .Add(order.amount.has_value() ? order.amount->ToString() : "")
          .Add(order.to_wallet_id)
          .Add(order.description)
          .fingerprint();
  const std::string& wallet = order.wallet_id;
  const std::string transfer_id = TransferIdOf(wallet, order.request_id);
  Builder builder(context, WriteIdOf(order.request_id), fingerprint);
  // First: of a hold that has ended nothing else is said.
  builder.With(EndHold{.hold_id = order.hold_id,
                       .wallet_id = wallet,
                       .how = HoldEnd::kCaptured,
                       .captured = captured,
                       .scale = context.types.wallet->scale,
                       .currency = hold.currency,
                       .to_wallet_id = order.to_wallet_id,
                       .request_id = order.request_id,
                       .description = order.description});
  builder.Other(wallet, hold.currency, Contra::kHold, kDebit, hold.amount);
  if (order.to_wallet_id.empty()) {
    builder.Other(wallet, hold.currency, Contra::kExternal, kCredit, captured);
  } else if (far) {
    builder.Other(wallet, hold.currency, Contra::kTransit, kCredit, captured)
        .With(NewTransferOut{{.transfer_id = transfer_id,
                              .from_wallet_id = wallet,
                              .to_wallet_id = order.to_wallet_id,
                              .amount = captured,
                              .currency = hold.currency,
                              .request_id = order.request_id,
                              .description = order.description}});
  } else {
    builder
        .Wallet(order.to_wallet_id, hold.currency, kCredit, captured,
                {.kind = v1::WALLET_EVENT_KIND_TRANSFER_IN,
                 .request_id = order.request_id,
                 .description = order.description,
                 .counterparty = wallet,
                 .transfer_id = transfer_id})
        .With(LocalTransfer{});
  }
  if (rest.IsPositive()) {
    builder.Wallet(wallet, hold.currency, kCredit, rest,
                   {.kind = v1::WALLET_EVENT_KIND_HOLD_RELEASE,
                    .request_id = order.request_id,
                    .hold_id = order.hold_id});
  }
  return builder.Build();
}

WriteRequest Release(const MovementContext& context, const ReleaseOrder& order,
                     const HoldFacts& hold) {
  return Builder(context, WriteIdOf(order.request_id),
                 Content("release").Add(order.hold_id).fingerprint())
      .Wallet(order.wallet_id, hold.currency, kCredit, hold.amount,
              {.kind = v1::WALLET_EVENT_KIND_HOLD_RELEASE,
               .request_id = order.request_id,
               .hold_id = order.hold_id})
      .Other(order.wallet_id, hold.currency, Contra::kHold, kDebit, hold.amount)
      .With(EndHold{
          .hold_id = order.hold_id, .wallet_id = order.wallet_id, .how = HoldEnd::kReleased})
      .Build();
}

WriteRequest Expire(const MovementContext& context, const std::string& hold_id,
                    const std::string& wallet_id, const HoldFacts& hold,
                    std::shared_ptr<bool> ended) {
  return Builder(context, ExpiryWriteId(hold_id), StepFingerprint("expire", hold_id))
      .Wallet(wallet_id, hold.currency, kCredit, hold.amount,
              {.kind = v1::WALLET_EVENT_KIND_HOLD_EXPIRY, .request_id = "", .hold_id = hold_id})
      .Other(wallet_id, hold.currency, Contra::kHold, kDebit, hold.amount)
      .With(EndHold{.hold_id = hold_id,
                    .wallet_id = wallet_id,
                    .how = HoldEnd::kExpired,
                    .ended = std::move(ended)})
      .Build();
}

WriteRequest Credit(const MovementContext& context, const TransferRow& transfer) {
  return Builder(context, CreditWriteId(transfer.transfer_id), StepFingerprint("credit", transfer))
      .Other(transfer.to_wallet_id, transfer.currency, Contra::kClearing, kDebit, transfer.amount)
      .Wallet(transfer.to_wallet_id, transfer.currency, kCredit, transfer.amount,
              {.kind = v1::WALLET_EVENT_KIND_TRANSFER_IN,
               .request_id = transfer.request_id,
               .description = transfer.description,
               .counterparty = transfer.from_wallet_id,
               .transfer_id = transfer.transfer_id})
      .With(NewTransferIn{transfer, ""})
      .Build();
}

WriteRequest Refuse(const MovementContext& context, const TransferRow& transfer,
                    const std::string& reason) {
  return Builder(context, RefusalWriteId(transfer.transfer_id), StepFingerprint("refuse", transfer))
      .With(NewTransferIn{transfer, reason})
      .Build();
}

WriteRequest Settle(const MovementContext& context, const TransferRow& transfer) {
  return Builder(context, EndWriteId(transfer.transfer_id),
                 StepFingerprint("settle", transfer.transfer_id))
      .Other(transfer.from_wallet_id, transfer.currency, Contra::kTransit, kDebit, transfer.amount)
      .Other(transfer.from_wallet_id, transfer.currency, Contra::kClearing, kCredit,
             transfer.amount)
      .With(EndTransfer{transfer.transfer_id, transfer.from_wallet_id, ""})
      .Build();
}

WriteRequest Refund(const MovementContext& context, const TransferRow& transfer,
                    const std::string& reason) {
  return Builder(context, EndWriteId(transfer.transfer_id),
                 StepFingerprint("refund", transfer.transfer_id))
      .Other(transfer.from_wallet_id, transfer.currency, Contra::kTransit, kDebit, transfer.amount)
      .Wallet(transfer.from_wallet_id, transfer.currency, kCredit, transfer.amount,
              {.kind = v1::WALLET_EVENT_KIND_TRANSFER_REFUND,
               .request_id = transfer.request_id,
               .description = transfer.description,
               .counterparty = transfer.to_wallet_id,
               .transfer_id = transfer.transfer_id})
      .With(EndTransfer{transfer.transfer_id, transfer.from_wallet_id, reason})
      .Build();
}

}  // namespace saldo::wallets
