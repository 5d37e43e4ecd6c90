#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "common/config/file.h"
#include "common/config/sources.h"

namespace saldo::config::internal {
namespace {

constexpr size_t kFileSizeMax = 1 << 20;

// Follows the tree of keys, not that of the file, so a file cannot make it go deeper than the keys
// do.
class YamlReader {
 public:
  YamlReader(const std::string& file, Node& root, Faults& faults)
      : file_(absl::Utf8SafeCEscape(file)), root_(root), faults_(faults) {}

  void ReadSection(Node& section, const YAML::Node& yaml, int line) {
    if (yaml.IsNull()) return;  // all its keys may be commented out
    if (!yaml.IsMap()) {
      AddFault(line, section.path,
               absl::StrCat(Describe(section, yaml), ", expected a section of keys"));
      return;
    }
    std::map<std::string, int> seen;
    for (const auto& entry : yaml) {
      const int key_line = LineOf(entry.first);
      if (!entry.first.IsScalar()) {
        AddFault(key_line, section.path, "a key must be a plain word");
        continue;
      }
      const std::string& key = entry.first.Scalar();
      const auto [first, fresh] = seen.emplace(key, key_line);
      if (!fresh) {
        AddFault(key_line, PathOf(section, key),
                 absl::StrCat("given twice, first on line ", first->second));
        continue;
      }
      ReadKey(section, key, entry.second, key_line);
    }
  }

  void AddFault(int line, absl::string_view path, absl::string_view problem) {
    faults_.Add(At(line), path, problem);
  }

 private:
  static int LineOf(const YAML::Node& yaml) { return yaml.Mark().line + 1; }
  static std::string PathOf(const Node& section, const std::string& key) {
    const std::string shown = absl::Utf8SafeCEscape(key);
    return section.path.empty() ? shown : absl::StrCat(section.path, ".", shown);
  }
  std::string At(int line) const { return absl::StrCat(file_, ":", line); }

  static std::string Describe(const Node& node, const YAML::Node& yaml) {
    if (yaml.IsMap()) return "got a section";
    if (yaml.IsSequence()) return "got a list";
    return yaml.IsScalar() ? Got(node, yaml.Scalar()) : "got no value";
  }

  void ReadKey(Node& section, const std::string& key, const YAML::Node& yaml, int line) {
    for (const auto& child : section.children) {
      if (child->key != key) continue;
      switch (child->kind) {
        case NodeKind::kSection:
          return ReadSection(*child, yaml, line);
        case NodeKind::kList:
          return ReadList(*child, yaml, line);
        case NodeKind::kValue:
          return ReadValue(*child, yaml, line);
      }
    }
    const std::vector<std::string>& ignored = section.ignored;
    if (std::find(ignored.begin(), ignored.end(), key) != ignored.end()) return;
    if (root_.partial && lists_ == 0) return;
    const std::string path = PathOf(section, key);
    AddFault(line, path, absl::StrCat("unknown key", Suggest(path, Keys(IndexByPath(root_)))));
  }

  void ReadList(Node& node, const YAML::Node& yaml, int line) {
    if (!yaml.IsSequence()) {
      AddFault(line, node.path,
               absl::StrCat(Describe(node, yaml), ", expected a list of sections"));
      node.faulty = true;
      return;
    }
    node.source = At(line);
    if (yaml.size() > node.count.max) {
      AddFault(line, node.path,
               absl::StrCat("got ", yaml.size(), " items, expected ",
                            FormatCount(node.count.min, node.count.max, "item")));
      node.faulty = true;
      return;
    }
    node.list->reset(yaml.size());
    BindItems(&node);
    ++lists_;
    for (size_t i = 0; i < node.children.size(); ++i)
      ReadSection(*node.children[i], yaml[i], LineOf(yaml[i]));
    --lists_;
  }

  void ReadValue(Node& node, const YAML::Node& yaml, int line) {
    absl::Status status =
        absl::InvalidArgumentError(absl::StrCat("expected ", node.value->Expected()));
    if (yaml.IsScalar()) {
      if (node.value->is_secret() && yaml.Scalar() == kRedacted) {
        node.placeholder_at = At(line);
        return;
      }
      status = HasTag(yaml) ? absl::InvalidArgumentError("YAML tags are not supported")
                            : node.value->Set(ToScalar(yaml));
    } else if (yaml.IsSequence()) {
      std::vector<Scalar> items;
      for (const YAML::Node& item : yaml) {
        if (!item.IsScalar() || HasTag(item)) {
          AddFault(LineOf(item), node.path,
                   absl::StrCat("an item is not a plain text, expected ", node.value->Expected()));
          node.faulty = true;
          return;
        }
        items.push_back(ToScalar(item));
      }
      status = node.value->SetList(items);
    }
    if (!status.ok()) {
      AddFault(line, node.path, absl::StrCat(Describe(node, yaml), ", ", status.message()));
      node.faulty = true;
      return;
    }
    node.source = At(line);
  }

  // yaml-cpp gives "?" to plain scalars and "!" to quoted ones.
  static bool HasTag(const YAML::Node& yaml) {
    return !yaml.Tag().empty() && yaml.Tag() != "?" && yaml.Tag() != "!";
  }
  static Scalar ToScalar(const YAML::Node& yaml) {
    return {.text = yaml.Scalar(), .quoted = yaml.Tag() == "!"};
  }

  const std::string file_;
  Node& root_;
  Faults& faults_;
  int lists_ = 0;  // that are being read, one within another
};

}  // namespace

bool ApplyYamlFile(const std::string& path, Node& root, Faults& faults) {
  absl::StatusOr<std::string> content = ReadFile(path, kFileSizeMax);
  if (!content.ok()) {
    faults.Add(absl::Utf8SafeCEscape(path), "",
               absl::StrCat("cannot read the configuration file: ", content.status().message()));
    return false;
  }
  return ApplyYaml(path, *content, root, faults);
}

bool ApplyYaml(const std::string& name, const std::string& content, Node& root, Faults& faults) {
  YamlReader reader(name, root, faults);
  try {
    const std::vector<YAML::Node> documents = YAML::LoadAll(content);
    if (documents.size() > 1)
      reader.AddFault(documents[1].Mark().line + 1, "", "a second document, expected one");
    if (!documents.empty()) reader.ReadSection(root, documents[0], documents[0].Mark().line + 1);
    return true;
  } catch (const YAML::Exception& e) {
    reader.AddFault(e.mark.line + 1, "", absl::StrCat("not valid YAML: ", e.msg));
    return false;
  }
}

}  // namespace saldo::config::internal
