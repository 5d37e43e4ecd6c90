#include "common/observability/config.h"

#include <catch2/catch.hpp>

#include "common/config/load.h"

namespace saldo {
namespace {

config::LoadResult LoadFlags(std::vector<const char*> flags, log::Options* log_options,
                             http::HttpOptions* http_options) {
  flags.insert(flags.begin(), "program");
  const char* const env[] = {nullptr};
  return config::Load(
      {.name = "program", .summary = "a test", .version = "1"}, static_cast<int>(flags.size()),
      flags.data(), env, [&](config::Binder& binder) {
        binder.Section("log", [&](config::Binder& b) { Bind(b, *log_options); });
        binder.Section("status", [&](config::Binder& b) { Bind(b, *http_options); });
      });
}

TEST_CASE("the sections bind to the options") {
  log::Options log_options;
  http::HttpOptions http_options{.port = 8000};
  REQUIRE(LoadFlags({}, &log_options, &http_options).run);
  CHECK(http_options.port == 8000);
  const auto loaded = LoadFlags({"--log.level=debug", "--log.format=console",
                                 "--status.address=127.0.0.1", "--status.port=0"},
                                &log_options, &http_options);
  REQUIRE(loaded.run);
  CHECK(log_options.level == log::Level::kDebug);
  CHECK(log_options.format == log::Format::kConsole);
  CHECK(http_options.address == "127.0.0.1");
  CHECK(http_options.port == 0);
}

TEST_CASE("values out of range are faults") {
  log::Options log_options;
  http::HttpOptions http_options;
  CHECK(LoadFlags({"--log.level=loud"}, &log_options, &http_options).faults.size() == 1);
  CHECK(LoadFlags({"--status.port=65536"}, &log_options, &http_options).faults.size() == 1);
  CHECK(LoadFlags({"--status.address="}, &log_options, &http_options).faults.size() == 1);
}

}  // namespace
}  // namespace saldo
