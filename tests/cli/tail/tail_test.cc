// `saldo tail` on a real broker.
#include <catch2/catch.hpp>
#include <memory>
#include <string>
#include <vector>

#include "common/devstack/child_process.h"
#include "common/devstack/files.h"
#include "common/kafka/producer.h"
#include "hablof/proto/v1/package_event.pb.h"
#include "tests/support/test_env.h"
#include "tests/support/test_servers.h"

namespace saldo::cli {
namespace {

using saldo::testing::Eventually;
using saldo::testing::TempDir;
using saldo::testing::TestKafka;

std::unique_ptr<devstack::ChildProcess> Tail(const TempDir& dir, const std::string& topic,
                                             const std::vector<std::string>& more) {
  devstack::ChildOptions options;
  options.argv = {*devstack::SiblingProgram("saldo"), "tail", topic,
                  "--kafka=" + TestKafka().bootstrap_servers()};
  options.argv.insert(options.argv.end(), more.begin(), more.end());
  options.log_file = dir.File("log");
  auto child = devstack::ChildProcess::Start(std::move(options));
  REQUIRE(child.ok());
  return *std::move(child);
}

void Send(const std::string& topic, uint64_t first, uint64_t last) {
  kafka::ProducerOptions options;
  options.connection.brokers = TestKafka().bootstrap_servers();
  auto producer = kafka::Producer::Create(options);
  REQUIRE(producer.ok());
  kafka::Topic* handle = *(*producer)->TopicFor(topic);
  for (uint64_t id = first; id <= last; ++id) {
    hablof::proto::v1::PackageEvent event;
    event.set_id(id);
    event.set_package_id(9);
    event.set_payload("{\"ID\":\"9\"}");
    const std::string value = event.SerializeAsString();
    const kafka::HeaderView header{"traceparent", "00-abc"};
    REQUIRE((*producer)
                ->TrySend({.topic = handle, .key = "9", .value = value, .headers = {&header, 1}})
                .queued());
  }
  int failed = 0;
  REQUIRE((*producer)
              ->Flush(absl::Now() + absl::Seconds(60),
                      [&](const kafka::DeliveryReport& report) { failed += report.ok() ? 0 : 1; })
              .ok());
  REQUIRE(failed == 0);
}

TEST_CASE("tail waits for its topic, shows the messages in order and ends after --count") {
  TempDir dir;
  const std::string topic = testing::UniqueName("tail");
  const auto tail = Tail(dir, topic, {"--count=3"});
  REQUIRE(Eventually(absl::Seconds(30), [&] {
    return tail->LogTail().find("there is no topic '" + topic + "' yet") != std::string::npos;
  }));
  Send(topic, 1, 3);
  const auto ended = tail->Wait(absl::Seconds(60));
  REQUIRE(ended.ok());
  CHECK(ended->ok());
  const std::string text = tail->LogTail(100);
  CHECK_THAT(text, Catch::Contains("key 9") && Catch::Contains("traceparent: 00-abc") &&
                       Catch::Contains("\"payload\":{\"ID\":\"9\"}"));
  const size_t first = text.find("\"id\":\"1\""), second = text.find("\"id\":\"2\""),
               third = text.find("\"id\":\"3\"");
  CHECK(first < second);
  CHECK(second < third);
  CHECK(third != std::string::npos);

  // All of them again, or only what comes.
  const auto again = Tail(dir, topic, {"--from-beginning", "--count=3"});
  REQUIRE(again->Wait(absl::Seconds(60)).ok());
  CHECK(again->exit()->ok());
  CHECK_THAT(again->LogTail(100),
             Catch::Contains("\"id\":\"1\"") && Catch::Contains("\"id\":\"3\""));
}

TEST_CASE("Ctrl-C ends tail in order") {
  TempDir dir;
  const auto tail = Tail(dir, testing::UniqueName("tail"), {});
  REQUIRE(Eventually(absl::Seconds(30), [&] { return !tail->LogTail().empty(); }));
  const devstack::ChildExit ended = tail->Stop(absl::Seconds(30), SIGINT);
  INFO(ended.ToString());
  CHECK(ended.ok());
}

}  // namespace
}  // namespace saldo::cli
