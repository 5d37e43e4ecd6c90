// A database with Saldo's whole schema.
#pragma once

#include "tests/support/test_servers.h"

namespace saldo::testing {

// Copied from one that this program migrates once, so it is there within milliseconds.
class MigratedDatabase : public TestDatabase {
 public:
  MigratedDatabase();
};

}  // namespace saldo::testing
