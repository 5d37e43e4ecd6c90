// Account types from texts, for tests.
#pragma once

#include <stdexcept>
#include <string>
#include <vector>

#include "server/accounts/types/types_file.h"

namespace saldo::accounts {

inline std::vector<AccountType> Parsed(const std::string& yaml) {
  auto types = ParseTypes("types.yaml", yaml);
  if (!types.ok()) throw std::runtime_error(types.status().ToString());
  return *std::move(types);
}

}  // namespace saldo::accounts
