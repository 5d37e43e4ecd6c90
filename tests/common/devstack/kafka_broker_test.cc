#include "common/devstack/kafka_broker.h"

#include <catch2/catch.hpp>
#include <cstdlib>
#include <string>

#include "absl/strings/match.h"
#include "absl/time/clock.h"
#include "common/devstack/files.h"
#include "common/devstack/loopback.h"
#include "tests/support/test_env.h"

namespace saldo::devstack {
namespace {

using saldo::testing::Eventually;
using saldo::testing::TempDir;

constexpr absl::Duration kProbe = absl::Seconds(2);

// The identity of the cluster's data; a broker that made new data would have another.
std::string ClusterId(const TempDir& dir) {
  const std::string meta = *ReadFile(dir.File("kafka/data/meta.properties"));
  const size_t at = meta.find("cluster.id=");
  REQUIRE(at != std::string::npos);
  return meta.substr(at, meta.find('\n', at) - at);
}

TEST_CASE("a broker serves, stops, is killed and comes back on its port with its data") {
  TempDir dir;
  KafkaOptions options;
  options.dir = dir.File("kafka");
  auto broker = KafkaBroker::Start(options);
  INFO(broker.status());
  REQUIRE(broker.ok());
  const int port = (*broker)->port();
  const std::string id = ClusterId(dir);
  CHECK(ProbeKafka(port, kProbe).ok());
  CHECK((*broker)->bootstrap_servers() == "127.0.0.1:" + std::to_string(port));

  (*broker)->Stop();
  CHECK_FALSE((*broker)->running());
  CHECK_FALSE(ProbeKafka(port, kProbe).ok());
  REQUIRE((*broker)->Restart().ok());
  CHECK((*broker)->port() == port);

  (*broker)->Kill();
  CHECK_FALSE(ProbeKafka(port, kProbe).ok());
  REQUIRE((*broker)->Restart().ok());
  CHECK((*broker)->port() == port);
  CHECK(ProbeKafka(port, kProbe).ok());
  CHECK(ClusterId(dir) == id);

  REQUIRE((*broker)->Pause().ok());
  CHECK_FALSE(ProbeKafka(port, absl::Milliseconds(200)).ok());
  REQUIRE((*broker)->Continue().ok());
  CHECK(Eventually(absl::Seconds(30), [&] { return ProbeKafka(port, kProbe).ok(); }));
}

TEST_CASE("missing jars and a broken configuration are named") {
  TempDir dir;
  KafkaOptions options;
  options.dir = dir.File("kafka");
  options.libs = dir.File("empty");
  const auto missing = KafkaBroker::Start(options);
  CHECK(missing.status().code() == absl::StatusCode::kNotFound);
  CHECK(absl::StrContains(missing.status().message(), dir.File("empty")));
  CHECK(absl::StrContains(missing.status().message(), "./dev run"));

  options.libs.clear();
  options.properties["num.io.threads"] = "nonsense";
  const auto broken = KafkaBroker::Start(options);
  INFO(broken.status());
  CHECK(absl::StrContains(broken.status().message(), "num.io.threads"));
}

}  // namespace
}  // namespace saldo::devstack
