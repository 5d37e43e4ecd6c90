// Shared by the tests of common/postgres.
#pragma once

#include <memory>
#include <string>

#include "common/postgres/connection.h"
#include "tests/support/test_servers.h"

namespace saldo::postgres {

inline CallContext Soon() { return CallContext::WithTimeout(absl::Seconds(20)); }

inline std::unique_ptr<Connection> Connect(const std::string& dsn) {
  absl::StatusOr<std::unique_ptr<Connection>> connection = Connection::Open({.dsn = dsn}, Soon());
  if (!connection.ok()) throw std::runtime_error(connection.status().ToString());
  return *std::move(connection);
}

}  // namespace saldo::postgres
