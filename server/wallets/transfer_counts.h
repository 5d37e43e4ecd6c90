// How many transfers have reached which state. Counted where that is committed, so a repetition is
// not counted, and neither is what another server did first.
#pragma once

#include <cstdint>

#include "common/observability/metrics.h"

namespace saldo::wallets {

// Thread-safe.
class TransferCounts {
 public:
  // `registry` outlives it.
  explicit TransferCounts(metrics::Registry& registry);

  struct Numbers {
    int64_t debited = 0;  // those between shards, with their first step
    int64_t settled = 0;
    int64_t refunded = 0;
  };
  void Add(const Numbers& numbers);

 private:
  metrics::Counter& debited_;
  metrics::Counter& settled_;
  metrics::Counter& refunded_;
};

}  // namespace saldo::wallets
