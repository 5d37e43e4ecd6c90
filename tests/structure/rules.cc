#include "tests/structure/rules.h"

#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>
#include <absl/strings/string_view.h>

#include <algorithm>
#include <initializer_list>
#include <iterator>
#include <optional>

#include "tests/structure/code_text.h"

namespace saldo::structure {
namespace {

constexpr int kLinesMax = 500;

bool StartsWith(std::string_view text, std::string_view start) {
  return text.substr(0, start.size()) == start;
}
bool EndsWith(std::string_view text, std::string_view end) {
  return text.size() >= end.size() && text.substr(text.size() - end.size()) == end;
}

bool IsCpp(std::string_view path) { return EndsWith(path, ".cc") || EndsWith(path, ".h"); }

// Interfaces of others, copied as they are.
bool IsThirdParty(std::string_view path) {
  return StartsWith(path, "proto/google/") || StartsWith(path, "proto/opentelemetry/");
}

bool InOneOf(std::string_view path, const std::vector<std::string_view>& folders) {
  return std::any_of(folders.begin(), folders.end(),
                     [&](std::string_view folder) { return StartsWith(path, folder); });
}

std::vector<std::string_view> Lines(std::string_view content) {
  std::vector<std::string_view> lines;
  while (!content.empty()) {
    const size_t end = std::min(content.find('\n'), content.size());
    lines.push_back(content.substr(0, end));
    content.remove_prefix(std::min(end + 1, content.size()));
  }
  return lines;
}

// One C++ file as the rules see it.
struct Source {
  std::string_view path, content, code;
  std::vector<Fault>* faults;

  void Add(size_t at, std::string what) const {
    faults->push_back({std::string(path), LineOf(content, at), std::move(what)});
  }
};

// Names that only some folders may use.
struct Forbidden {
  enum class Use { kCall, kStd };  // name(...) in any scope, or std::name
  Use use;
  std::vector<std::string_view> names;
  std::vector<std::string_view> allowed;  // folders
  std::string_view reason;
};

const std::vector<Forbidden>& ForbiddenNames() {
  static const std::vector<Forbidden> names = {
      {Forbidden::Use::kCall,
       {"sleep", "usleep", "nanosleep", "clock_nanosleep", "sleep_for", "sleep_until", "SleepFor"},
       {"common/runtime/"},
       "wait on a runtime::StopSignal or poll with a deadline, never sleep"},
      {Forbidden::Use::kCall, {"detach"}, {}, "threads are owned and joined, never detached"},
      {Forbidden::Use::kCall,
       {"pthread_create"},
       {"common/runtime/"},
       "threads are runtime::Thread"},
      {Forbidden::Use::kStd,
       {"thread", "jthread", "async"},
       {"common/runtime/"},
       "threads are runtime::Thread"},
      {Forbidden::Use::kStd,
       {"cout", "cerr", "clog"},
       {"cli/", "bench/", "tests/"},
       "programs that serve write through common/observability/log.h"},
      {Forbidden::Use::kCall,
       {"printf", "puts", "putchar", "PrintF"},
       {"cli/", "bench/", "tests/"},
       "programs that serve write through common/observability/log.h"},
      {Forbidden::Use::kCall,
       {"localtime", "gmtime", "asctime", "ctime", "strtok", "rand", "srand"},
       {},
       "not safe with threads: use absl::Time, absl::StrSplit, <random>"},
      {Forbidden::Use::kCall,
       {"setenv", "unsetenv", "putenv"},
       {"tests/"},
       "not safe with threads"},
  };
  return names;
}

bool IsCalled(std::string_view code, const Word& word) {
  const size_t next = code.find_first_not_of(" \n", word.at + word.text.size());
  return next != std::string_view::npos && code[next] == '(';
}

bool IsStd(std::string_view code, const Word& word) {
  return EndsWith(code.substr(0, word.at), "std::") &&
         !StartsWith(code.substr(word.at + word.text.size()),
                     "::");  // std::thread::hardware_concurrency()
}

void CheckNames(const Source& source) {
  for (const Word& word : Words(source.code)) {
    for (const Forbidden& rule : ForbiddenNames()) {
      if (std::find(rule.names.begin(), rule.names.end(), word.text) == rule.names.end()) continue;
      if (InOneOf(source.path, rule.allowed)) continue;
      const bool used = rule.use == Forbidden::Use::kCall ? IsCalled(source.code, word)
                                                          : IsStd(source.code, word);
      if (used)
        source.Add(word.at, absl::StrCat(std::string(word.text), ": ", std::string(rule.reason)));
    }
  }
}

// What a line of code includes: the path between the quotes or brackets.
std::optional<std::string_view> Included(std::string_view line) {
  const size_t open = line.find_first_of("\"<");
  if (open == std::string_view::npos) return std::nullopt;
  const size_t close = line.find_first_of("\">", open + 1);
  if (close == std::string_view::npos) return std::nullopt;
  return line.substr(open + 1, close - open - 1);
}

std::string_view TopFolder(std::string_view path) { return path.substr(0, path.find('/')); }

// server/packages/store.h -> packages; empty for what is not in a slice of the server.
std::string_view Slice(std::string_view path) {
  if (!StartsWith(path, "server/")) return {};
  path.remove_prefix(std::string_view("server/").size());
  const size_t end = path.find('/');
  return end == std::string_view::npos ? std::string_view() : path.substr(0, end);
}

// proto <- common <- {server, retranslator, cli}; tests and bench may use anything.
std::optional<std::string> WhyNotIncluded(std::string_view path, std::string_view header) {
  const std::string_view from = TopFolder(path);
  const std::string_view to = TopFolder(header);
  if (from == "tests" || from == "bench") return std::nullopt;
  if ((header == "libpq-fe.h" || StartsWith(header, "libpq/")) &&
      !StartsWith(path, "common/postgres/")) {
    return "only common/postgres may include libpq";
  }
  if (StartsWith(header, "librdkafka/") || StartsWith(header, "rdkafka")) {
    if (!StartsWith(path, "common/kafka/")) return "only common/kafka may include librdkafka";
  }
  static constexpr std::string_view kLayers[] = {"server", "retranslator", "cli", "tests", "bench"};
  if (from != to && std::find(std::begin(kLayers), std::end(kLayers), to) != std::end(kLayers)) {
    return absl::StrCat(std::string(from), " must not depend on ", std::string(to));
  }
  if (EndsWith(header, "/store.h") && !Slice(path).empty() && Slice(path) != Slice(header)) {
    return "a slice must not include another slice's store";
  }
  return std::nullopt;
}

void CheckIncludes(const Source& source) {
  size_t at = 0;
  for (const std::string_view line : Lines(source.content)) {
    const std::string_view code = source.code.substr(at, line.size());
    const size_t hash = code.find_first_not_of(' ');
    if (hash != std::string_view::npos && code[hash] == '#' &&
        code.find("include") != std::string_view::npos) {
      if (const auto header = Included(line)) {
        if (const auto why = WhyNotIncluded(source.path, *header)) {
          source.Add(at, absl::StrCat(std::string(*header), ": ", *why));
        }
      }
    }
    at += line.size() + 1;
  }
}

// A test that is hidden, or may fail, is not a test.
void CheckTestTags(const Source& source) {
  for (const Word& word : Words(source.code)) {
    if (!EndsWith(word.text, "TEST_CASE") && word.text != "SCENARIO") continue;
    const size_t end = std::min(source.code.find_first_of("{;", word.at), source.content.size());
    const std::string_view declaration = source.content.substr(word.at, end - word.at);
    for (const std::string_view tag : {"[.", "[!mayfail]", "[!shouldfail]", "[!hide]", "[hide]"}) {
      if (declaration.find(tag) != std::string_view::npos) {
        source.Add(word.at, absl::StrCat("a test must not have the tag ", std::string(tag)));
      }
    }
  }
}

void CheckCpp(std::string_view path, std::string_view content, std::vector<Fault>* faults) {
  const std::string code = CodeOnly(content);
  const Source source{path, content, code, faults};
  CheckNames(source);
  CheckIncludes(source);
  CheckTestTags(source);
  if (EndsWith(path, ".h") && code.find("#pragma once") == std::string::npos)
    source.Add(0, "no #pragma once");
}

bool IsPostponed(std::string_view line) {
  // Written apart, so that this file does not break its own rule.
  static constexpr std::string_view kMarks[] = {
      "TO"
      "DO",
      "FIX"
      "ME",
      "X"
      "XX"};
  const std::vector<Word> words = Words(line);
  return std::any_of(words.begin(), words.end(), [](const Word& word) {
    return std::find(std::begin(kMarks), std::end(kMarks), word.text) != std::end(kMarks);
  });
}

void CheckText(std::string_view path, std::string_view content, std::vector<Fault>* faults) {
  int number = 0;
  for (const std::string_view line : Lines(content)) {
    ++number;
    const auto add = [&](std::string_view what) {
      faults->push_back({std::string(path), number, std::string(what)});
    };
    if (line.find('\t') != std::string_view::npos) add("a tab");
    if (EndsWith(line, " ") || EndsWith(line, "\r")) add("blanks at the end of the line");
    if (IsPostponed(line)) add("work put off: do it, or write it down elsewhere");
  }
  if (!content.empty() && !EndsWith(content, "\n")) {
    faults->push_back({std::string(path), number, "no newline at the end of the file"});
  }
  if (number > kLinesMax && (IsCpp(path) || EndsWith(path, ".sql") || EndsWith(path, ".sh") ||
                             EndsWith(path, ".py") || path == "dev" || StartsWith(path, ".ci/"))) {
    faults->push_back({std::string(path), 0, absl::StrCat(number, " lines; at most ", kLinesMax)});
  }
}

bool IsNamed(std::string_view cmake, std::string_view file) {
  for (const std::string_view line : Lines(cmake)) {
    const std::string_view code = line.substr(0, line.find('#'));
    for (const absl::string_view word :
         absl::StrSplit(absl::string_view(code.data(), code.size()), absl::ByAnyChar(" ()"))) {
      if (std::string_view(word.data(), word.size()) == file) return true;
    }
  }
  return false;
}

}  // namespace

std::vector<Fault> CheckFile(std::string_view path, std::string_view content) {
  std::vector<Fault> faults;
  if (IsThirdParty(path)) return faults;
  CheckText(path, content, &faults);
  if (IsCpp(path)) CheckCpp(path, content, &faults);
  return faults;
}

std::vector<Fault> CheckDeadFiles(const std::map<std::string, std::string>& tree) {
  std::vector<Fault> faults;
  for (const auto& [path, content] : tree) {
    if (!EndsWith(path, ".cc")) continue;
    bool named = false;
    for (size_t end = path.rfind('/'); !named && end != std::string::npos && end > 0;
         end = path.rfind('/', end - 1)) {
      const auto cmake = tree.find(path.substr(0, end) + "/CMakeLists.txt");
      named = cmake != tree.end() && IsNamed(cmake->second, std::string_view(path).substr(end + 1));
    }
    if (!named) faults.push_back({path, 0, "not built: no CMakeLists.txt names it"});
  }
  return faults;
}

}  // namespace saldo::structure
