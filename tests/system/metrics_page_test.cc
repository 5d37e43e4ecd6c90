// docs/operations.md names every metric.
#include <catch2/catch.hpp>
#include <map>
#include <set>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/devstack/files.h"
#include "tests/system/event_writers.h"
#include "tests/system/stack.h"

namespace saldo::testing {
namespace {

// "type | program" of the table's rows, by the metrics that the first cell names.
std::map<std::string, std::string> TellsOfMetrics(const std::string& page) {
  std::map<std::string, std::string> told;
  for (const absl::string_view line : absl::StrSplit(page, '\n')) {
    if (!absl::StartsWith(line, "| `")) continue;
    const std::vector<std::string> cells = absl::StrSplit(line, " | ");
    if (cells.size() < 4) continue;
    // A `name` is every second piece between backquotes.
    const std::vector<std::string> pieces = absl::StrSplit(cells[0], '`');
    for (size_t i = 1; i < pieces.size(); i += 2)
      told[pieces[i]] = absl::StrCat(cells[1], " | ", cells[2]);
  }
  return told;
}

// Type by name, of a page of a program.
std::map<std::string, std::string> Served(const std::string& metrics) {
  std::map<std::string, std::string> types;
  for (const absl::string_view line : absl::StrSplit(metrics, '\n')) {
    const std::vector<std::string> words = absl::StrSplit(line, ' ');
    if (words.size() == 4 && words[0] == "#" && words[1] == "TYPE") types[words[2]] = words[3];
  }
  REQUIRE(types.size() > 20);
  return types;
}

}  // namespace

TEST_CASE("the operators' page names each metric that the programs serve, with its type") {
  Stack stack({.relays = 1});
  EventWriters writers({.address = stack.server_address(), .prefix = "metrics", .streams = 1});
  REQUIRE(Eventually(absl::Seconds(60), [&] { return writers.acknowledged() > 50; }));
  writers.Stop();
  REQUIRE(Eventually(absl::Seconds(60), [&] { return stack.Drained(); }));

  const std::map<std::string, std::string> server = Served(stack.ServerMetrics());
  const std::map<std::string, std::string> relay = Served(stack.RelayMetrics(0));
  const std::map<std::string, std::string> told =
      TellsOfMetrics(*devstack::ReadFile(SALDO_OPERATIONS_PAGE));
  for (const auto& [types, program, other] :
       {std::tuple(&server, "server", &relay), std::tuple(&relay, "retranslator", &server)}) {
    for (const auto& [name, type] : *types) {
      INFO(name << " of the " << program);
      REQUIRE(told.count(name) == 1);
      const bool both = other->count(name) == 1;
      const std::string expected = absl::StrCat(type, " | ", both ? "both" : program);
      CHECK(told.at(name) == expected);
    }
  }
}

}  // namespace saldo::testing
