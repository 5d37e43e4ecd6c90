#include "common/rpc/config.h"

#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "common/config/load.h"

namespace saldo::rpc {
namespace {

config::LoadResult Load(std::vector<const char*> flags, ServerOptions* options) {
  flags.insert(flags.begin(), "program");
  const char* const no_environment[] = {nullptr};
  return config::Load({.name = "program"}, static_cast<int>(flags.size()), flags.data(),
                      no_environment, [&](config::Binder& binder) {
                        binder.Section("grpc", [&](config::Binder& b) { Bind(b, *options); });
                      });
}

TEST_CASE("the options bind, and their defaults are allowed values") {
  ServerOptions options;
  const config::LoadResult defaults = Load({}, &options);
  INFO((defaults.faults.empty() ? "" : defaults.faults[0]));
  REQUIRE(defaults.run);
  CHECK(options.port == 8082);
  REQUIRE(Load({"--grpc.port=9000", "--grpc.max_receive_size=1MiB", "--grpc.worker_threads=3",
                "--grpc.drain_timeout=3s", "--grpc.reflection=false", "--grpc.streams_max=5",
                "--grpc.stream_window=7", "--grpc.stream_window_size=2MiB"},
               &options)
              .run);
  CHECK(options.port == 9000);
  CHECK(options.max_receive_bytes == 1 << 20);
  CHECK(options.calls.worker_threads == 3);
  CHECK(options.drain_timeout == absl::Seconds(3));
  CHECK_FALSE(options.reflection);
  CHECK(options.calls.streams_max == 5);
  CHECK(options.calls.stream_window == 7);
  CHECK(options.calls.stream_window_bytes == 2 << 20);
}

TEST_CASE("deadlines must be in order") {
  ServerOptions options;
  const config::LoadResult result =
      Load({"--grpc.default_deadline=20s", "--grpc.max_deadline=10s"}, &options);
  CHECK_FALSE(result.run);
  REQUIRE(result.faults.size() == 1);
  CHECK(result.faults[0].find("default_deadline must not exceed max_deadline") !=
        std::string::npos);
}

}  // namespace
}  // namespace saldo::rpc
