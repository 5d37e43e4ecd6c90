#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "common/config/load.h"
#include "server/packages/service.h"

namespace saldo::packages {
namespace {

config::LoadResult Load(std::vector<const char*> flags, PackagesConfig* packages) {
  flags.insert(flags.begin(), "program");
  const char* const no_environment[] = {nullptr};
  return config::Load({.name = "program"}, static_cast<int>(flags.size()), flags.data(),
                      no_environment, [&](config::Binder& binder) { Bind(binder, *packages); });
}

TEST_CASE("the keys bind, and the defaults are allowed") {
  PackagesConfig packages;
  REQUIRE(Load({}, &packages).run);
  CHECK(packages.topic == "omp-package-events");
  CHECK(packages.page.default_limit == 100);
  CHECK(packages.page.max_limit == 1000);
  REQUIRE(
      Load({"--topic=a.b_c-D9", "--list_default_limit=2", "--list_max_limit=3"}, &packages).run);
  CHECK(packages.topic == "a.b_c-D9");
  CHECK(packages.page.default_limit == 2);
  CHECK(packages.page.max_limit == 3);
}

TEST_CASE("a topic that Kafka does not take and limits out of order are faults") {
  for (const char* flag : {"--topic=a b", "--topic=..", "--topic=жук", "--list_max_limit=99"}) {
    CAPTURE(flag);
    PackagesConfig packages;
    const config::LoadResult result = Load({flag}, &packages);
    CHECK_FALSE(result.run);
    CHECK(result.faults.size() == 1);
  }
}

}  // namespace
}  // namespace saldo::packages
