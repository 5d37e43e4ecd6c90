// The configuration of the ledger.
#pragma once

#include <string>

#include "absl/time/time.h"
#include "common/config/binder.h"

namespace saldo::accounts {

struct LedgerConfig {
  // YAML, see types_file.h; empty for the built-in example. Read again on SIGHUP.
  std::string types_file;
  // Where the accounting day begins: "UTC" or "Region/City". Fixed at the first start.
  std::string time_zone = "UTC";
  // How long the id of an accepted request is remembered at least.
  absl::Duration idempotency_retention = absl::Hours(24);
};

void Bind(config::Binder& binder, LedgerConfig& config);

}  // namespace saldo::accounts
