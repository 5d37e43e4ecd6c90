// What can be said of the dashboards and the rules without running them.
#include <catch2/catch.hpp>

#include <functional>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/devstack/child_process.h"
#include "tests/grafana/boards.h"
#include "tests/grafana/rules.h"

namespace saldo::grafana {
namespace {

using Json = nlohmann::json;

const std::string kRoot = SALDO_SOURCE_DIR;

std::vector<std::string> Uids() {
  std::vector<std::string> uids;
  for (const Board& board : ReadBoards(kRoot + "/grafana/dashboards"))
    uids.push_back(board.json.value("uid", ""));
  return uids;
}

// The faults of the real dashboards after a change of the first one.
std::string FaultsAfter(const std::function<void(Json&)>& change) {
  std::vector<Board> boards = ReadBoards(kRoot + "/grafana/dashboards");
  change(boards.at(0).json);
  return absl::StrJoin(Faults(boards), "\n");
}

}  // namespace

TEST_CASE("the dashboards keep the habits of good ones") {
  const std::vector<Board> boards = ReadBoards(kRoot + "/grafana/dashboards");
  CHECK(boards.size() == 6);
  for (const std::string& fault : Faults(boards)) FAIL_CHECK(fault);
}

TEST_CASE("a dashboard that breaks a habit is noticed") {
  // The first panel is a row.
  const auto panel = [](Json& board) -> Json& { return board["panels"][1]; };
  const auto broken = [](const std::string& faults, const std::string& what) {
    INFO(faults);
    CHECK(absl::StrContains(faults, what));
  };
  broken(FaultsAfter([](Json& b) { b["uid"] = "saldo-rpc"; }), "its uid is another dashboard's");
  broken(FaultsAfter([](Json& b) { b["schemaVersion"] = 16; }), "an old schemaVersion");
  broken(FaultsAfter([](Json& b) { b["id"] = 7; }), "an id");
  broken(FaultsAfter([](Json& b) { b["templating"]["list"].erase(2); }), "no variable instance");
  broken(FaultsAfter([&](Json& b) { panel(b)["id"] = b["panels"][2]["id"]; }), "its id is another");
  broken(FaultsAfter([&](Json& b) { panel(b).erase("description"); }), "no description");
  broken(FaultsAfter([&](Json& b) { panel(b)["fieldConfig"]["defaults"].erase("unit"); }),
         "no unit");
  broken(FaultsAfter([&](Json& b) { panel(b)["datasource"]["uid"] = "x"; }),
         "data source variable");
  broken(FaultsAfter([&](Json& b) { panel(b)["targets"][0]["datasource"]["uid"] = "x"; }),
         "a target without the data source variable");
  broken(FaultsAfter([&](Json& b) { panel(b)["targets"].clear(); }), "no targets");
  broken(FaultsAfter([&](Json& b) { panel(b)["gridPos"] = b["panels"][2]["gridPos"]; }),
         "lies over");
  broken(FaultsAfter([&](Json& b) { panel(b)["gridPos"]["x"] = 23; }), "not in the grid");
  const std::string limited = "{job=~\"$job\", instance=~\"$instance\"}";
  broken(
      FaultsAfter([&](Json& b) { panel(b)["targets"][0]["expr"] = "rate(a" + limited + "[5m])"; }),
      "a rate over [5m]");
  broken(FaultsAfter([&](Json& b) { panel(b)["targets"][0]["expr"] = "a{job=~\"$job\"}"; }),
         "a is not limited by instance");
  broken(FaultsAfter([](Json& b) { b = Json::parse("{", nullptr, false); }), "no JSON object");
}

TEST_CASE("each alert says what it is about, is tested, and has its page") {
  const std::vector<Rule> rules = ReadRules(kRoot + "/grafana/alerts");
  const std::vector<std::string> tested = TestedAlerts(kRoot + "/grafana/alerts/tests");
  for (const std::string& fault : Faults(rules, kRoot, Uids(), tested)) FAIL_CHECK(fault);

  std::vector<Rule> broken = rules;
  broken.push_back({.file = "x.yml", .alert = "Odd", .promql = "up == 0"});
  const std::string faults = absl::StrJoin(Faults(broken, kRoot, Uids(), tested), "\n");
  INFO(faults);
  for (const char* fault : {"no severity", "no label service", "no summary", "no description",
                            "it names no dashboard", "no promtool test", "its runbook_url"})
    CHECK(absl::StrContains(faults, absl::StrCat("Odd: ", fault)));
}

TEST_CASE("promtool accepts the rules, and their tests pass") {
  std::vector<std::string> check = {"promtool", "check", "rules"},
                           test = {"promtool", "test", "rules"};
  for (const std::string& file : RuleFiles(kRoot + "/grafana/alerts")) check.push_back(file);
  for (const std::string& file : RuleFiles(kRoot + "/grafana/alerts/tests")) test.push_back(file);
  REQUIRE(check.size() > 3);
  REQUIRE(test.size() > 3);
  for (const std::vector<std::string>& argv : {check, test}) {
    const auto output = devstack::RunCommand({.argv = argv}, absl::Seconds(60));
    INFO(output.status().ToString());
    REQUIRE(output.ok());
    CHECK(absl::StrContains(*output, "SUCCESS"));
    CHECK(!absl::StrContains(*output, "FAILED"));
  }
}

}  // namespace saldo::grafana
