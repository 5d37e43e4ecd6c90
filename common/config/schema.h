// The tree of keys that a binary binds, and what the sources put into it. Internal to this folder.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "common/config/binder.h"
#include "common/config/value.h"

namespace saldo::config::internal {

inline constexpr absl::string_view kEnvPrefix = "SALDO_";
inline constexpr absl::string_view kConfigEnv = "SALDO_CONFIG";

enum class NodeKind { kSection, kValue, kList };

struct Node {
  NodeKind kind = NodeKind::kSection;
  std::string key;   // "port"
  std::string path;  // "grpc.port"; empty for the root
  std::string help;

  // The keys of a section, or the items of a list.
  std::vector<std::unique_ptr<Node>> children;
  std::vector<std::function<absl::Status()>> checks;  // of a section

  std::vector<std::string> ignored;  // keys of the section that others read

  std::unique_ptr<Value> value;

  std::optional<Binder::ListField> list;
  CountRange count;
  std::unique_ptr<Node> prototype;  // of a list's items, for --help

  // Where the value or the list came from, as --print-config shows it.
  std::string source = "default";
  // A fault of the value or the list has been reported: nothing more is to be said about it.
  bool faulty = false;
  // Where the file gives the redacted placeholder of a secret, until another source gives the
  // value.
  std::string placeholder_at;

  // Mistakes in the description, kept at the root.
  std::vector<std::string> description_faults;
  // At the root: keys and variables that are not bound are somebody else's.
  bool partial = false;
  Node* root = nullptr;
};

std::unique_ptr<Node> MakeRoot();

// Adds a child to a section; reports a bad or repeated key.
Node* AddChild(Node* section, std::string_view key, NodeKind kind, std::string_view help);

// Gives `list` one child per item of its vector, bound to that item.
void BindItems(Node* list);

// Parents first, in order of binding; items of lists included, prototypes not.
void ForEach(Node& node, absl::FunctionRef<void(Node&)> visit);

// "grpc.port" -> "SALDO_GRPC_PORT".
std::string EnvName(absl::string_view path);

// Every node but the root by its path.
std::map<std::string, Node*> IndexByPath(Node& root);

// Whether a name (a path, or a variable as `env_name` tells) may be that of a list's item which is
// missing only because the list could not be read.
bool MayBeOfFaultyList(Node& root, absl::string_view name, bool env_name);

// Collects what is wrong, in the order in which it is found.
class Faults {
 public:
  // `where` and `path` may be empty.
  void Add(absl::string_view where, absl::string_view path, absl::string_view problem);
  bool empty() const { return lines_.empty(); }
  std::vector<std::string> Take() { return std::move(lines_); }

 private:
  std::vector<std::string> lines_;
};

// `got "abc"`, shortened when long; never shows the text of a secret.
std::string Got(const Node& node, absl::string_view text);

// Stores a text from a variable or a flag. `where` is for faults, `source` for --print-config.
void Apply(Node& node, const std::string& text, absl::string_view where, absl::string_view source,
           Faults& faults);

// `, did you mean "grpc.port"?`, or nothing when no candidate is near.
std::string Suggest(absl::string_view given, const std::vector<std::string>& candidates);
std::vector<std::string> Keys(const std::map<std::string, Node*>& index);

// The values that no source gave, and the sizes of lists, must be allowed too.
void CheckValues(Node& root, Faults& faults);
void RunChecks(Node& root, Faults& faults);

}  // namespace saldo::config::internal
