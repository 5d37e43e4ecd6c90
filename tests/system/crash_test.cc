#include <catch2/catch.hpp>
#include <csignal>
#include <cstdlib>
#include <random>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "common/kafka/consumer.h"
#include "google/protobuf/util/json_util.h"
#include "hablof/proto/v1/package_event.pb.h"
#include "tests/system/load.h"
#include "tests/system/stack.h"

namespace saldo::testing {
namespace {

constexpr absl::Duration kDrainTimeout = absl::Seconds(60);

absl::Duration CrashTime() {
  int64_t seconds = 20;
  if (const char* given = std::getenv("SALDO_TEST_CRASH_SECONDS"))
    (void)absl::SimpleAtoi(given, &seconds);
  return absl::Seconds(seconds);
}

// By a consumer of its own, from the beginning.
std::vector<ReceivedEvent> ReadTopic(Stack& stack) {
  auto consumer =
      kafka::Consumer::Create({.connection = {.brokers = stack.kafka().bootstrap_servers()}});
  REQUIRE(consumer.ok());
  std::vector<ReceivedEvent> events;
  int bad = 0;
  const absl::Status status = (*consumer)->ReadToEnd(
      Stack::kTopic, CallContext::WithTimeout(absl::Seconds(60)),
      [&](const kafka::ReceivedMessage& message) {
        hablof::proto::v1::PackageEvent event;
        hablof::logistic_package_api::v1::Package package;
        const bool parsed =
            event.ParseFromString(message.value.value_or("")) &&
            google::protobuf::util::JsonStringToMessage(event.payload(), &package).ok();
        if (!parsed || message.key != std::to_string(event.package_id()) ||
            package.id() != event.package_id())
          ++bad;
        events.push_back({event.id(), event.package_id(), event.type(), package.title()});
      });
  INFO(status.ToString());
  REQUIRE(status.ok());
  CHECK(bad == 0);
  return events;
}

// One blow at a random part of the system.
std::string Strike(Stack& stack, std::mt19937_64& random) {
  switch (random() % 7) {
    case 0:
      stack.KillServer();
      return "server";
    case 1:
    case 2: {
      const int relay = static_cast<int>(random() % 2);
      stack.KillRelay(relay);
      return "retranslator";
    }
    case 3:
    case 4: {
      const std::vector<pid_t> backends = stack.postgres().BackendPids(Stack::kDatabase);
      if (backends.empty()) return "no backend";
      kill(backends[random() % backends.size()], SIGKILL);
      return "PostgreSQL backend by SIGKILL: crash recovery";
    }
    case 5:
      stack.postgres()
          .Query("postgres",
                 "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'saldo'")
          .IgnoreError();
      return "all PostgreSQL backends, orderly";
    default:
      if (random() % 2 == 0) {
        stack.kafka().Stop();
      } else {
        stack.kafka().Kill();
      }
      REQUIRE(stack.kafka().Restart().ok());
      return "broker";
  }
}

}  // namespace

TEST_CASE(
    "whatever is killed, every acknowledged change arrives, in order, and nothing else does") {
  const uint64_t seed = Seed();
  INFO("SALDO_TEST_SEED=" << seed);
  std::mt19937_64 random(seed);
  Stack stack;
  Load load(stack.server_address(), 8, random());
  const absl::Time until = absl::Now() + CrashTime();
  std::map<std::string, int> blows;
  while (absl::Now() < until) {
    const int64_t before = load.acknowledged();
    ++blows[Strike(stack, random)];
    // Between blows the system works again.
    REQUIRE(Eventually(absl::Seconds(60), [&] { return load.acknowledged() > before + 20; }));
  }
  const History history = load.Stop();
  for (const auto& [part, times] : blows) UNSCOPED_INFO(part << ": " << times);
  REQUIRE(history.packages.size() > 20);
  REQUIRE(Eventually(kDrainTimeout, [&] { return stack.Drained(); }));
  const std::vector<ReceivedEvent> events = ReadTopic(stack);
  const std::vector<std::string> faults = FindFaults(history, events);
  for (size_t i = 0; i < faults.size() && i < 10; ++i) UNSCOPED_INFO(faults[i]);
  CHECK(faults.empty());
  CHECK(stack.postgres().Query(Stack::kDatabase, "SELECT count(*) FROM dead_letters").value() ==
        "0");
  CHECK(stack.postgres()
            .Query(Stack::kDatabase,
                   "SELECT count(*) = max(seq) - min(seq) + 1 FROM sequenced_batches")
            .value() == "t");
}

TEST_CASE("a stop under load loses nothing that was acknowledged and ends in time") {
  Stack stack;
  Load load(stack.server_address(), 8, Seed());
  REQUIRE(Eventually(absl::Seconds(30), [&] { return load.acknowledged() > 200; }));
  const absl::Time start = absl::Now();
  CHECK(stack.server().Stop(absl::Seconds(30)).ok());
  CHECK(absl::Now() - start < absl::Seconds(20));
  const History history = load.Stop();
  // What the server had committed but not yet given a seq, the next one does.
  stack.RestartServer();
  REQUIRE(Eventually(kDrainTimeout, [&] { return stack.Drained(); }));
  for (int i = 0; i < stack.relays(); ++i) CHECK(stack.relay(i).Stop(absl::Seconds(30)).ok());
  CHECK(FindFaults(history, ReadTopic(stack)).empty());
}

TEST_CASE("when the working relay dies, the other takes over within seconds") {
  Stack stack;
  Load load(stack.server_address(), 2, Seed());
  const auto works = [&](int relay) {
    return absl::StrContains(stack.RelayMetrics(relay), "\nsaldo_relay_active{shard=\"0\"} 1\n");
  };
  REQUIRE(Eventually(absl::Seconds(20), [&] { return works(0) || works(1); }));
  const int first = works(0) ? 0 : 1;
  CHECK_FALSE(works(1 - first));
  stack.relay(first).Stop(absl::ZeroDuration(), SIGKILL);
  const absl::Time start = absl::Now();
  CHECK(Eventually(absl::Seconds(10), [&] { return works(1 - first); }));
  CHECK(absl::Now() - start < absl::Seconds(5));
  const History history = load.Stop();
  REQUIRE(Eventually(kDrainTimeout, [&] { return stack.Drained(); }));
  CHECK(FindFaults(history, ReadTopic(stack)).empty());
}

}  // namespace saldo::testing
