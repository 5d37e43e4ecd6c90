#include "common/config/schema.h"

#include <algorithm>
#include <cctype>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/string_view.h"

namespace saldo::config::internal {
namespace {

constexpr size_t kShownLengthMax = 80;

bool IsKey(absl::string_view key) {
  return !key.empty() && absl::ascii_islower(key[0]) &&
         std::all_of(key.begin(), key.end(), [](char c) {
           return absl::ascii_islower(c) || absl::ascii_isdigit(c) || c == '_';
         });
}

// The number of single-character edits between two words (Levenshtein).
size_t EditDistance(absl::string_view a, absl::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t change = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({change, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row[b.size()];
}

absl::string_view LastPart(absl::string_view path) {
  const size_t dot = path.rfind('.');
  return dot == absl::string_view::npos ? path : path.substr(dot + 1);
}

}  // namespace

std::unique_ptr<Node> MakeRoot() {
  auto root = std::make_unique<Node>();
  root->root = root.get();
  return root;
}

Node* AddChild(Node* section, std::string_view key, NodeKind kind, std::string_view help) {
  auto child = std::make_unique<Node>();
  child->kind = kind;
  child->key = std::string(key);
  child->path = section->path.empty() ? child->key : absl::StrCat(section->path, ".", child->key);
  child->help = std::string(help);
  child->root = section->root;
  std::vector<std::string>& faults = section->root->description_faults;
  if (section->kind == NodeKind::kSection && !IsKey(child->key))
    faults.push_back(absl::StrCat(child->path, ": not a word of a-z, 0-9 and _"));
  if (section == section->root && (key == "config" || key == "help" || key == "version"))
    faults.push_back(absl::StrCat(child->path, ": this key is a flag of its own"));
  for (const auto& other : section->children) {
    if (other->key == key) faults.push_back(absl::StrCat(child->path, ": bound twice"));
  }
  section->children.push_back(std::move(child));
  return section->children.back().get();
}

void BindItems(Node* list) {
  list->children.clear();
  for (size_t i = 0; i < list->list->size(); ++i) {
    Node* item = AddChild(list, absl::StrCat(i), NodeKind::kSection, "");
    Binder binder(item);
    list->list->bind(binder, i);
  }
}

void ForEach(Node& node, absl::FunctionRef<void(Node&)> visit) {
  visit(node);
  for (const auto& child : node.children) ForEach(*child, visit);
}

std::string EnvName(absl::string_view path) {
  return absl::StrCat(kEnvPrefix, absl::AsciiStrToUpper(absl::StrReplaceAll(path, {{".", "_"}})));
}

std::map<std::string, Node*> IndexByPath(Node& root) {
  std::map<std::string, Node*> index;
  ForEach(root, [&](Node& node) {
    if (!node.path.empty()) index[node.path] = &node;
  });
  return index;
}

bool MayBeOfFaultyList(Node& root, absl::string_view name, bool env_name) {
  bool found = false;
  ForEach(root, [&](Node& node) {
    if (node.kind != NodeKind::kList || !node.faulty) return;
    const std::string prefix = env_name ? EnvName(node.path) + "_" : node.path + ".";
    found = found || absl::StartsWith(name, prefix);
  });
  return found;
}

void Faults::Add(absl::string_view where, absl::string_view path, absl::string_view problem) {
  std::string line;
  if (!where.empty()) absl::StrAppend(&line, where, ": ");
  if (!path.empty()) absl::StrAppend(&line, path, ": ");
  lines_.push_back(absl::StrCat(line, problem));
}

std::string Got(const Node& node, absl::string_view text) {
  if (node.value != nullptr && node.value->is_secret()) {
    return absl::StrCat("got ", text.size(), text.size() == 1 ? " byte" : " bytes", " (not shown)");
  }
  if (text.size() <= kShownLengthMax)
    return absl::StrCat("got \"", absl::Utf8SafeCEscape(text), "\"");
  return absl::StrCat("got \"", absl::Utf8SafeCEscape(text.substr(0, kShownLengthMax)), "\"... (",
                      text.size(), " bytes)");
}

void Apply(Node& node, const std::string& text, absl::string_view where, absl::string_view source,
           Faults& faults) {
  if (absl::Status status = node.value->SetText(text); !status.ok()) {
    faults.Add(where, node.path, absl::StrCat(Got(node, text), ", ", status.message()));
    node.faulty = true;
    return;
  }
  node.source = std::string(source);
  node.placeholder_at.clear();
}

std::string Suggest(absl::string_view given, const std::vector<std::string>& candidates) {
  // Two edits are a slip; longer names may have more. Beyond that the guess would only confuse.
  size_t best_distance = std::max<size_t>(2, given.size() / 4) + 1;
  std::string best;
  std::vector<std::string> same_last_part;
  for (const std::string& candidate : candidates) {
    const size_t distance = EditDistance(given, candidate);
    if (distance < best_distance) {
      best_distance = distance;
      best = candidate;
    }
    if (LastPart(candidate) == LastPart(given)) same_last_part.push_back(candidate);
  }
  if (best.empty() && same_last_part.size() == 1) best = same_last_part[0];
  return best.empty() ? "" : absl::StrCat(", did you mean ", best, "?");
}

std::vector<std::string> Keys(const std::map<std::string, Node*>& index) {
  std::vector<std::string> keys;
  keys.reserve(index.size());
  for (const auto& [path, node] : index) keys.push_back(path);
  return keys;
}

void CheckValues(Node& root, Faults& faults) {
  ForEach(root, [&](Node& node) {
    if (node.faulty) return;
    if (!node.placeholder_at.empty()) {
      faults.Add(node.placeholder_at, node.path,
                 absl::StrCat("got the placeholder ", kRedacted,
                              " of --print-config, expected the secret itself"));
      return;
    }
    if (node.kind == NodeKind::kList) {
      const size_t size = node.list->size();
      if (node.count.min <= size && size <= node.count.max) return;
      faults.Add(node.source == "default" ? "" : node.source, node.path,
                 absl::StrCat("got ", size, size == 1 ? " item" : " items", ", expected ",
                              FormatCount(node.count.min, node.count.max, "item")));
      return;
    }
    if (node.kind != NodeKind::kValue || node.source != "default") return;
    absl::Status status = node.value->Check();
    if (status.ok()) return;
    const std::string yaml = node.value->ToYaml();
    if (yaml == "\"\"" || yaml == "[]") {
      faults.Add("", node.path,
                 absl::StrCat("not given, ", status.message(), "; set it in the file, with ",
                              EnvName(node.path), " or with --", node.path));
    } else {
      faults.Add("", node.path, absl::StrCat("the default is ", yaml, ", ", status.message()));
    }
  });
}

void RunChecks(Node& root, Faults& faults) {
  ForEach(root, [&](Node& node) {
    for (const auto& check : node.checks) {
      if (absl::Status status = check(); !status.ok()) faults.Add("", node.path, status.message());
    }
  });
}

}  // namespace saldo::config::internal
