#include "retranslator/retry_lanes.h"

#include <catch2/catch.hpp>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "tests/support/test_env.h"

namespace saldo::retranslator {
namespace {

absl::Time At(int64_t ms) { return absl::UnixEpoch() + absl::Milliseconds(ms); }

const RetryOptions kOptions = {.attempts_max = 3,
                               .backoff_min = absl::Milliseconds(10),
                               .backoff_max = absl::Milliseconds(25)};

enum Verb { kEnqueue, kFailed, kReturned, kDone, kNext };

// `answer`: of Enqueue and Failed 1 or 0; of NextDue the position or -1.
struct Step {
  Verb verb;
  int64_t at;
  std::string lane;
  uint64_t position;
  int64_t answer;
};

TEST_CASE("lanes, one line a step") {
  struct Row {
    const char* name;
    std::vector<Step> steps;
  };
  const Row rows[] = {
      {"without failures nothing waits",
       {{kEnqueue, 0, "a", 1, 0}, {kDone, 1, "a", 1, 0}, {kNext, 100, "", 0, -1}}},
      {"a failure waits its pause, then goes again",
       {{kFailed, 0, "a", 1, 1},
        {kNext, 9, "", 0, -1},
        {kNext, 10, "", 0, 1},
        {kNext, 99, "", 0, -1},
        {kDone, 99, "a", 1, 0},
        {kEnqueue, 99, "a", 2, 0}}},
      {"later messages of the key wait behind it, one at a time",
       {{kFailed, 0, "a", 1, 1},
        {kEnqueue, 1, "a", 3, 1},
        {kEnqueue, 1, "a", 2, 1},
        {kEnqueue, 1, "b", 4, 0},
        {kNext, 10, "", 0, 1},
        {kNext, 50, "", 0, -1},
        {kDone, 50, "a", 1, 0},
        {kNext, 50, "", 0, 2},
        {kNext, 50, "", 0, -1},
        {kDone, 60, "a", 2, 0},
        {kNext, 60, "", 0, 3},
        {kDone, 60, "a", 3, 0},
        {kEnqueue, 61, "a", 5, 0}}},
      {"the pause doubles up to the maximum, and attempts end",
       {{kFailed, 0, "a", 1, 1},
        {kNext, 10, "", 0, 1},
        {kFailed, 10, "a", 1, 1},
        {kNext, 29, "", 0, -1},
        {kNext, 30, "", 0, 1},
        {kFailed, 30, "a", 1, 0},
        {kDone, 30, "a", 1, 0},
        {kEnqueue, 30, "a", 2, 0}}},
      {"one that was on its way with it and failed too keeps its place",
       {{kFailed, 0, "a", 2, 1},
        {kFailed, 5, "a", 1, 1},
        {kNext, 14, "", 0, -1},
        {kNext, 15, "", 0, 1},
        {kDone, 16, "a", 1, 0},
        {kNext, 16, "", 0, 2}}},
      {"what came back goes again at once, one at a time, and counts no attempt",
       {{kReturned, 0, "a", 2, 0},
        {kReturned, 0, "a", 1, 0},
        {kNext, 0, "", 0, 1},
        {kNext, 0, "", 0, -1},
        {kFailed, 1, "a", 1, 1},
        {kNext, 11, "", 0, 1},
        {kFailed, 11, "a", 1, 1},
        {kNext, 99, "", 0, 1},
        {kDone, 99, "a", 1, 0},
        {kNext, 99, "", 0, 2},
        {kDone, 99, "a", 2, 0},
        {kEnqueue, 99, "a", 3, 0}}},
      {"one behind it that fails does not change its pause",
       {{kFailed, 0, "a", 1, 1}, {kFailed, 5, "a", 2, 1}, {kNext, 10, "", 0, 1}}},
      {"one that fails while another is out waits for that",
       {{kFailed, 0, "a", 1, 1},
        {kNext, 10, "", 0, 1},
        {kFailed, 11, "a", 2, 1},
        {kNext, 99, "", 0, -1},
        {kDone, 99, "a", 1, 0},
        {kNext, 99, "", 0, 2}}},
      {"one that was on its way and arrived says nothing about the first",
       {{kFailed, 0, "a", 1, 1},
        {kDone, 1, "a", 2, 0},
        {kNext, 9, "", 0, -1},
        {kNext, 10, "", 0, 1}}},
      {"of several lanes the one due first",
       {{kFailed, 5, "b", 1, 1},
        {kFailed, 0, "a", 2, 1},
        {kNext, 15, "", 0, 2},
        {kNext, 15, "", 0, 1},
        {kNext, 15, "", 0, -1}}},
  };
  for (const Row& row : rows) {
    RetryLanes lanes(kOptions);
    int line = 0;
    for (const Step& step : row.steps) {
      INFO(row.name << ", step " << ++line);
      switch (step.verb) {
        case kEnqueue:
          CHECK(lanes.Enqueue(step.lane, step.position) == (step.answer == 1));
          break;
        case kFailed:
          CHECK(lanes.Failed(step.lane, step.position, At(step.at)) == (step.answer == 1));
          break;
        case kReturned:
          lanes.Returned(step.lane, step.position, At(step.at));
          break;
        case kDone:
          lanes.Done(step.lane, step.position, At(step.at));
          break;
        case kNext: {
          const std::optional<uint64_t> next = lanes.NextDue(At(step.at));
          CHECK((next.has_value() ? static_cast<int64_t>(*next) : -1) == step.answer);
          break;
        }
      }
    }
  }
}

TEST_CASE("the pause is capped, also after very many attempts") {
  RetryLanes lanes({.attempts_max = 1000,
                    .backoff_min = absl::Milliseconds(10),
                    .backoff_max = absl::Milliseconds(25)});
  absl::Time now = At(0);
  for (int attempt = 1; attempt < 1000; ++attempt) {
    REQUIRE(lanes.Failed("a", 1, now));
    const absl::Duration pause = lanes.next_due() - now;
    REQUIRE(pause == absl::Milliseconds(attempt == 1 ? 10 : attempt == 2 ? 20 : 25));
    now = lanes.next_due();
    REQUIRE(lanes.NextDue(now) == 1);
    REQUIRE(lanes.next_due() == absl::InfiniteFuture());
  }
  CHECK_FALSE(lanes.Failed("a", 1, now));
  lanes.Done("a", 1, now);
  CHECK(lanes.empty());
}

// Plays a sender over random messages: each fails as often as fate says, and everything must be
// settled in the end.
class History {
 public:
  explicit History(std::mt19937_64& random)
      : random_(random),
        options_{.attempts_max = 1 + static_cast<int>(random() % 5),
                 .backoff_min = absl::Milliseconds(1 + random() % 20),
                 .backoff_max = absl::Milliseconds(20 + random() % 100)},
        lanes_(options_) {}

  void Run() {
    const size_t count = 1 + random_() % 60;
    for (size_t i = 0; i < count; ++i) {
      messages_.push_back({.lane = std::string(1, static_cast<char>('a' + random_() % 4)),
                           .fails = random_() % 3 == 0 ? static_cast<int>(random_() % 8) : 0});
    }
    size_t steps = 0;
    while (settled_ < messages_.size()) {
      REQUIRE(++steps < 100'000);  // none is stuck
      Step();
    }
    CHECK(lanes_.empty());
    CHECK(lanes_.next_due() == absl::InfiniteFuture());
  }

 private:
  struct Sent {
    std::string lane;
    int fails;           // how many attempts fail
    int attempts = 0;    // made so far
    bool waits = false;  // in a lane
    bool out = false;
  };

  void Step() {
    switch (random_() % 4) {
      case 0:
        if (next_ < messages_.size()) Submit(next_++);
        return;
      case 1:
        Retry();
        return;
      case 2:
        if (!out_.empty()) Report();
        return;
      default:
        now_ += absl::Milliseconds(random_() % 30);
    }
  }

  // A lane is open as long as one of its messages waits in it or is out from it.
  bool LaneIsOpen(const std::string& lane) const {
    for (const Sent& m : messages_)
      if (m.lane == lane && m.waits) return true;
    return false;
  }

  void Submit(uint64_t position) {
    Sent& message = messages_[position];
    const bool waits = lanes_.Enqueue(message.lane, position);
    REQUIRE(waits == LaneIsOpen(message.lane));
    message.waits = waits;
    if (!waits) Send(position);
  }

  void Send(uint64_t position) {
    messages_[position].out = true;
    ++messages_[position].attempts;
    REQUIRE(messages_[position].attempts <= options_.attempts_max);
    out_.push_back(position);
  }

  void Retry() {
    const std::optional<uint64_t> position = lanes_.NextDue(now_);
    if (!position.has_value()) {
      REQUIRE(lanes_.next_due() > now_);
      return;
    }
    Sent& message = messages_[*position];
    REQUIRE(message.waits);
    REQUIRE_FALSE(message.out);
    for (uint64_t other = 0; other < messages_.size(); ++other) {
      const Sent& m = messages_[other];
      if (m.lane != message.lane || !m.waits || other == *position) continue;
      REQUIRE_FALSE(m.out);        // one at a time
      REQUIRE(other > *position);  // the first of those that wait
    }
    Send(*position);
  }

  void Report() {
    const size_t which = random_() % out_.size();
    const uint64_t position = out_[which];
    out_.erase(out_.begin() + static_cast<std::ptrdiff_t>(which));
    Sent& message = messages_[position];
    message.out = false;
    if (message.attempts > message.fails) return Settle(position);
    const bool again = lanes_.Failed(message.lane, position, now_);
    REQUIRE(again == (message.attempts < options_.attempts_max));
    if (!again) return Settle(position);
    message.waits = true;
  }

  void Settle(uint64_t position) {
    Sent& message = messages_[position];
    lanes_.Done(message.lane, position, now_);
    message.waits = false;
    ++settled_;
  }

  std::mt19937_64& random_;
  const RetryOptions options_;
  RetryLanes lanes_;
  std::vector<Sent> messages_;
  std::vector<uint64_t> out_;
  size_t next_ = 0;
  size_t settled_ = 0;
  absl::Time now_ = At(0);
};

TEST_CASE("random histories: in order, one at a time, bounded, and none is stuck") {
  INFO("SALDO_TEST_SEED=" << testing::Seed());
  std::mt19937_64 random(testing::Seed());
  for (int history = 0; history < 300; ++history) History(random).Run();
}

}  // namespace
}  // namespace saldo::retranslator
