#include "retranslator/delivery_window.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <memory>
#include <random>
#include <vector>

#include "common/runtime/thread.h"
#include "tests/support/test_env.h"

namespace saldo::retranslator {
namespace {

using Batches = std::vector<DeliveryWindow::Batch>;

constexpr absl::Duration kNoWait = absl::ZeroDuration();

std::shared_ptr<const int> Memory() { return std::make_shared<const int>(0); }

TEST_CASE("the cursor follows the contiguous prefix, one line a step") {
  struct Step {
    std::vector<uint64_t> complete;
    int64_t passed;
    size_t messages;
  };
  // Batches of 2, 0, 1, 0 and 3 messages: positions 0-1, -, 2, -, 3-5.
  const Batches batches = {{11, 2}, {12, 0}, {13, 1}, {14, 0}, {15, 3}};
  struct Row {
    const char* name;
    std::vector<Step> steps;
  };
  const Row rows[] = {
      {"in order",
       {{{0}, 10, 5}, {{1}, 12, 4}, {{2}, 14, 3}, {{3}, 14, 2}, {{4}, 14, 1}, {{5}, 15, 0}}},
      {"backwards",
       {{{5}, 10, 6}, {{4}, 10, 6}, {{3}, 10, 6}, {{2}, 10, 6}, {{1}, 10, 6}, {{0}, 15, 0}}},
      {"the second batch first", {{{2}, 10, 6}, {{0}, 10, 5}, {{1}, 14, 3}, {{5, 3, 4}, 15, 0}}},
      {"several at once", {{{1, 0, 3}, 12, 4}, {{2}, 14, 2}, {{4, 5}, 15, 0}}},
      {"nothing", {{{}, 10, 6}}},
  };
  for (const Row& row : rows) {
    INFO(row.name);
    DeliveryWindow window(100, 1000, 10);
    REQUIRE(window.Append(batches, 6, Memory()) == 0);
    CHECK(window.passed_seq() == 10);
    for (const Step& step : row.steps) {
      window.Complete(step.complete);
      CHECK(window.passed_seq() == step.passed);
      CHECK(window.messages() == step.messages);
    }
  }
}

TEST_CASE("batches without messages are passed at once, unless something before them waits") {
  DeliveryWindow window(4, 1000, 0);
  CHECK(window.Append(Batches{{1, 0}, {2, 0}}, 0, Memory()) == 0);
  CHECK(window.passed_seq() == 2);
  CHECK(window.Append(Batches{{3, 1}}, 5, Memory()) == 0);
  CHECK(window.Append(Batches{{4, 0}}, 0, Memory()) == 1);
  CHECK(window.passed_seq() == 2);
  window.Complete({0});
  CHECK(window.passed_seq() == 4);
}

TEST_CASE("room is bounded in messages and in bytes") {
  DeliveryWindow window(10, 100, 0);
  CHECK(window.WaitForRoom(10, 100, kNoWait));
  CHECK_FALSE(window.WaitForRoom(11, 1, kNoWait));
  // Alone, a group may be larger than the bound of bytes.
  CHECK(window.WaitForRoom(1, 101, kNoWait));
  window.Append(Batches{{1, 4}}, 60, Memory());
  CHECK(window.WaitForRoom(6, 40, kNoWait));
  CHECK_FALSE(window.WaitForRoom(7, 1, kNoWait));
  CHECK_FALSE(window.WaitForRoom(1, 41, kNoWait));
  // Room for messages comes one by one, for bytes with the whole group.
  window.Complete({0, 1});
  CHECK(window.WaitForRoom(8, 40, kNoWait));
  CHECK_FALSE(window.WaitForRoom(1, 41, kNoWait));
  window.Complete({2, 3});
  CHECK(window.WaitForRoom(10, 100, kNoWait));
  CHECK(window.WaitForRoom(1, 1000, kNoWait));
}

TEST_CASE("a wait for room ends when room comes, and by Close") {
  DeliveryWindow window(2, 100, 0);
  window.Append(Batches{{1, 2}}, 2, Memory());
  {
    runtime::Thread completes("completes", [&] { window.Complete({0, 1}); });
    CHECK(window.WaitForRoom(1, 1, absl::Seconds(30)));
  }
  window.Append(Batches{{2, 2}}, 2, Memory());
  {
    runtime::Thread closes("closes", [&] { window.Close(); });
    const absl::Time start = absl::Now();
    CHECK_FALSE(window.WaitForRoom(1, 1, absl::Seconds(30)));
    CHECK(absl::Now() - start < absl::Seconds(20));
  }
  window.Complete({2, 3});
  CHECK_FALSE(window.WaitForRoom(1, 1, kNoWait));
}

// The same, written without thought for speed.
struct Model {
  struct Group {
    Batches batches;
    size_t bytes;
    std::weak_ptr<const void> memory;
    uint64_t first;
    uint64_t end;
  };
  std::vector<Group> groups;
  std::vector<bool> complete;  // by position, from the beginning of time

  size_t Head() const {
    return std::find(complete.begin(), complete.end(), false) - complete.begin();
  }
  int64_t PassedSeq() const {
    const size_t head = Head();
    int64_t passed = 0;
    for (const Group& group : groups) {
      uint64_t end = group.first;
      for (const DeliveryWindow::Batch& batch : group.batches) {
        end += batch.messages;
        if (end > head) return passed;
        passed = batch.seq;
      }
    }
    return passed;
  }
  static bool Inside(const Group& group, size_t head) {
    return group.end > head && group.end > group.first;
  }
  bool HasRoom(size_t messages, size_t bytes, size_t messages_max, size_t bytes_max) const {
    const size_t head = Head();
    size_t inside = 0;
    bool any = false;
    for (const Group& group : groups) {
      if (Inside(group, head)) inside += group.bytes, any = true;
    }
    return complete.size() - head + messages <= messages_max &&
           (!any || inside + bytes <= bytes_max);
  }
};

void RunHistory(std::mt19937_64& random) {
  const auto up_to = [&](uint64_t limit) { return random() % (limit + 1); };
  const size_t messages_max = 1 + up_to(40), bytes_max = 1 + up_to(200);
  DeliveryWindow window(messages_max, bytes_max, 0);
  Model model;
  std::vector<uint64_t> open;
  int64_t seq = 0;
  for (int step = 0; step < 200; ++step) {
    if (up_to(1) == 0) {
      Batches batches;
      size_t messages = 0;
      for (uint64_t left = 1 + up_to(3); left > 0; --left) {
        batches.push_back({seq + 1 + static_cast<int64_t>(batches.size()),
                           static_cast<uint32_t>(up_to(2) == 0 ? 0 : up_to(6))});
        messages += batches.back().messages;
      }
      const size_t bytes = up_to(80);
      const bool room = window.WaitForRoom(messages, bytes, kNoWait);
      REQUIRE(room == model.HasRoom(messages, bytes, messages_max, bytes_max));
      if (!room) continue;
      seq = batches.back().seq;
      std::shared_ptr<const void> memory = Memory();
      const uint64_t first = model.complete.size();
      model.groups.push_back({batches, bytes, memory, first, first + messages});
      model.complete.resize(first + messages, false);
      for (size_t i = 0; i < messages; ++i) open.push_back(first + i);
      REQUIRE(window.Append(batches, bytes, std::move(memory)) == first);
    } else {
      std::shuffle(open.begin(), open.end(), random);
      std::vector<uint64_t> positions;
      for (uint64_t left = up_to(8); left > 0 && !open.empty(); --left) {
        positions.push_back(open.back());
        model.complete[open.back()] = true;
        open.pop_back();
      }
      window.Complete(positions);
    }
    REQUIRE(window.passed_seq() == model.PassedSeq());
    REQUIRE(window.messages() == model.complete.size() - model.Head());
    REQUIRE(window.messages() <= messages_max);
    bool released = true;
    const size_t head = model.Head();
    for (const Model::Group& group : model.groups)
      released = released && group.memory.expired() == !Model::Inside(group, head);
    REQUIRE(released);
  }
  window.Complete(open);
  REQUIRE(window.passed_seq() == seq);
  REQUIRE(window.messages() == 0);
}

TEST_CASE("random histories agree with a naive model") {
  INFO("SALDO_TEST_SEED=" << testing::Seed());
  std::mt19937_64 random(testing::Seed());
  for (int history = 0; history < 100; ++history) RunHistory(random);
}

}  // namespace
}  // namespace saldo::retranslator
