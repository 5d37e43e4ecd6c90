#include "server/wallets/config.h"

#include "absl/status/status.h"
#include "server/outbox/topic_name.h"

namespace saldo::wallets {

void Bind(config::Binder& binder, WalletsConfig& config) {
  binder.String("topic", &config.topic, {.min = 1, .max = 249}, "Kafka topic of wallets' events");
  binder.Int("scale", &config.scale, {.min = 0, .max = 18},
             "Digits after the point of an amount; can only grow");
  binder.Int("retention_days", &config.retention_days, {.min = 1, .max = 36'525},
             "How long transactions can be listed");
  binder.Int("workers", &config.workers, {.min = 1, .max = 256},
             "Threads for what asks the database before it is written");
  binder.Int("queue_capacity", &config.queue_capacity, {.min = 1, .max = 1'000'000},
             "Calls that may wait for the workers; more are refused at once");
  binder.Int("known_wallets_max", &config.known_wallets_max, {.min = 0, .max = 100'000'000},
             "Wallets whose currency is kept in memory, at about 150 bytes each");
  binder.Check([&config] {
    if (outbox::IsTopicName(config.topic)) return absl::OkStatus();
    return absl::InvalidArgumentError("topic may hold letters, digits, '.', '_' and '-' only");
  });
}

void Bind(config::Binder& binder, HoldSweepConfig& config) {
  binder.Bool("enabled", &config.enabled, "Give back here what expired holds had set aside");
  binder.Duration("interval", &config.interval,
                  {.min = absl::Milliseconds(10), .max = absl::Hours(1)},
                  "How often expired holds are looked for");
  binder.Int("holds_max", &config.holds_max, {.min = 1, .max = 10'000}, "Holds of one run");
}

void Bind(config::Binder& binder, TransferSweepConfig& config) {
  binder.Bool("enabled", &config.enabled,
              "Drive on here transfers between shards that were left under way");
  binder.Duration("interval", &config.interval,
                  {.min = absl::Milliseconds(10), .max = absl::Hours(1)},
                  "How often they are looked for");
  binder.Int("transfers_max", &config.transfers_max, {.min = 1, .max = 10'000},
             "Transfers of one run");
  binder.Duration("grace", &config.grace, {.min = absl::ZeroDuration(), .max = absl::Hours(1)},
                  "How long a transfer is left to the call that made it");
}

}  // namespace saldo::wallets
