// Fills the outbox by set-based SQL: a million messages in seconds.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "common/postgres/connection.h"

namespace saldo::bench {

inline constexpr int kPayloadBytes = 200;
inline constexpr int kKeys = 100'000;

// One message a batch, as `count` calls would have left them, with a seq: ready for the relay.
// For a database in which nothing has happened.
absl::Status PrefillSequenced(postgres::Connection& connection, const std::string& topic,
                              int64_t count);

// The same without a seq, for a database with a running sequencer.
absl::Status PrefillCommitted(postgres::Connection& connection, const std::string& topic,
                              int64_t count);

}  // namespace saldo::bench
