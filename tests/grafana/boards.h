// The dashboards of grafana/dashboards, and the habits that they keep.
#pragma once

#include <nlohmann/json.hpp>

#include <string>
#include <vector>

namespace saldo::grafana {

struct Board {
  std::string file;  // its name, for messages
  nlohmann::json json;
};

// All *.json files of a folder, in the order of their names.
std::vector<Board> ReadBoards(const std::string& folder);

// Every habit that some dashboard breaks, with its place. Empty: none.
std::vector<std::string> Faults(const std::vector<Board>& boards);

// A panel's query, its variables not filled in.
struct PanelQuery {
  std::string board;  // its uid
  std::string panel;  // its title
  std::string promql;
};
std::vector<PanelQuery> Queries(const Board& board);

// A variable whose values are those that a label has.
struct LabelVariable {
  std::string name;
  std::string metric;  // with its labels, in which earlier variables are not filled in
  std::string label;
};
std::vector<LabelVariable> LabelVariables(const Board& board);

}  // namespace saldo::grafana
