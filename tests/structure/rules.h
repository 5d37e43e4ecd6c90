// The rules about how this tree is written, each a pure function from text to faults.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace saldo::structure {

struct Fault {
  std::string path;
  int line;  // from 1; 0 when the whole file is meant
  std::string what;
};

// All faults of one file. `path` is relative to the top of the tree and decides which rules hold
// for it.
std::vector<Fault> CheckFile(std::string_view path, std::string_view content);

// The .cc files that no build sees: each must be named in a CMakeLists.txt of its folder or of one
// above. `tree` maps path to content.
std::vector<Fault> CheckDeadFiles(const std::map<std::string, std::string>& tree);

}  // namespace saldo::structure
