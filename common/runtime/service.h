// A part of a process that runs until it is stopped.
#pragma once

#include <string_view>

#include "absl/status/status.h"

namespace saldo::runtime {

class Service {
 public:
  virtual ~Service() = default;

  // For logs; constant.
  virtual std::string_view name() const = 0;
  // Returns once the service works, or with the reason why it does not. Called once.
  virtual absl::Status Start() = 0;
  // Returns once every thread of the service has ended. Idempotent, and allowed without Start.
  virtual void Stop() = 0;
};

}  // namespace saldo::runtime
