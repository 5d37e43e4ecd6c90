// `saldo stack`: PostgreSQL, Kafka and Saldo, started together for a first try.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace saldo::cli {

absl::StatusOr<int> RunStack(const std::vector<std::string>& arguments);

}  // namespace saldo::cli
