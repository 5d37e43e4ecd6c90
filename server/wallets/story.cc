#include "server/wallets/story.h"

#include "absl/strings/str_cat.h"
#include "nlohmann/json.hpp"

namespace saldo::wallets {
namespace {

using Kind = v1::WalletEventKind;

// How the ledger's events name a kind.
struct KindName {
  Kind kind;
  const char* name;
};
constexpr KindName kKindNames[] = {
    {v1::WALLET_EVENT_KIND_TOP_UP, "top_up"},
    {v1::WALLET_EVENT_KIND_WITHDRAWAL, "withdrawal"},
    {v1::WALLET_EVENT_KIND_TRANSFER_OUT, "transfer_out"},
    {v1::WALLET_EVENT_KIND_TRANSFER_IN, "transfer_in"},
    {v1::WALLET_EVENT_KIND_TRANSFER_REFUND, "transfer_refund"},
    {v1::WALLET_EVENT_KIND_HOLD, "hold"},
    {v1::WALLET_EVENT_KIND_HOLD_RELEASE, "hold_release"},
    {v1::WALLET_EVENT_KIND_HOLD_EXPIRY, "hold_expiry"},
};

// "" where the object has no such text, or is none.
std::string TextOf(const nlohmann::json& info, const char* name) {
  if (!info.is_object()) return "";
  const auto found = info.find(name);
  return found != info.end() && found->is_string() ? found->get<std::string>() : "";
}

}  // namespace

std::string InfoOf(const Story& story) {
  nlohmann::json info;
  for (const KindName& one : kKindNames) {
    if (one.kind == story.kind) info["kind"] = one.name;
  }
  const auto add = [&info](const char* name, std::string_view value) {
    if (!value.empty()) info[name] = value;
  };
  add("request_id", story.request_id);
  add("description", story.description);
  add("counterparty", story.counterparty);
  add("transfer_id", story.transfer_id);
  add("hold_id", story.hold_id);
  return info.dump();
}

std::string TransferIdIn(const std::string& info) {
  return TextOf(nlohmann::json::parse(info, nullptr, false), "transfer_id");
}

v1::Transaction ToTransaction(const v1::Event& event) {
  v1::Transaction shown;
  shown.set_batch_id(event.batch_id());
  shown.set_ordinal(event.ordinal());
  shown.set_amount(event.side() == v1::SIDE_DEBIT ? absl::StrCat("-", event.amount())
                                                  : event.amount());
  shown.set_balance_after(event.balance_after());
  *shown.mutable_occurred_at() = event.occurred_at();
  const nlohmann::json info = nlohmann::json::parse(event.info(), nullptr, false);
  for (const KindName& one : kKindNames) {
    if (TextOf(info, "kind") == one.name) shown.set_kind(one.kind);
  }
  shown.set_counterparty_wallet_id(TextOf(info, "counterparty"));
  shown.set_hold_id(TextOf(info, "hold_id"));
  shown.set_transfer_id(TextOf(info, "transfer_id"));
  shown.set_request_id(TextOf(info, "request_id"));
  shown.set_description(TextOf(info, "description"));
  return shown;
}

}  // namespace saldo::wallets
