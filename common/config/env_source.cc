#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "common/config/file.h"
#include "common/config/sources.h"

namespace saldo::config::internal {
namespace {

constexpr size_t kSecretFileSizeMax = 64 << 10;
constexpr absl::string_view kFileSuffix = "_FILE";
constexpr absl::string_view kLinkHint =
    "Kubernetes sets such variables for services (enableServiceLinks: false turns that off)";

struct Variable {
  std::string name;
  std::string value;
};

// What a variable stands for.
struct Target {
  Node* node = nullptr;
  bool names_file = false;
};

bool IsServiceAddress(absl::string_view value) {
  return absl::StartsWith(value, "tcp://") || absl::StartsWith(value, "udp://") ||
         absl::StartsWith(value, "sctp://");
}

// For a service "saldo" Kubernetes sets SALDO_SERVICE_HOST, SALDO_SERVICE_PORT[_<name>], SALDO_PORT
// and SALDO_PORT_<number>_TCP[_PROTO|_PORT|_ADDR]; for "saldo-x" the same after SALDO_X.
bool IsServiceLink(const Variable& variable) {
  const absl::string_view name = variable.name;
  if (absl::EndsWith(name, "_SERVICE_HOST") || absl::EndsWith(name, "_SERVICE_PORT") ||
      absl::StrContains(name, "_SERVICE_PORT_")) {
    return true;
  }
  if (IsServiceAddress(variable.value)) return absl::StrContains(name, "_PORT");
  const size_t port = name.rfind("_PORT_");
  const bool detail = absl::EndsWith(name, "_PROTO") || absl::EndsWith(name, "_ADDR") ||
                      absl::EndsWith(name, "_PORT");
  const auto has_protocol = [&] {
    return absl::StrContains(name, "_TCP_") || absl::StrContains(name, "_UDP_") ||
           absl::StrContains(name, "_SCTP_");
  };
  return port != absl::string_view::npos && detail && has_protocol();
}

std::vector<Variable> OurVariables(absl::Span<const std::string> env, const Program& program) {
  std::vector<Variable> variables;
  for (const std::string& entry : env) {
    const size_t equals = entry.find('=');
    if (equals == std::string::npos || !absl::StartsWith(entry, kEnvPrefix)) continue;
    const auto ignored = [&](const std::string& prefix) { return absl::StartsWith(entry, prefix); };
    if (std::any_of(program.ignored_env.begin(), program.ignored_env.end(), ignored)) continue;
    Variable variable{.name = entry.substr(0, equals), .value = entry.substr(equals + 1)};
    if (variable.name != kConfigEnv) variables.push_back(std::move(variable));
  }
  std::stable_sort(variables.begin(), variables.end(),
                   [](const Variable& a, const Variable& b) { return a.name < b.name; });
  return variables;
}

std::map<std::string, Target> TargetsByName(Node& root, Faults& faults) {
  std::map<std::string, Target> targets;
  const auto add = [&](std::string name, Node& node, bool names_file) {
    const auto [other, fresh] = targets.emplace(name, Target{&node, names_file});
    if (!fresh && (node.kind == NodeKind::kValue || names_file)) {
      faults.Add(
          "description", node.path,
          absl::StrCat("has the variable ", name, ", and so has ", other->second.node->path));
    }
  };
  ForEach(root, [&](Node& node) {
    if (node.path.empty()) return;
    add(EnvName(node.path), node, false);
    if (node.value != nullptr && node.value->is_secret())
      add(absl::StrCat(EnvName(node.path), kFileSuffix), node, true);
  });
  return targets;
}

void ApplySecretFile(const Variable& variable, Node& node, bool also_direct, Faults& faults) {
  const std::string where = absl::StrCat("env ", variable.name);
  node.faulty = true;  // until it is read
  if (also_direct) {
    faults.Add(where, node.path,
               absl::StrCat("given together with ", EnvName(node.path), ", expected one of them"));
    return;
  }
  absl::StatusOr<std::string> content = ReadFile(variable.value, kSecretFileSizeMax);
  if (!content.ok()) {
    faults.Add(where, node.path,
               absl::StrCat("cannot read ", variable.value, ": ", content.status().message()));
    return;
  }
  absl::string_view secret = *content;
  if (absl::ConsumeSuffix(&secret, "\n")) absl::ConsumeSuffix(&secret, "\r");
  node.faulty = false;
  Apply(node, std::string(secret), where, where, faults);
}

}  // namespace

std::optional<std::string> FindEnv(absl::Span<const std::string> env, absl::string_view name) {
  for (const std::string& entry : env) {
    absl::string_view rest = entry;
    if (absl::ConsumePrefix(&rest, name) && absl::ConsumePrefix(&rest, "="))
      return std::string(rest);
  }
  return std::nullopt;
}

void ApplyEnv(absl::Span<const std::string> env, const Program& program, Node& root, Faults& faults,
              std::vector<std::string>& warnings) {
  const std::map<std::string, Target> targets = TargetsByName(root, faults);
  std::vector<std::string> names;
  names.reserve(targets.size());
  for (const auto& [name, target] : targets) names.push_back(name);

  for (const Variable& variable : OurVariables(env, program)) {
    const std::string where = absl::StrCat("env ", variable.name);
    const auto found = targets.find(variable.name);
    if (found == targets.end()) {
      if (root.partial) continue;
      if (IsServiceLink(variable)) {
        warnings.push_back(absl::StrCat(where, ": ignored; ", kLinkHint));
      } else if (!MayBeOfFaultyList(root, variable.name, /*env_name=*/true)) {
        faults.Add(where, "", absl::StrCat("unknown variable", Suggest(variable.name, names)));
      }
      continue;
    }
    Node& node = *found->second.node;
    if (node.kind != NodeKind::kValue) {
      if (IsServiceLink(variable)) {
        warnings.push_back(absl::StrCat(where, ": ignored; ", kLinkHint));
      } else {
        faults.Add(where, node.path, "not a value but a section, expected one of its keys");
      }
    } else if (found->second.names_file) {
      ApplySecretFile(variable, node, FindEnv(env, EnvName(node.path)).has_value(), faults);
    } else if (IsServiceAddress(variable.value) && absl::EndsWith(variable.name, "_PORT")) {
      faults.Add(where, node.path,
                 absl::StrCat(Got(node, variable.value), ", expected ", node.value->Expected(),
                              "; ", kLinkHint));
      node.faulty = true;
    } else {
      Apply(node, variable.value, where, where, faults);
    }
  }
}

}  // namespace saldo::config::internal
