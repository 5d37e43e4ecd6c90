// `saldo migrate up|status`: the schema of a database.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace saldo::cli {

absl::StatusOr<int> RunMigrate(const std::vector<std::string>& arguments);

}  // namespace saldo::cli
