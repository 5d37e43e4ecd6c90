#include "tests/grafana/boards.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "tests/grafana/promql.h"

namespace saldo::grafana {
namespace {

using Json = nlohmann::json;
using Add = std::function<void(const std::string&)>;

constexpr const char* kDatasource = "${datasource}";
constexpr int kColumns = 24;
constexpr int kSchemaMin = 38;

// As a member of an object, or empty.
std::string Text(const Json& json, const char* key) {
  const auto found = json.find(key);
  return found != json.end() && found->is_string() ? found->get<std::string>() : "";
}
int Number(const Json& json, const char* key) {
  const auto found = json.find(key);
  return found != json.end() && found->is_number_integer() ? found->get<int>() : -1;
}
const Json& Member(const Json& json, const char* key) {
  static const Json kNothing = Json::object();
  const auto found = json.find(key);
  return found != json.end() ? *found : kNothing;
}

bool IsRow(const Json& panel) { return Text(panel, "type") == "row"; }

bool IsTemplated(const Json& json) {
  return Text(Member(json, "datasource"), "uid") == kDatasource &&
         Text(Member(json, "datasource"), "type") == "prometheus";
}

void CheckQuery(const std::string& query, const std::string& description, const Add& add) {
  if (query.empty()) return add("a target without a query");
  for (const Selector& selector : Selectors(query)) {
    if (selector.metric == "ALERTS") continue;
    for (const char* filter : {"job=~\"$job\"", "instance=~\"$instance\""}) {
      if (!absl::StrContains(selector.labels, filter))
        add(absl::StrCat(selector.metric, " is not limited by ", filter));
    }
  }
  // A fixed minute is what some figures are defined by, and then said.
  const bool minute = absl::StrContains(description, "over one minute");
  for (const std::string& range : Ranges(query)) {
    if (range != "$__rate_interval" && range != "$__range" && !(minute && range == "1m"))
      add(absl::StrCat("a rate over [", range, "]"));
  }
}

void CheckTargets(const Json& panel, const Add& add) {
  std::set<std::string> refs;
  for (const Json& target : Member(panel, "targets")) {
    if (!IsTemplated(target)) add("a target without the data source variable");
    if (!refs.insert(Text(target, "refId")).second) add("a refId twice");
    if (Text(target, "legendFormat").empty()) add("a target without a legend");
    CheckQuery(Text(target, "expr"), Text(panel, "description"), add);
  }
  if (refs.empty()) add("no targets");
}

void CheckPanel(const Json& panel, const Add& add) {
  if (Text(panel, "title").empty()) add("no title");
  const Json& place = Member(panel, "gridPos");
  if (Number(place, "x") < 0 || Number(place, "y") < 0 || Number(place, "w") < 1 ||
      Number(place, "h") < 1 || Number(place, "x") + Number(place, "w") > kColumns)
    add("its place is not in the grid");
  if (IsRow(panel)) return;
  if (!absl::StrContains(Text(panel, "description"), ".")) add("no description");
  if (!IsTemplated(panel)) add("not the data source variable");
  if (Text(Member(Member(panel, "fieldConfig"), "defaults"), "unit").empty()) add("no unit");
  CheckTargets(panel, add);
}

bool Overlap(const Json& one, const Json& other) {
  const Json &a = Member(one, "gridPos"), &b = Member(other, "gridPos");
  return Number(a, "x") < Number(b, "x") + Number(b, "w") &&
         Number(b, "x") < Number(a, "x") + Number(a, "w") &&
         Number(a, "y") < Number(b, "y") + Number(b, "h") &&
         Number(b, "y") < Number(a, "y") + Number(a, "h");
}

void CheckPanels(const Json& panels, const Add& add) {
  std::set<int> ids;
  std::set<std::string> titles;
  for (size_t i = 0; i < panels.size(); ++i) {
    const std::string title = Text(panels[i], "title");
    const Add add_here = [&](const std::string& what) { add(absl::StrCat(title, ": ", what)); };
    CheckPanel(panels[i], add_here);
    if (Number(panels[i], "id") < 1) add_here("no id");
    if (!ids.insert(Number(panels[i], "id")).second) add_here("its id is another panel's, too");
    if (!IsRow(panels[i]) && !titles.insert(title).second) add_here("its title is used twice");
    for (size_t j = 0; j < i; ++j) {
      if (Overlap(panels[i], panels[j]))
        add_here(absl::StrCat("lies over ", Text(panels[j], "title")));
    }
  }
  if (titles.empty()) add("no panels");
}

void CheckVariables(const Board& board, const Add& add) {
  std::map<std::string, const Json*> variables;
  for (const Json& variable : Member(Member(board.json, "templating"), "list"))
    variables[Text(variable, "name")] = &variable;
  const std::string all = board.json.dump();
  for (const char* name : {"datasource", "job", "instance", "shard"}) {
    if (!variables.contains(name)) add(absl::StrCat("no variable ", name));
  }
  for (const auto& [name, variable] : variables) {
    const bool used =
        absl::StrContains(all, absl::StrCat("$", name)) || absl::StrContains(all, "${" + name);
    if (!used) add(absl::StrCat("the variable ", name, " is not used"));
    if (Text(*variable, "label").empty()) add(absl::StrCat("the variable ", name, " has no label"));
    if (name == "datasource") {
      if (Text(*variable, "type") != "datasource" || Text(*variable, "query") != "prometheus")
        add("the data source variable does not choose a Prometheus");
    } else if (!IsTemplated(*variable) || Text(*variable, "type") != "query" ||
               !absl::StartsWith(Text(Member(*variable, "query"), "query"), "label_values(")) {
      add(absl::StrCat("the variable ", name,
                       " does not ask the data source for a label's values"));
    }
  }
}

void CheckBoard(const Board& board, const Add& add) {
  if (!board.json.is_object()) return add("no JSON object");
  if (Text(board.json, "uid").empty()) add("no uid");
  if (Text(board.json, "title").empty()) add("no title");
  if (Text(board.json, "description").empty()) add("no description");
  if (Number(board.json, "schemaVersion") < kSchemaMin) add("an old schemaVersion");
  if (!Member(board.json, "id").is_null()) add("an id, which is the data base's of one Grafana");
  if (!Member(board.json, "tags").is_array() || Member(board.json, "tags").empty()) add("no tags");
  CheckVariables(board, add);
  CheckPanels(Member(board.json, "panels"), add);
}

}  // namespace

std::vector<Board> ReadBoards(const std::string& folder) {
  std::vector<Board> boards;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() != ".json") continue;
    std::ifstream in(entry.path());
    boards.push_back({entry.path().filename(), Json::parse(in, nullptr, false)});
  }
  std::sort(boards.begin(), boards.end(),
            [](const Board& a, const Board& b) { return a.file < b.file; });
  return boards;
}

std::vector<std::string> Faults(const std::vector<Board>& boards) {
  std::vector<std::string> faults;
  std::set<std::string> uids, titles;
  for (const Board& board : boards) {
    const Add add = [&](const std::string& what) {
      faults.push_back(absl::StrCat(board.file, ": ", what));
    };
    CheckBoard(board, add);
    if (!board.json.is_object()) continue;
    if (!uids.insert(Text(board.json, "uid")).second) add("its uid is another dashboard's, too");
    if (!titles.insert(Text(board.json, "title")).second) add("its title is used twice");
  }
  return faults;
}

std::vector<PanelQuery> Queries(const Board& board) {
  std::vector<PanelQuery> queries;
  for (const Json& panel : Member(board.json, "panels")) {
    for (const Json& target : Member(panel, "targets"))
      queries.push_back({Text(board.json, "uid"), Text(panel, "title"), Text(target, "expr")});
  }
  return queries;
}

std::vector<LabelVariable> LabelVariables(const Board& board) {
  std::vector<LabelVariable> variables;
  for (const Json& json : Member(Member(board.json, "templating"), "list")) {
    std::string query = Text(Member(json, "query"), "query");
    if (!absl::StartsWith(query, "label_values(")) continue;
    query = query.substr(13, query.rfind(')') - 13);
    const size_t comma = query.rfind(',');
    variables.push_back(
        {Text(json, "name"), query.substr(0, comma),
         std::string(absl::StripAsciiWhitespace(absl::string_view(query).substr(comma + 1)))});
  }
  return variables;
}

}  // namespace saldo::grafana
