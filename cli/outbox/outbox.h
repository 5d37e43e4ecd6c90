// `saldo outbox status|dead|redrive`: what waits to be sent, what could not be, and sending it
// anew.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace saldo::cli {

absl::StatusOr<int> RunOutbox(const std::vector<std::string>& arguments);

}  // namespace saldo::cli
