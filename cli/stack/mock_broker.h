// `saldo stack mock-broker`: a process that hosts librdkafka's mock cluster.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace saldo::cli {

absl::StatusOr<int> RunMockBroker(const std::vector<std::string>& arguments);

}  // namespace saldo::cli
