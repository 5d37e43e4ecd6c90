// `saldo tail TOPIC`: shows the messages of a topic as they come.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace saldo::cli {

absl::StatusOr<int> RunTail(const std::vector<std::string>& arguments);

}  // namespace saldo::cli
