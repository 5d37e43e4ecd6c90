#include "tests/system/history.h"

#include <catch2/catch.hpp>

namespace saldo::testing {

TEST_CASE("the judge of histories finds each kind of fault") {
  const History history{
      .packages =
          {{7, {{0, "a", Outcome::kDone}, {1, "b", Outcome::kDone}, {1, "c", Outcome::kUnknown}}}},
      .unknown_creates = {"lost"},
      .refused = {"bad"}};
  using Events = std::vector<ReceivedEvent>;
  struct Row {
    const char* what;
    Events events;
    size_t faults;
  };
  const Row rows[] = {
      {"all", {{1, 7, 0, "a"}, {2, 7, 1, "b"}, {3, 7, 1, "c"}}, 0},
      {"unknown ones may be missing", {{1, 7, 0, "a"}, {2, 7, 1, "b"}}, 0},
      {"repeats are fine", {{1, 7, 0, "a"}, {2, 7, 1, "b"}, {1, 7, 0, "a"}, {2, 7, 1, "b"}}, 0},
      {"a lost create may be there", {{1, 7, 0, "a"}, {2, 7, 1, "b"}, {9, 8, 0, "lost"}}, 0},
      {"lost", {{1, 7, 0, "a"}}, 1},
      {"nothing at all", {}, 1},
      {"out of order", {{2, 7, 1, "b"}, {1, 7, 0, "a"}}, 1},
      {"ids that shrink", {{2, 7, 0, "a"}, {1, 7, 1, "b"}}, 1},
      {"not asked for", {{1, 7, 0, "a"}, {2, 7, 1, "b"}, {3, 7, 1, "z"}}, 1},
      {"of a package no one made", {{1, 7, 0, "a"}, {2, 7, 1, "b"}, {4, 9, 0, "y"}}, 1},
      {"refused", {{1, 7, 0, "a"}, {2, 7, 1, "b"}, {5, 10, 0, "bad"}}, 2},
      {"one id for two", {{1, 7, 0, "a"}, {2, 7, 1, "b"}, {2, 8, 0, "lost"}}, 1},
  };
  for (const Row& row : rows) {
    INFO(row.what);
    CHECK(FindFaults(history, row.events).size() == row.faults);
  }
}

}  // namespace saldo::testing
