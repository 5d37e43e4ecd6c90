// Callers of one unary method in this process, through gRPC's callback API and with messages as
// bytes: thousands of calls under way cost no threads and little time.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "bench/harness.h"
#include "grpcpp/support/byte_buffer.h"

namespace saldo::bench {

struct UnaryLoad {
  int port = 0;
  std::string method;  // "/package.Service/Method"
  int callers = 1;     // each sends the next call when the last is answered
  // The request of the call with this number, which counts from 0. Called by gRPC's threads, by
  // several at once.
  std::function<grpc::ByteBuffer(int64_t)> request;
  absl::Duration warm_up = absl::Seconds(1);
  absl::Duration time = absl::Seconds(5);
};

struct LoadResult {
  double per_second = 0;
  std::vector<double> answer_ms;  // of the measured time
};

// UNAVAILABLE with the first error when a call failed.
absl::StatusOr<LoadResult> RunLoad(const Context& context, const UnaryLoad& load);

}  // namespace saldo::bench
