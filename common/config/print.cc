#include "common/config/print.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace saldo::config::internal {
namespace {

using Lines = std::vector<std::string>;

constexpr char kCommonHelp[] = R"(
A value is taken from, the later over the earlier: its default, the YAML file, the environment,
the flags. Durations need a unit (250ms, 30s, 1h30m); sizes take KiB, MiB, GiB or TiB, else they
are bytes. Prefer a file to a flag for a secret: others can see flags.

  --config=FILE
      the YAML file; env: SALDO_CONFIG
  --check-config
      check the configuration, print "ok" or every fault, and exit with 0 or 1
  --print-config
      print the configuration as YAML with the source of each value, without secrets, and exit
  --version
      print the version and exit
  --help
      print this text and exit
)";

void AddHelp(const Node& node, Lines& lines) {
  if (node.kind == NodeKind::kValue) {
    const std::string text = node.value->ToYaml();
    const bool none = text == "\"\"" || text == "[]";
    const std::string value = none ? (node.value->Check().ok() ? "empty" : "none, required") : text;
    std::string env = EnvName(node.path);
    if (node.value->is_secret()) env = absl::StrCat(env, " or ", env, "_FILE");
    lines.push_back(absl::StrCat("  --", node.path));
    lines.push_back(absl::StrCat("      ", node.help));
    lines.push_back(
        absl::StrCat("      ", node.value->Expected(), "; default: ", value, "; env: ", env));
    return;
  }
  if (node.kind == NodeKind::kList) {
    lines.push_back("");
    lines.push_back(absl::StrCat(node.path, ": list of ",
                                 FormatCount(node.count.min, node.count.max, "section"),
                                 ", given in the file; N counts from 0"));
    if (!node.help.empty()) lines.push_back(absl::StrCat("  ", node.help));
    for (const auto& child : node.prototype->children) AddHelp(*child, lines);
    return;
  }
  lines.push_back("");
  lines.push_back(absl::StrCat(node.path, node.help.empty() ? "" : ": ", node.help));
  for (const auto& child : node.children) AddHelp(*child, lines);
}

Lines SectionLines(const Node& section);

// Indents by two; the first line of an item of a list takes a dash there.
void AppendIndented(const Lines& from, bool as_item, Lines& to) {
  for (size_t i = 0; i < from.size(); ++i)
    to.push_back(absl::StrCat(as_item && i == 0 ? "- " : "  ", from[i]));
}

void AddNode(const Node& node, Lines& lines) {
  switch (node.kind) {
    case NodeKind::kValue:
      lines.push_back(absl::StrCat(node.key, ": ", node.value->ToYaml(), " # ", node.source));
      return;
    case NodeKind::kSection:
      lines.push_back(absl::StrCat(node.key, ":"));
      AppendIndented(SectionLines(node), /*as_item=*/false, lines);
      return;
    case NodeKind::kList:
      lines.push_back(
          absl::StrCat(node.key, node.children.empty() ? ": [] # " : ": # ", node.source));
      for (const auto& item : node.children) {
        Lines item_lines = SectionLines(*item);
        if (item_lines.empty()) item_lines.push_back("{}");
        Lines dashed;
        AppendIndented(item_lines, /*as_item=*/true, dashed);
        AppendIndented(dashed, /*as_item=*/false, lines);
      }
      return;
  }
}

Lines SectionLines(const Node& section) {
  Lines lines;
  for (const auto& child : section.children) AddNode(*child, lines);
  return lines;
}

}  // namespace

std::string HelpText(const Program& program, const Node& root) {
  Lines lines = {
      absl::StrCat(program.name, program.summary.empty() ? "" : ": ", program.summary),
      "",
      absl::StrCat("Usage: ", program.name, " [--config=FILE] [--KEY=VALUE]...",
                   program.takes_arguments ? " [ARGUMENT]..." : ""),
  };
  if (program.takes_arguments && !program.arguments_help.empty())
    lines.push_back(absl::StrCat("Arguments: ", program.arguments_help));
  lines.emplace_back(kCommonHelp);
  for (const auto& child : root.children) {
    if (child->kind == NodeKind::kValue) AddHelp(*child, lines);
  }
  for (const auto& child : root.children) {
    if (child->kind != NodeKind::kValue) AddHelp(*child, lines);
  }
  return absl::StrCat(absl::StrJoin(lines, "\n"), "\n");
}

std::string ConfigText(const Program& program, const Node& root) {
  Lines lines = {
      absl::StrCat("# The configuration of ", program.name, ", with the source of each value.")};
  for (std::string& line : SectionLines(root)) lines.push_back(std::move(line));
  return absl::StrCat(absl::StrJoin(lines, "\n"), "\n");
}

}  // namespace saldo::config::internal
