// A transaction that rests on grants, as one of the ledger's writer does that was checked while
// they held.
#pragma once

#include <catch2/catch.hpp>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/base/call_context.h"
#include "common/postgres/connection.h"
#include "tests/support/migrated_database.h"
#include "tests/support/test_env.h"

namespace saldo::testing {

class RestingWrite {
 public:
  // On the grants for which `condition` is true, in SQL; there must be some.
  explicit RestingWrite(const MigratedDatabase& database, const std::string& condition = "true") {
    auto opened = postgres::Connection::Open({.dsn = database.dsn()}, Soon());
    REQUIRE(opened.ok());
    connection_ = *std::move(opened);
    REQUIRE(connection_->Query(Soon(), {"test.begin", "BEGIN"}).ok());
    const std::string sql =
        absl::StrCat("SELECT FROM lock_holders WHERE ", condition, " FOR KEY SHARE");
    const auto rows = connection_->Query(Soon(), {"test.rest", sql});
    REQUIRE(rows.ok());
    REQUIRE(rows->size() > 0);
  }

  void End() { REQUIRE(connection_->Query(Soon(), {"test.commit", "COMMIT"}).ok()); }

 private:
  static CallContext Soon() { return CallContext::WithTimeout(absl::Seconds(30)); }

  std::unique_ptr<postgres::Connection> connection_;
};

// Whether so many sessions come to wait for a lock of the database, and still do for several looks
// in a row. Some do for a moment, whose transactions meet.
inline bool SessionsWait(const MigratedDatabase& database, int count) {
  constexpr int kLooks = 5;
  int in_a_row = 0;
  return Eventually(absl::Seconds(30), [&] {
    const bool seen = database.Query(
                          "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                          " AND wait_event_type = 'Lock'") == std::to_string(count);
    in_a_row = seen ? in_a_row + 1 : 0;
    return in_a_row >= kLooks;
  });
}

}  // namespace saldo::testing
