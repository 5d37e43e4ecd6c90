#include "server/wallets/reader.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/observability/trace.h"
#include "common/rpc/errors.h"
#include "common/rpc/timestamps.h"
#include "server/wallets/errors.h"
#include "server/wallets/ids.h"
#include "server/wallets/rules.h"
#include "server/wallets/story.h"

namespace saldo::wallets {
namespace {

// Earlier than any event, and later than any, in seconds since 1970.
constexpr int64_t kEarliest = 946'684'800;
constexpr int64_t kEnd = 7'258'118'400;

absl::StatusOr<v1::Wallet> ToMessage(const WalletRow& row, int scale) {
  Decimal available;
  if (!Decimal::Add(row.balance, row.overdraft_limit, &available))
    return absl::OutOfRangeError("the available amount is too large");
  v1::Wallet wallet;
  wallet.set_wallet_id(row.wallet_id);
  wallet.set_currency(row.currency);
  wallet.set_external_id(row.external_id);
  wallet.set_overdraft_limit(row.overdraft_limit.ToString(scale));
  wallet.set_balance(row.balance.ToString(scale));
  wallet.set_held(row.held.ToString(scale));
  wallet.set_available(available.ToString(scale));
  wallet.set_state(row.closed_at.has_value() ? v1::WALLET_STATE_CLOSED : v1::WALLET_STATE_OPEN);
  *wallet.mutable_created_at() = rpc::ToTimestamp(row.created_at);
  if (row.closed_at.has_value()) *wallet.mutable_closed_at() = rpc::ToTimestamp(*row.closed_at);
  return wallet;
}

v1::HoldState HoldStateOf(const std::string& state) {
  if (state == "open") return v1::HOLD_STATE_OPEN;
  if (state == "captured") return v1::HOLD_STATE_CAPTURED;
  if (state == "released") return v1::HOLD_STATE_RELEASED;
  return v1::HOLD_STATE_EXPIRED;
}

v1::TransferState TransferStateOf(const std::string& state) {
  if (state == "settled") return v1::TRANSFER_STATE_SETTLED;
  if (state == "refunded") return v1::TRANSFER_STATE_REFUNDED;
  return v1::TRANSFER_STATE_DEBITED;
}

// A page of ListEvents goes on with the `from` that its first page had: it is a part of our token.
struct TransactionsToken {
  int64_t from_micros;
  std::string of_events;
};
std::optional<TransactionsToken> ReadToken(const std::string& token) {
  const size_t point = token.find('.');
  TransactionsToken result;
  if (point == std::string::npos ||
      !absl::SimpleAtoi(token.substr(0, point), &result.from_micros) || result.from_micros < 0 ||
      result.from_micros >= kEnd * 1'000'000)
    return std::nullopt;
  result.of_events = token.substr(point + 1);
  return result;
}

// As ListEvents takes moments.
void CheckMoment(std::string_view field, const google::protobuf::Timestamp& time,
                 rpc::BadRequestBuilder& bad) {
  if (time.seconds() >= 0 && time.seconds() < kEnd && time.nanos() >= 0 &&
      time.nanos() < 1'000'000'000)
    return;
  bad.Add(field, "must be a moment from 1970-01-01 until 2200-01-01");
}

int64_t MicrosOf(const google::protobuf::Timestamp& time) {
  return time.seconds() * 1'000'000 + time.nanos() / 1000;
}

// The question to the ledger, but for its page token and `from`.
v1::ListEventsRequest EventsOf(const v1::ListTransactionsRequest& request,
                               const std::string& currency) {
  v1::ListEventsRequest events;
  events.mutable_account()->set_type(kWalletType);
  auto& key = *events.mutable_account()->mutable_key();
  key["wallet_id"] = request.wallet_id();
  key["currency"] = currency;
  if (request.has_to()) *events.mutable_to()->mutable_time() = request.to();
  events.set_descending(true);
  events.set_page_size(request.page_size());
  return events;
}

// From when on events are kept, of the error that says so.
std::optional<int64_t> KeptSince(const absl::Status& status) {
  google::rpc::ErrorInfo info;
  absl::Time after;
  if (!rpc::GetDetail(status, &info) || info.reason() != "EVENTS_DROPPED") return std::nullopt;
  const auto found = info.metadata().find("after");
  if (found == info.metadata().end() ||
      !absl::ParseTime(absl::RFC3339_full, found->second, &after, nullptr))
    return std::nullopt;
  // Microseconds are cut, and it must not lie before.
  return absl::ToUnixMicros(after) + 1;
}

}  // namespace

v1::Hold ToMessage(const HoldRow& row, int scale) {
  v1::Hold hold;
  hold.set_hold_id(row.hold_id);
  hold.set_wallet_id(row.wallet_id);
  hold.set_amount(row.amount.ToString(scale));
  hold.set_currency(row.currency);
  hold.set_state(HoldStateOf(row.state));
  if (row.captured.has_value()) hold.set_captured_amount(row.captured->ToString(scale));
  *hold.mutable_created_at() = rpc::ToTimestamp(row.created_at);
  *hold.mutable_expires_at() = rpc::ToTimestamp(row.expires_at);
  return hold;
}

absl::Status WalletReader::GetWallet(rpc::Call& call, const v1::GetWalletRequest& request,
                                     v1::GetWalletResponse& response) {
  SALDO_ASSIGN_OR_RETURN(const std::string id, Check(request));
  const size_t shard = core_.ShardOf(id);
  SALDO_RETURN_IF_ERROR(core_.shards().Check(shard));
  const auto row = core_.store(shard).Find(call.context(), id);
  SALDO_RETURN_IF_ERROR(core_.shards().Named(shard, row.status()));
  if (!row->has_value()) {
    return request.has_external_id() ? WalletNotFoundByExternalId(request.external_id())
                                     : WalletNotFound(id);
  }
  SALDO_ASSIGN_OR_RETURN(*response.mutable_wallet(), ToMessage(**row, core_.scale()));
  return absl::OkStatus();
}

absl::Status WalletReader::ListWallets(rpc::Call& call, const v1::ListWalletsRequest& request,
                                       v1::ListWalletsResponse& response) {
  SALDO_ASSIGN_OR_RETURN(const PageOrder page, Check(request));
  // One more than is shown tells whether there is a next page.
  std::vector<std::vector<WalletRow>> of_shards(core_.shards().size());
  SALDO_RETURN_IF_ERROR(core_.shards().ForAll([&](size_t shard) -> absl::Status {
    SALDO_ASSIGN_OR_RETURN(
        of_shards[shard],
        core_.store(shard).List(call.context(), request.currency(), page.after, page.limit + 1));
    return absl::OkStatus();
  }));
  std::vector<WalletRow> rows;
  for (std::vector<WalletRow>& some : of_shards)
    rows.insert(rows.end(), std::make_move_iterator(some.begin()),
                std::make_move_iterator(some.end()));
  std::sort(rows.begin(), rows.end(),
            [](const WalletRow& a, const WalletRow& b) { return a.wallet_id < b.wallet_id; });
  const size_t shown = std::min(rows.size(), static_cast<size_t>(page.limit));
  for (size_t i = 0; i < shown; ++i) {
    SALDO_ASSIGN_OR_RETURN(*response.add_wallets(), ToMessage(rows[i], core_.scale()));
  }
  if (rows.size() > shown) response.set_next_page_token(rows[shown - 1].wallet_id);
  return absl::OkStatus();
}

absl::Status WalletReader::GetTransfer(rpc::Call& call, const v1::GetTransferRequest& request,
                                       v1::GetTransferResponse& response) {
  const std::string& id = request.transfer_id();
  const std::optional<TransferName> name = ParseTransferId(id);
  if (!name.has_value()) return TransferNotFound(id);
  const size_t shard = core_.ShardOf(name->from_wallet_id);
  SALDO_RETURN_IF_ERROR(core_.shards().Check(shard));
  const auto out = core_.store(shard).FindTransferOut(call.context(), id);
  SALDO_RETURN_IF_ERROR(core_.shards().Named(shard, out.status()));
  v1::Transfer& transfer = *response.mutable_transfer();
  transfer.set_transfer_id(id);
  transfer.set_from_wallet_id(name->from_wallet_id);
  if (out->has_value()) {
    const TransferOutRow& row = **out;
    transfer.set_to_wallet_id(row.transfer.to_wallet_id);
    transfer.set_amount(row.transfer.amount.ToString(core_.scale()));
    transfer.set_currency(row.transfer.currency);
    transfer.set_state(TransferStateOf(row.state));
    transfer.set_refund_reason(row.refund_reason);
    *transfer.mutable_created_at() = rpc::ToTimestamp(row.created_at);
    return absl::OkStatus();
  }
  const auto written =
      core_.store(shard).FindWrittenTransfer(call.context(), WriteIdOf(name->request_id), id);
  SALDO_RETURN_IF_ERROR(core_.shards().Named(shard, written.status()));
  if (!written->has_value()) return TransferNotFound(id);
  transfer.set_to_wallet_id((*written)->to_wallet_id);
  transfer.set_amount((*written)->amount.ToString(core_.scale()));
  transfer.set_currency((*written)->currency);
  transfer.set_state(v1::TRANSFER_STATE_SETTLED);
  *transfer.mutable_created_at() = rpc::ToTimestamp((*written)->created_at);
  return absl::OkStatus();
}

absl::Status WalletReader::ListTransactions(rpc::Call& call,
                                            const v1::ListTransactionsRequest& request,
                                            v1::ListTransactionsResponse& response) {
  rpc::BadRequestBuilder bad;
  SALDO_RETURN_IF_ERROR(CheckWalletId(request.wallet_id()));
  CheckMoment("from", request.from(), bad);
  CheckMoment("to", request.to(), bad);
  std::optional<TransactionsToken> token;
  if (!request.page_token().empty()) {
    token = ReadToken(request.page_token());
    if (!token.has_value()) bad.Add("page_token", "is not one that this call has answered");
  }
  SALDO_RETURN_IF_ERROR(bad.Build());
  SALDO_ASSIGN_OR_RETURN(const auto currencies,
                         core_.ReadCurrencies({request.wallet_id()}, call.context()));
  const size_t shard = core_.ShardOf(request.wallet_id());
  SALDO_ASSIGN_OR_RETURN(const WalletTypes types, core_.Types(shard));

  v1::ListEventsRequest events = EventsOf(request, currencies[0]);
  int64_t from_micros = request.has_from() ? MicrosOf(request.from()) : kEarliest * 1'000'000;
  if (!request.has_from() && request.has_to())
    from_micros = std::min(from_micros, MicrosOf(request.to()));
  if (token.has_value()) from_micros = token->from_micros;
  v1::ListEventsResponse listed;
  const auto list = [&] {
    *events.mutable_from()->mutable_time() = rpc::ToTimestamp(absl::FromUnixMicros(from_micros));
    events.set_page_token(token.has_value() ? token->of_events : "");
    listed.Clear();
    return core_.reader(shard).ListEvents(call.context(), *types.all, events, listed);
  };
  absl::Status status = list();
  const bool as_far_as_kept = !request.has_from() && !token.has_value();
  if (const auto since = KeptSince(status); since.has_value() && as_far_as_kept) {
    if (request.has_to() && MicrosOf(request.to()) <= *since) return absl::OkStatus();
    from_micros = *since;
    status = list();
  }
  SALDO_RETURN_IF_ERROR(core_.shards().Named(shard, status));
  for (const v1::Event& event : listed.events())
    *response.add_transactions() = ToTransaction(event);
  if (!listed.next_page_token().empty())
    response.set_next_page_token(absl::StrCat(from_micros, ".", listed.next_page_token()));
  return absl::OkStatus();
}

absl::StatusOr<HoldRow> WalletReader::FindHold(const CallContext& context,
                                               const std::string& hold_id,
                                               const std::string& wallet_id) {
  const size_t shard = core_.ShardOf(wallet_id);
  SALDO_RETURN_IF_ERROR(core_.shards().Check(shard));
  const auto row = core_.store(shard).FindHold(context, hold_id);
  SALDO_RETURN_IF_ERROR(core_.shards().Named(shard, row.status()));
  if (!row->has_value()) return HoldNotFound(hold_id);
  return **row;
}

absl::Status WalletReader::GetHold(rpc::Call& call, const v1::GetHoldRequest& request,
                                   v1::GetHoldResponse& response) {
  const std::optional<std::string> wallet = WalletOfHold(request.hold_id());
  if (!wallet.has_value()) return HoldNotFound(request.hold_id());
  SALDO_ASSIGN_OR_RETURN(const HoldRow row, FindHold(call.context(), request.hold_id(), *wallet));
  *response.mutable_hold() = ToMessage(row, core_.scale());
  return absl::OkStatus();
}

absl::Status WalletReader::ListHolds(rpc::Call& call, const v1::ListHoldsRequest& request,
                                     v1::ListHoldsResponse& response) {
  SALDO_ASSIGN_OR_RETURN(const PageOrder page, Check(request));
  SALDO_RETURN_IF_ERROR(core_.ReadCurrencies({request.wallet_id()}, call.context()).status());
  const size_t shard = core_.ShardOf(request.wallet_id());
  SALDO_RETURN_IF_ERROR(core_.shards().Check(shard));
  HoldPosition after{absl::UnixEpoch(), ""};
  if (!page.after.empty()) after = ReadHoldToken(page.after).value_or(after);
  const auto rows = core_.store(shard).ListHolds(call.context(), request.wallet_id(),
                                                 after.expires_at, after.hold_id, page.limit + 1);
  SALDO_RETURN_IF_ERROR(core_.shards().Named(shard, rows.status()));
  const size_t shown = std::min(rows->size(), static_cast<size_t>(page.limit));
  for (size_t i = 0; i < shown; ++i) *response.add_holds() = ToMessage((*rows)[i], core_.scale());
  if (rows->size() > shown) {
    const HoldRow& last = (*rows)[shown - 1];
    response.set_next_page_token(MakeHoldToken({last.expires_at, last.hold_id}));
  }
  return absl::OkStatus();
}

}  // namespace saldo::wallets
