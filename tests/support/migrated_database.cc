#include "tests/support/migrated_database.h"

#include <cstdlib>
#include <iostream>

#include "common/base/call_context.h"
#include "common/base/status_macros.h"
#include "common/postgres/connection.h"
#include "common/schema/migrator.h"

namespace saldo::testing {
namespace {

absl::Status Migrate(const std::string& dsn) {
  const CallContext context = CallContext::WithTimeout(absl::Minutes(1));
  SALDO_ASSIGN_OR_RETURN(const auto connection, postgres::Connection::Open({.dsn = dsn}, context));
  return schema::Up(*connection, context, schema::AllMigrations(), [](const auto&) {});
}

// Nobody may be connected to a database while it is copied, so nobody learns its name.
const std::string& TemplateName() {
  static const struct Template {
    TestDatabase database;
    Template() {
      if (const absl::Status status = Migrate(database.dsn()); !status.ok()) {
        std::cerr << "the tests cannot go on: " << status.ToString() << "\n";
        std::exit(EXIT_FAILURE);
      }
    }
  } made;
  return made.database.name();
}

}  // namespace

MigratedDatabase::MigratedDatabase() : TestDatabase(TemplateName()) {}

}  // namespace saldo::testing
