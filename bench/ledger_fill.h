// Fills a ledger by set-based SQL: millions of events, written and aggregated, in a minute.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "bench/harness.h"

namespace saldo::bench {

// Over how many days before now the events are spread, evenly.
inline constexpr int kFilledDays = 5 * 365;

struct LedgerFill {
  std::string database;  // that a server with bench_fee has been started on, and stopped
  int64_t events = 0;    // a multiple of 10,000 and of `accounts`
  int64_t accounts = 0;  // the clients 0, 1, ...; each has up to six subaccounts
};
// As a server would have left them that wrote a thousand events a batch as they occurred: batches
// with a seq, none pending. The events lie in ten partitions, as the retention job cuts them.
absl::Status FillLedger(const Context& context, const LedgerFill& fill);

}  // namespace saldo::bench
