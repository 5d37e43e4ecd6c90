// What the runbooks tell people to do and to look at: commands and statements run, and what they
// name is there.
#include <catch2/catch.hpp>

#include <cstring>
#include <filesystem>
#include <regex>
#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "common/devstack/child_process.h"
#include "common/devstack/files.h"
#include "tests/grafana/boards.h"
#include "tests/system/ledger_requests.h"
#include "tests/system/stack.h"

namespace saldo::grafana {
namespace {

namespace fs = std::filesystem;

const std::string kRoot = SALDO_SOURCE_DIR;
// In italics or in code, and none of ours.
const std::set<std::string> kOfOthers = {"Targets", "idle in transaction"};

struct Page {
  std::string name, text;
};

std::vector<Page> Pages() {
  std::vector<Page> pages;
  for (const auto& entry : fs::directory_iterator(kRoot + "/docs/runbooks"))
    pages.push_back({entry.path().filename(), *devstack::ReadFile(entry.path())});
  return pages;
}

std::vector<std::string> Matches(const std::string& text, const std::string& pattern) {
  std::vector<std::string> found;
  const std::regex regex(pattern);
  for (auto at = std::sregex_iterator(text.begin(), text.end(), regex);
       at != std::sregex_iterator(); ++at)
    found.push_back(at->str(1));
  return found;
}

// What stands between backquotes on one line.
std::vector<std::string> Codes(const std::string& text) { return Matches(text, "`([^`\n]+)`"); }

std::string HelpOf(const std::string& program, const std::string& command = "") {
  std::vector<std::string> argv = {*devstack::SiblingProgram(program)};
  if (!command.empty()) argv.push_back(command);
  argv.emplace_back("--help");
  return *devstack::RunCommand({.argv = argv}, absl::Seconds(30));
}

std::string Sources() {
  std::string all;
  for (const char* folder : {"/server", "/retranslator"}) {
    for (const auto& entry : fs::recursive_directory_iterator(kRoot + folder)) {
      if (entry.path().extension() == ".cc") all += *devstack::ReadFile(entry.path());
    }
  }
  return all;
}

}  // namespace

TEST_CASE("what the runbooks name is there") {
  std::set<std::string> panels;
  for (const Board& board : ReadBoards(kRoot + "/grafana/dashboards")) {
    for (const auto& panel : board.json.at("panels")) panels.insert(panel.at("title"));
  }
  const std::string keys = HelpOf("saldo-server") + HelpOf("saldo-retranslator");
  const std::string sources = Sources();
  const std::regex key("(grpc|jobs|ledger|metrics|postgres|relay)(\\.[a-z_]+)+");
  const std::regex log_line("[a-z]+( [a-z]+){2,}");
  int named = 0;
  for (const Page& page : Pages()) {
    for (const std::string& title : Matches(page.text, "\\*([A-Z][^*\n]+)\\*")) {
      INFO(page.name << ": the panel " << title);
      CHECK((panels.contains(title) || kOfOthers.contains(title)));
      ++named;
    }
    for (const std::string& code : Codes(page.text)) {
      INFO(page.name << ": " << code);
      if (std::regex_match(code, key)) CHECK(absl::StrContains(keys, code));
      if (std::regex_match(code, log_line) && !absl::StartsWith(code, "saldo "))
        CHECK((absl::StrContains(sources, code) || kOfOthers.contains(code)));
      ++named;
    }
  }
  CHECK(named > 100);
}

TEST_CASE("the runbooks' commands and statements run") {
  testing::Stack stack({.relays = 1, .account_types = testing::kLedgerTypes});
  int ran = 0, letters = 0;
  const auto dead_letter = [&] {
    const auto id = stack.postgres().Query(
        testing::Stack::kDatabase,
        absl::StrCat("INSERT INTO dead_letters (batch_id, ordinal, topic, key, payload, type, "
                     "message_id, created_at, attempts, error) VALUES (1, ",
                     ++letters, ", '", testing::Stack::kTopic,
                     "', 'k', 'p', 't', 'i', now(), 3, 'no') RETURNING id"));
    REQUIRE(id.ok());
    return *id;
  };
  const std::string calls = HelpOf("saldo", "call");
  for (const Page& page : Pages()) {
    std::vector<std::string> codes = Codes(page.text);
    for (const std::string& block : Matches(page.text, "\n    ([a-zA-Z][^`#]*?(?:;|\n\n))"))
      for (const absl::string_view one : absl::StrSplit(block, ';')) codes.emplace_back(one);
    for (const std::string& code : codes) {
      std::string text(absl::StripAsciiWhitespace(code));
      INFO(page.name << ": " << text);
      if (absl::StartsWith(text, "saldo call ")) {
        CHECK(absl::StrContains(calls, text.substr(strlen("saldo call "))));
      } else if (absl::StartsWith(text, "saldo ")) {
        text = absl::StrReplaceAll(text, {{"ID", dead_letter()}});
        std::vector<std::string> arguments = absl::StrSplit(text, ' ');
        arguments.erase(arguments.begin());
        const auto output = stack.Saldo(arguments);
        INFO(output.status().ToString());
        CHECK(output.ok());
      } else if (absl::StartsWith(text, "SELECT ") || absl::StartsWith(text, "UPDATE ")) {
        text = absl::StrReplaceAll(text, {{"ID", dead_letter()}, {"(pid)", "(0)"}});
        const auto output = stack.postgres().Query(testing::Stack::kDatabase, text);
        INFO(output.status().ToString());
        CHECK(output.ok());
      } else {
        continue;
      }
      ++ran;
    }
  }
  CHECK(ran > 15);
}

}  // namespace saldo::grafana
