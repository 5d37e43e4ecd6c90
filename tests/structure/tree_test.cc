// Holds the whole source tree against the rules.
#include <catch2/catch.hpp>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>

#include "tests/structure/rules.h"

namespace saldo::structure {
namespace {

namespace fs = std::filesystem;

const std::set<std::string> kTextExtensions = {".cc",  ".h",     ".sql",   ".sh",  ".py",
                                               ".awk", ".proto", ".cmake", ".txt", ".md",
                                               ".yml", ".yaml",  ".json",  ".xml", ".supp"};

std::string Read(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  REQUIRE(in.good());
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

// Everything that people write; not what is built, run or kept by tools.
std::map<std::string, std::string> ReadTree() {
  const fs::path root = SALDO_SOURCE_DIR;
  std::map<std::string, std::string> tree;
  for (auto it = fs::recursive_directory_iterator(root); it != fs::recursive_directory_iterator();
       ++it) {
    const std::string path = it->path().lexically_relative(root).string();
    if (it->is_directory()) {
      const bool tools = path[0] == '.' && path != ".ci";
      if (tools || path == "build" || path == "var") it.disable_recursion_pending();
    } else if (it->is_regular_file()) {
      const bool script =
          path == "dev" || path == ".ci/run" || path == ".clang-tidy" || path == ".clang-format";
      if (script || kTextExtensions.contains(it->path().extension().string()))
        tree[path] = Read(it->path());
    }
  }
  return tree;
}

void Report(const std::vector<Fault>& faults) {
  for (const Fault& fault : faults) {
    FAIL_CHECK(fault.path << ":" << fault.line << ": " << fault.what);
  }
}

TEST_CASE("every file of the tree keeps the rules") {
  const auto tree = ReadTree();
  // The rules would hold for an empty tree too.
  REQUIRE(tree.contains("CMakeLists.txt"));
  REQUIRE(tree.contains("tests/structure/tree_test.cc"));
  for (const auto& [path, content] : tree) Report(CheckFile(path, content));
}

TEST_CASE("every source is built") {
  auto tree = ReadTree();
  REQUIRE(tree.contains("tests/structure/rules.cc"));
  Report(CheckDeadFiles(tree));
}

}  // namespace
}  // namespace saldo::structure
