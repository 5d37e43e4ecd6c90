#include "tests/grafana/rules.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace saldo::grafana {
namespace {

namespace fs = std::filesystem;

constexpr const char* kPages = "docs/runbooks";
constexpr const char* kHeadings[] = {"## What it means", "## What to look at", "## What to do"};

std::map<std::string, std::string> Strings(const YAML::Node& node) {
  std::map<std::string, std::string> strings;
  for (const auto& one : node) strings[one.first.as<std::string>()] = one.second.as<std::string>();
  return strings;
}

std::string Get(const std::map<std::string, std::string>& map, const std::string& key) {
  const auto found = map.find(key);
  return found == map.end() ? "" : found->second;
}

bool Contains(const std::vector<std::string>& list, const std::string& what) {
  return std::find(list.begin(), list.end(), what) != list.end();
}

void CheckPage(const std::string& root, const std::string& page, const std::string& alert,
               std::vector<std::string>* faults) {
  if (page != absl::StrCat(kPages, "/", alert, ".md"))
    return faults->push_back(absl::StrCat(alert, ": its runbook_url is not its own page's"));
  std::ifstream in(root + "/" + page);
  const std::string text{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  if (text.empty()) return faults->push_back(absl::StrCat(alert, ": there is no ", page));
  for (const char* heading : kHeadings) {
    if (!absl::StrContains(text, absl::StrCat("\n", heading, "\n")))
      faults->push_back(absl::StrCat(page, ": no heading '", heading, "'"));
  }
}

}  // namespace

std::vector<std::string> RuleFiles(const std::string& folder) {
  std::vector<std::string> files;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().extension() == ".yml") files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

std::vector<Rule> ReadRules(const std::string& folder) {
  std::vector<Rule> rules;
  for (const std::string& file : RuleFiles(folder)) {
    for (const YAML::Node& group : YAML::LoadFile(file)["groups"]) {
      for (const YAML::Node& rule : group["rules"]) {
        rules.push_back({fs::path(file).filename(), rule["record"].as<std::string>(""),
                         rule["alert"].as<std::string>(""), rule["expr"].as<std::string>(""),
                         Strings(rule["labels"]), Strings(rule["annotations"])});
      }
    }
  }
  return rules;
}

std::vector<std::string> TestedAlerts(const std::string& folder) {
  std::vector<std::string> alerts;
  for (const std::string& file : RuleFiles(folder)) {
    for (const YAML::Node& test : YAML::LoadFile(file)["tests"]) {
      for (const YAML::Node& expected : test["alert_rule_test"]) {
        const YAML::Node alerts_expected = expected["exp_alerts"];
        if (alerts_expected.IsDefined() && alerts_expected.size() > 0)
          alerts.push_back(expected["alertname"].as<std::string>());
      }
    }
  }
  return alerts;
}

std::vector<std::string> Faults(const std::vector<Rule>& rules, const std::string& root,
                                const std::vector<std::string>& uids,
                                const std::vector<std::string>& tested) {
  std::vector<std::string> faults;
  std::set<std::string> alerts;
  for (const Rule& rule : rules) {
    const std::string name = absl::StrCat(rule.file, ": ", rule.alert, rule.record);
    const auto add = [&](const std::string& what) {
      faults.push_back(absl::StrCat(name, ": ", what));
    };
    if (rule.promql.empty()) add("no expression");
    if (rule.alert.empty()) {
      if (!absl::StartsWith(rule.record, "saldo:")) add("its name does not begin with saldo:");
      continue;
    }
    if (!alerts.insert(rule.alert).second) add("its name is another alert's, too");
    const std::string severity = Get(rule.labels, "severity");
    if (severity != "critical" && severity != "warning") add("no severity critical or warning");
    if (Get(rule.labels, "service") != "saldo") add("no label service: saldo");
    for (const char* annotation : {"summary", "description"}) {
      if (Get(rule.annotations, annotation).empty()) add(absl::StrCat("no ", annotation));
    }
    if (!Contains(uids, Get(rule.annotations, "dashboard"))) add("it names no dashboard");
    if (!Contains(tested, rule.alert)) add("no promtool test wants it to fire");
    CheckPage(root, Get(rule.annotations, "runbook_url"), rule.alert, &faults);
  }
  if (alerts.empty()) faults.emplace_back("no alerts");
  for (const auto& entry : fs::directory_iterator(root + "/" + kPages)) {
    if (!alerts.contains(entry.path().stem()))
      faults.push_back(absl::StrCat(entry.path().string(), ": there is no such alert"));
  }
  return faults;
}

}  // namespace saldo::grafana
