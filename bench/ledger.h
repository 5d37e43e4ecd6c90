// The ledger as the benchmarks use it: a server with these account types, and requests for it.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "bench/stack.h"
#include "saldo/v1/account_service.pb.h"

namespace saldo::bench {

inline constexpr const char* kWriteMethod = "/saldo.v1.AccountService/WriteEvents";

// Without limits, with two auxiliary attributes; and with a limit that no load reaches.
inline constexpr const char* kFee = "bench_fee";
inline constexpr const char* kWallet = "bench_wallet";
// The same, that may also go below zero.
inline constexpr const char* kPurse = "bench_purse";

// A saldo-server on `database`, ready.
absl::StatusOr<Program> StartLedger(Stack& stack, const std::string& database,
                                    std::vector<std::string> arguments = {});

// One credit on account `client` of `type`.
v1::NewEvent BenchEvent(const char* type, int64_t client);

// A number that looks random and is the same in each run (splitmix64, Steele and others 2014).
uint64_t Scramble(uint64_t number);

}  // namespace saldo::bench
