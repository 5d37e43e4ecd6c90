// The migrations that this program was built with, in order.
#pragma once

#include <string_view>

#include "absl/types/span.h"

namespace saldo::schema {

struct Migration {
  int version;
  std::string_view name;      // "0001_batches"
  std::string_view checksum;  // SHA-256 of the file, in hex
  std::string_view sql;
};

absl::Span<const Migration> AllMigrations();

}  // namespace saldo::schema
