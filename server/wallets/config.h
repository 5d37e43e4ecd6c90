// The configuration of wallets: section `wallets`, and the jobs that look after them.
#pragma once

#include <cstdint>
#include <string>

#include "absl/time/time.h"
#include "common/config/binder.h"

namespace saldo::wallets {

struct WalletsConfig {
  std::string topic = "saldo-wallets";
  // Digits after the point that an amount may have. Once there are wallets it can only grow.
  int scale = 2;
  // How long what changed the balances is kept for ListTransactions.
  int retention_days = 400;
  // Threads for what has to ask the database before it can be written.
  int workers = 4;
  // Calls that wait for these; more are refused at once.
  int queue_capacity = 4096;
  // Wallets whose currency is kept in memory, at about 150 bytes each.
  int known_wallets_max = 1'000'000;
};
void Bind(config::Binder& binder, WalletsConfig& config);

// Section jobs.wallet_holds: gives back what holds had set aside when they expired.
struct HoldSweepConfig {
  bool enabled = true;
  absl::Duration interval = absl::Seconds(1);
  int holds_max = 500;  // of one run
};
void Bind(config::Binder& binder, HoldSweepConfig& config);

// Section jobs.wallet_transfers: drives on transfers between shards that were left under way.
struct TransferSweepConfig {
  bool enabled = true;
  absl::Duration interval = absl::Seconds(1);
  int transfers_max = 200;  // of one run
  // A transfer is left to the call that made it for so long.
  absl::Duration grace = absl::Seconds(2);
};
void Bind(config::Binder& binder, TransferSweepConfig& config);

struct WalletsOptions {
  WalletsConfig wallets;
  HoldSweepConfig holds;
  TransferSweepConfig transfers;
};

}  // namespace saldo::wallets
