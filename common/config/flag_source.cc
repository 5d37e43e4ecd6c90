#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "common/config/sources.h"

namespace saldo::config::internal {
namespace {

// One argument that starts with "--".
struct Flag {
  std::string name;  // without the dashes
  std::optional<std::string> value;
};

Flag ParseFlag(absl::string_view argument) {
  argument.remove_prefix(2);
  const size_t equals = argument.find('=');
  if (equals == absl::string_view::npos) return {.name = std::string(argument), .value = {}};
  return {.name = std::string(argument.substr(0, equals)),
          .value = std::string(argument.substr(equals + 1))};
}

bool IsFlag(absl::string_view argument) { return absl::StartsWith(argument, "--"); }

// The field of a flag that takes no value, or null.
bool CommonFlags::*SwitchOf(absl::string_view name) {
  if (name == "help") return &CommonFlags::help;
  if (name == "version") return &CommonFlags::version;
  if (name == "check-config") return &CommonFlags::check_config;
  if (name == "print-config") return &CommonFlags::print_config;
  return nullptr;
}

// `--name value`: takes the value from the next argument when there is one that is no flag.
void TakeNextAsValue(absl::Span<const std::string> args, size_t& i, Flag& flag) {
  if (!flag.value.has_value() && i + 1 < args.size() && !IsFlag(args[i + 1]))
    flag.value = args[++i];
}

std::string NameOf(const Flag& flag) {
  return absl::StrCat("flag --", absl::Utf8SafeCEscape(flag.name));
}

class FlagReader {
 public:
  FlagReader(absl::Span<const std::string> args, Node& root, Faults& faults)
      : args_(args), root_(root), index_(IndexByPath(root)), faults_(faults) {}

  // Applies the flag at `i` and moves `i` to the last argument that belongs to it.
  void Read(size_t& i) {
    Flag flag = ParseFlag(args_[i]);
    if (SwitchOf(flag.name) != nullptr) return;  // handled by ReadCommonFlags
    if (flag.name == "config") return TakeNextAsValue(args_, i, flag);
    const auto found = index_.find(flag.name);
    if (found == index_.end()) {
      if (!MayBeOfFaultyList(root_, flag.name, /*env_name=*/false)) {
        faults_.Add(NameOf(flag), "",
                    absl::StrCat("unknown flag", Suggest(flag.name, Candidates())));
      }
      return TakeNextAsValue(args_, i, flag);
    }
    Node& node = *found->second;
    if (node.kind != NodeKind::kValue) {
      faults_.Add(NameOf(flag), "", "not a value but a section, expected one of its keys");
      return TakeNextAsValue(args_, i, flag);
    }
    if (!node.value->is_bool()) {
      TakeNextAsValue(args_, i, flag);
    } else if (!flag.value.has_value()) {
      const bool next_is_value =
          i + 1 < args_.size() && (args_[i + 1] == "true" || args_[i + 1] == "false");
      flag.value = next_is_value ? args_[++i] : "true";
    }
    ApplyValue(flag, node);
  }

 private:
  void ApplyValue(const Flag& flag, Node& node) {
    if (!given_.insert(flag.name).second) {
      faults_.Add(NameOf(flag), "", "given twice");
    } else if (!flag.value.has_value()) {
      node.faulty = true;
      faults_.Add(NameOf(flag), "",
                  absl::StrCat("has no value, expected ", node.value->Expected()));
    } else {
      Apply(node, *flag.value, absl::StrCat("flag --", flag.name), "flag", faults_);
    }
  }

  std::vector<std::string> Candidates() const {
    std::vector<std::string> candidates = Keys(index_);
    for (const char* name : {"config", "check-config", "print-config", "help", "version"})
      candidates.emplace_back(name);
    return candidates;
  }

  const absl::Span<const std::string> args_;
  Node& root_;
  const std::map<std::string, Node*> index_;
  Faults& faults_;
  std::set<std::string> given_;
};

}  // namespace

CommonFlags ReadCommonFlags(absl::Span<const std::string> args, Faults& faults) {
  CommonFlags flags;
  for (size_t i = 0; i < args.size() && args[i] != "--"; ++i) {
    if (args[i] == "-h") flags.help = true;
    if (!IsFlag(args[i])) continue;
    Flag flag = ParseFlag(args[i]);
    if (const auto field = SwitchOf(flag.name); field != nullptr) {
      flags.*field = true;
      if (flag.value.has_value()) faults.Add(NameOf(flag), "", "takes no value");
    } else if (flag.name == "config") {
      TakeNextAsValue(args, i, flag);
      if (flags.config.has_value()) faults.Add(NameOf(flag), "", "given twice");
      if (flag.value.value_or("").empty())
        faults.Add(NameOf(flag), "", "has no value, expected a file");
      flags.config = flag.value.value_or("");
    }
  }
  return flags;
}

void ApplyFlags(absl::Span<const std::string> args, const Program& program, Node& root,
                Faults& faults, std::vector<std::string>& arguments) {
  FlagReader reader(args, root, faults);
  bool only_arguments = false;
  for (size_t i = 0; i < args.size(); ++i) {
    const std::string& argument = args[i];
    if (!only_arguments && argument == "--") {
      only_arguments = true;
    } else if (!only_arguments && IsFlag(argument)) {
      reader.Read(i);
    } else if (!only_arguments && argument == "-h") {
      continue;
    } else if (!only_arguments && argument.size() > 1 && argument[0] == '-') {
      faults.Add(
          "", "",
          absl::StrCat("unknown flag ", absl::Utf8SafeCEscape(argument), ", flags start with --"));
    } else if (program.takes_arguments) {
      arguments.push_back(argument);
    } else {
      faults.Add("", "",
                 absl::StrCat("unexpected argument \"", absl::Utf8SafeCEscape(argument),
                              "\", expected flags only"));
    }
  }
}

}  // namespace saldo::config::internal
