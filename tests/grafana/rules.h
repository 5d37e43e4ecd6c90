// The Prometheus rules of grafana/alerts, and the habits that they keep.
#pragma once

#include <map>
#include <string>
#include <vector>

namespace saldo::grafana {

struct Rule {
  std::string file = {};
  std::string record = {};  // of a recording rule, else empty
  std::string alert = {};   // of an alert, else empty
  std::string promql = {};
  std::map<std::string, std::string> labels = {};
  std::map<std::string, std::string> annotations = {};
};

// The *.yml files of a folder, not of those in it; full paths, sorted.
std::vector<std::string> RuleFiles(const std::string& folder);
std::vector<Rule> ReadRules(const std::string& folder);

// The alerts that a promtool test of this folder wants to fire.
std::vector<std::string> TestedAlerts(const std::string& folder);

// Every habit that some rule breaks. `root` is where the pages are looked for, `uids` are those of
// the dashboards, `tested` those of TestedAlerts.
std::vector<std::string> Faults(const std::vector<Rule>& rules, const std::string& root,
                                const std::vector<std::string>& uids,
                                const std::vector<std::string>& tested);

}  // namespace saldo::grafana
