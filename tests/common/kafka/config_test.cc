#include "common/kafka/config.h"

#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "common/config/load.h"

namespace saldo::kafka {
namespace {

config::LoadResult LoadFlags(ProducerOptions& options, std::vector<const char*> flags) {
  flags.insert(flags.begin(), "test");
  const char* const no_environment[] = {nullptr};
  return config::Load({.name = "test"}, static_cast<int>(flags.size()), flags.data(),
                      no_environment, [&](config::Binder& binder) {
                        binder.Section("kafka",
                                       [&](config::Binder& section) { Bind(section, options); });
                      });
}

TEST_CASE("a producer is configured by keys, and its defaults are within their ranges") {
  ProducerOptions options;
  const config::LoadResult loaded =
      LoadFlags(options, {"--kafka.brokers=a:1,b:2", "--kafka.linger=7ms",
                          "--kafka.queue_bytes_max=2MiB", "--kafka.compression=zstd",
                          "--kafka.security_protocol=sasl_ssl", "--kafka.sasl_username=relay"});
  CAPTURE(loaded.faults);
  REQUIRE(loaded.run);
  CHECK(options.connection.brokers == "a:1,b:2");
  CHECK(options.linger == absl::Milliseconds(7));
  CHECK(options.queue_bytes_max == 2 << 20);
  CHECK(options.compression == Compression::kZstd);
  CHECK(options.connection.security_protocol == SecurityProtocol::kSaslSsl);
}

TEST_CASE("the client library accepts both ends of every range") {
  for (const auto& flags : std::vector<std::vector<const char*>>{
           {"--kafka.linger=0s", "--kafka.batch_messages_max=1", "--kafka.batch_bytes_max=1000",
            "--kafka.message_bytes_max=1000", "--kafka.queue_messages_max=1",
            "--kafka.queue_bytes_max=1MiB", "--kafka.message_timeout=0s", "--kafka.topic_wait=0s",
            "--kafka.metadata_refresh=1s", "--kafka.statistics_interval=0s",
            "--kafka.request_timeout=100ms", "--kafka.reconnect_backoff_max=10ms"},
           {"--kafka.linger=10s", "--kafka.batch_messages_max=1000000",
            "--kafka.batch_bytes_max=100000000", "--kafka.message_bytes_max=100000000",
            "--kafka.queue_messages_max=10000000", "--kafka.queue_bytes_max=64GiB",
            "--kafka.message_timeout=24h", "--kafka.topic_wait=1h", "--kafka.metadata_refresh=1h",
            "--kafka.statistics_interval=1h", "--kafka.request_timeout=5m",
            "--kafka.reconnect_backoff_max=10m"}}) {
    ProducerOptions options;
    options.connection.brokers = "127.0.0.1:1";
    const config::LoadResult loaded = LoadFlags(options, flags);
    CAPTURE(loaded.faults);
    REQUIRE(loaded.run);
    CHECK(Producer::Create(options).status() == absl::OkStatus());
  }
}

TEST_CASE("brokers are required, and a user by the SASL protocols") {
  ProducerOptions options;
  CHECK_FALSE(LoadFlags(options, {}).run);
  CHECK_FALSE(
      LoadFlags(options, {"--kafka.brokers=a:1", "--kafka.security_protocol=sasl_ssl"}).run);
}

}  // namespace
}  // namespace saldo::kafka
