#include "common/postgres/database_stats.h"

#include <catch2/catch.hpp>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "tests/common/postgres/postgres_test_util.h"
#include "tests/support/test_env.h"

namespace saldo::postgres {
namespace {

// -1 when there is no such metric.
double Value(const metrics::Registry& registry, const std::string& name) {
  const std::string text = registry.Text(), line = absl::StrCat("\n", name, " ");
  const size_t at = text.find(line);
  double value = -1;
  if (at != std::string::npos) {
    const size_t begin = at + line.size();
    if (!absl::SimpleAtod(text.substr(begin, text.find('\n', begin) - begin), &value)) return -1;
  }
  return value;
}

}  // namespace

TEST_CASE("a database's size, connections and oldest transaction are shown as metrics") {
  const testing::TestDatabase database;
  metrics::Registry registry;
  Pool pool({.connection = {.dsn = database.dsn()}, .max_connections = 2}, registry);
  DatabaseStats stats(pool, registry);
  REQUIRE(stats.RunOnce().ok());
  const std::string size = "saldo_postgres_database_size_bytes",
                    oldest = "saldo_postgres_oldest_transaction_seconds",
                    connections = "saldo_postgres_server_connections";
  const double empty_bytes = Value(registry, size), idle = Value(registry, connections);
  CHECK(empty_bytes > 1'000'000);
  CHECK(Value(registry, oldest) < 1);
  CHECK(idle >= 1);
  CHECK(absl::StrCat(Value(registry, "saldo_postgres_server_connections_max")) ==
        database.Query("SHOW max_connections"));

  database.Query("CREATE TABLE big AS SELECT generate_series(1, 50000) AS id");
  {
    // In another database: it holds up this one's too.
    const testing::TestDatabase other;
    Pool others({.connection = {.dsn = other.dsn()}, .max_connections = 1}, registry);
    constexpr Statement kBegin{"test.begin", "BEGIN"};
    auto open = others.Acquire(Soon());
    REQUIRE(open.ok());
    REQUIRE((*open)->Query(Soon(), kBegin).ok());
    REQUIRE(testing::Eventually(
        absl::Seconds(20), [&] { return stats.RunOnce().ok() && Value(registry, oldest) > 0.2; }));
    CHECK(Value(registry, connections) > idle);
  }
  // How many connections there are is known to the statistics a moment later.
  CHECK(testing::Eventually(absl::Seconds(20), [&] {
    return stats.RunOnce().ok() && Value(registry, oldest) < 0.2 &&
           Value(registry, connections) <= idle;
  }));
  CHECK(Value(registry, size) > empty_bytes + 1'000'000);
}

}  // namespace saldo::postgres
