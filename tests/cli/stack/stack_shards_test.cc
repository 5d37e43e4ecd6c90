#include "cli/stack/stack_shards.h"

#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "common/config/load.h"

namespace saldo::cli {

TEST_CASE("equal shards cover everything, and their file is read back") {
  for (size_t count = 2; count <= kStackShardsMax; ++count) {
    CAPTURE(count);
    std::vector<std::string> dsns;
    for (size_t i = 0; i < count; ++i) dsns.push_back("dbname='" + DatabaseName(i, count) + "'");
    shards::ShardsConfig read;
    const std::string none;
    CHECK(config::LoadText("file", ShardsYaml(EqualShards(dsns)), [&](config::Binder& binder) {
            shards::Bind(binder, read, none);
          }).empty());
    const auto databases = shards::Resolve(read, "");
    REQUIRE(databases.ok());
    REQUIRE(databases->size() == count);
    for (size_t i = 0; i < count; ++i) {
      CHECK(databases->map.name(i) == "s" + std::to_string(i + 1));
      CHECK(databases->list[i].dsn == dsns[i]);
      const uint64_t share = UINT64_MAX / count;
      const shards::Range range = databases->map.range(i);
      CHECK(range.last - range.first >= share - 1);
      CHECK(range.last - range.first <= share);
      CHECK(databases->map.Of(std::to_string(ClientOn(databases->map, i))) == i);
    }
  }
}

TEST_CASE("each count of shards has databases of its own") {
  CHECK(DatabaseName(0, 1) == "saldo");
  CHECK(DatabaseName(0, 2) == "saldo_s1_of_2");
  CHECK(DatabaseName(1, 3) == "saldo_s2_of_3");
}

}  // namespace saldo::cli
