#include "retranslator/config.h"

#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "common/config/load.h"

namespace saldo::retranslator {
namespace {

config::LoadResult Load(std::vector<const char*> flags) {
  flags.insert(flags.begin(), {"program", "--kafka.brokers=x"});
  const char* const no_environment[] = {nullptr};
  RetranslatorConfig bound;
  return config::Load({.name = "program"}, static_cast<int>(flags.size()), flags.data(),
                      no_environment, [&](config::Binder& binder) { Bind(binder, bound); });
}

TEST_CASE("the defaults are allowed") {
  const config::LoadResult result = Load({"--postgres.dsn=x"});
  CHECK(result.faults.empty());
  CHECK(result.run);
}

TEST_CASE("limits that contradict each other are faults") {
  const std::vector<const char*> rows[] = {
      {"--relay.retry.backoff_min=2s", "--relay.retry.backoff_max=1s"},
      // The relay would wait for ever for room for what it has read.
      {"--relay.read_messages_max=20000", "--relay.window_messages_max=16384"},
      {"--relay.read_bytes_max=3MiB", "--relay.window_bytes_max=2MiB"},
  };
  for (const auto& row : rows) {
    CAPTURE(row[0]);
    std::vector<const char*> flags = row;
    flags.push_back("--postgres.dsn=x");
    const config::LoadResult result = Load(flags);
    CHECK_FALSE(result.run);
    CHECK(result.faults.size() == 1);
  }
}

TEST_CASE("a database is needed") {
  const config::LoadResult result = Load({});
  CHECK_FALSE(result.run);
  REQUIRE(result.faults.size() == 1);
  CHECK_THAT(result.faults[0], Catch::Contains("not given; set it in the file"));
}

}  // namespace
}  // namespace saldo::retranslator
