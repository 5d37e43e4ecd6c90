// Many faults in one status: its message has one a line.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"

namespace saldo::keys {

using Faults = std::vector<std::string>;

// OK without faults.
absl::Status ToStatus(absl::StatusCode code, const Faults& faults);

// The faults of a status that is not OK.
Faults FaultsOf(const absl::Status& status);

}  // namespace saldo::keys
