// What an event of a wallet says besides its amount, as the ledger keeps it: a JSON object. Pure.
#pragma once

#include <string>
#include <string_view>

#include "saldo/v1/account_service.pb.h"
#include "saldo/v1/wallet_event.pb.h"
#include "saldo/v1/wallet_service.pb.h"

namespace saldo::wallets {

struct Story {
  v1::WalletEventKind kind;
  std::string_view request_id;
  std::string_view description = "";
  std::string_view counterparty = "";
  std::string_view transfer_id = "";
  std::string_view hold_id = "";
};

std::string InfoOf(const Story& story);

// The transfer that an event's info is of; "" for none, also where the info is anything else.
std::string TransferIdIn(const std::string& info);

// A ledger's event of a wallet, as ListTransactions shows it.
v1::Transaction ToTransaction(const v1::Event& event);

}  // namespace saldo::wallets
