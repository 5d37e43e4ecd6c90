#include "server/wallets/transfer_counts.h"

#include <string>

namespace saldo::wallets {
namespace {

metrics::Counter& OutcomeCounter(metrics::Registry& registry, const std::string& outcome) {
  return registry.AddCounter("saldo_wallet_transfers_total",
                             "Transfers that reached a state by this server, each state once: "
                             "debited (only between shards), then settled or refunded.",
                             {{"outcome", outcome}});
}

}  // namespace

TransferCounts::TransferCounts(metrics::Registry& registry)
    : debited_(OutcomeCounter(registry, "debited")),
      settled_(OutcomeCounter(registry, "settled")),
      refunded_(OutcomeCounter(registry, "refunded")) {}

void TransferCounts::Add(const Numbers& numbers) {
  debited_.Increment(static_cast<double>(numbers.debited));
  settled_.Increment(static_cast<double>(numbers.settled));
  refunded_.Increment(static_cast<double>(numbers.refunded));
}

}  // namespace saldo::wallets
