#include "retranslator/config.h"

#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "common/config/load.h"

namespace saldo::retranslator {
namespace {

config::LoadResult Load(std::vector<const char*> flags) {
  flags.insert(flags.begin(), {"program", "--postgres.dsn=x", "--kafka.brokers=x"});
  const char* const no_environment[] = {nullptr};
  RetranslatorConfig bound;
  return config::Load({.name = "program"}, static_cast<int>(flags.size()), flags.data(),
                      no_environment, [&](config::Binder& binder) { Bind(binder, bound); });
}

TEST_CASE("the defaults are allowed") {
  const config::LoadResult result = Load({});
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
    const config::LoadResult result = Load(row);
    CHECK_FALSE(result.run);
    CHECK(result.faults.size() == 1);
  }
}

}  // namespace
}  // namespace saldo::retranslator
