// The benchmarks, one a subject. A new one is a file, a line here and a line in main.cc.
#pragma once

#include "bench/harness.h"

namespace saldo::bench {

// How fast the relay drains a full outbox, against a bare producer.
Benchmark RelayDrain();
// From a change's commit to Kafka's acknowledgement, at a steady rate.
Benchmark RelayLatency();
// The relay's memory while Kafka is away, and how soon it catches up.
Benchmark RelayOutage();
// CreatePackageV1 against its own SQL.
Benchmark Create();
// WriteEvents of one event against an empty call, and how the shape of the load changes it.
Benchmark LedgerWrite();
// WriteEvents of many events against COPY, and of one event by one caller against plain SQL.
Benchmark LedgerBatch();
// GetBalance and GetTurnover in the past, with many events stored and with few.
Benchmark LedgerRead();
// Transfers between wallets against the events that they are, and with a hot wallet.
Benchmark Wallets();

}  // namespace saldo::bench
