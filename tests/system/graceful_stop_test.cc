// SIGTERM to both programs while events are written.
#include <catch2/catch.hpp>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_split.h"
#include "tests/system/event_writers.h"
#include "tests/system/stack.h"

namespace saldo::testing {
namespace {

constexpr absl::Duration kPatience = absl::Seconds(60);
// Of Kubernetes, where nobody says more. Ours is below.
constexpr absl::Duration kGracePeriod = absl::Seconds(30);
constexpr int kWriters = 8;

// SIGTERM; the process must end by itself, with exit code 0.
void StopInTime(devstack::ChildProcess& process) {
  const absl::Time begin = absl::Now();
  const devstack::ChildExit ended = process.Stop(kGracePeriod);
  INFO(process.name() << " ended with " << ended.ToString() << "\n" << process.LogTail());
  CHECK(ended.ok());
  CHECK(absl::Now() - begin < kGracePeriod);
}

void AwaitMore(EventWriters& writers, int64_t more) {
  const int64_t enough = writers.acknowledged() + more;
  const bool written = Eventually(
      kPatience, [&] { return writers.acknowledged() >= enough || !writers.surprises().empty(); });
  REQUIRE_THAT(writers.surprises(), Catch::Equals(std::vector<std::string>()));
  REQUIRE(written);
}

void AwaitRefused(const EventWriters& writers) {
  const int64_t enough = writers.unavailable() + 50;
  REQUIRE(Eventually(kPatience, [&] { return writers.unavailable() >= enough; }));
}

std::set<std::string> StoredIds(Stack& stack) {
  const auto rows =
      stack.postgres().Query(Stack::kDatabase, "SELECT request_id FROM write_requests ORDER BY 1");
  REQUIRE(rows.ok());
  return absl::StrSplit(*rows, '\n', absl::SkipEmpty());
}

}  // namespace

TEST_CASE(
    "a stop under load loses no acknowledged event, refuses the others, and sends none twice") {
  Stack stack({.relays = 1});
  EventWriters writers(
      {.address = stack.server_address(), .prefix = "stop", .callers = kWriters - 2, .streams = 2});
  AwaitMore(writers, 500);

  // The retranslator first, so that its successor has something to send.
  StopInTime(stack.relay(0));
  AwaitMore(writers, 300);
  CHECK(writers.first_refusal() == "");
  CHECK_FALSE(stack.Drained());

  StopInTime(stack.server());
  AwaitRefused(writers);  // and the answers that were still on their way
  const int64_t acknowledged = writers.acknowledged();
  const int64_t cancelled = writers.cancelled();
  AwaitRefused(writers);
  CHECK(writers.acknowledged() == acknowledged);
  CHECK(writers.cancelled() == cancelled);
  CHECK(cancelled <= kWriters);

  stack.RestartServer();
  AwaitMore(writers, 300);
  writers.Stop();
  CHECK_THAT(writers.surprises(), Catch::Equals(std::vector<std::string>()));
  // Only the last call of each writer may be there without an answer.
  const std::set<std::string> acknowledged_ids = writers.ids();
  const std::set<std::string> stored = StoredIds(stack);
  for (const std::string& id : acknowledged_ids) {
    if (stored.count(id) == 0) FAIL_CHECK("acknowledged and lost: " << id);
  }
  CHECK(stored.size() <= acknowledged_ids.size() + kWriters);

  stack.KillRelay(0);  // which only starts it: it has ended
  REQUIRE(Eventually(kPatience, [&] { return stack.Drained(); }));
  std::map<std::string, int> sent;
  for (const TopicEvent& event : ReadEvents(stack)) ++sent[event.event.request_id()];
  for (const std::string& id : stored) {
    if (sent[id] != 1) FAIL_CHECK(id << " is on the topic " << sent[id] << " times");
  }
  CHECK(sent.size() == stored.size());
}

}  // namespace saldo::testing
