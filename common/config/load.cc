#include "common/config/load.h"

#include <cstdio>
#include <memory>
#include <optional>

#include "absl/strings/str_cat.h"
#include "common/config/print.h"
#include "common/config/schema.h"
#include "common/config/sources.h"

namespace saldo::config {
namespace {

using internal::CommonFlags;
using internal::Faults;
using internal::Node;

struct Input {
  std::vector<std::string> args;  // without the program's name
  std::vector<std::string> env;
};

// `env` ends with a null.
std::vector<std::string> ToVector(const char* const* env) {
  std::vector<std::string> variables;
  for (; env != nullptr && *env != nullptr; ++env) variables.emplace_back(*env);
  return variables;
}

// Puts all sources into the tree, and so into the fields.
void Fill(const Program& program, const Input& input, const CommonFlags& flags, Node& root,
          Faults& faults, LoadResult& result) {
  for (const std::string& fault : root.description_faults) faults.Add("description", "", fault);
  std::optional<std::string> file = flags.config;
  if (!file.has_value()) file = internal::FindEnv(input.env, internal::kConfigEnv);
  bool file_read = true;
  if (!file.value_or("").empty()) file_read = internal::ApplyYamlFile(*file, root, faults);
  if (!file_read) {
    internal::ForEach(root, [](Node& node) {
      if (node.kind == internal::NodeKind::kList) node.faulty = true;
    });
  }
  internal::ApplyEnv(input.env, program, root, faults, result.warnings);
  internal::ApplyFlags(input.args, program, root, faults, result.arguments);
  // What an unreadable file lacks is not known.
  if (file_read) internal::CheckValues(root, faults);
  if (faults.empty()) internal::RunChecks(root, faults);
}

std::vector<std::string> LoadYaml(absl::FunctionRef<void(Binder&)> bind,
                                  absl::FunctionRef<bool(Node&, Faults&)> apply) {
  const std::unique_ptr<Node> root = internal::MakeRoot();
  Binder binder(root.get());
  bind(binder);
  Faults faults;
  for (const std::string& fault : root->description_faults) faults.Add("description", "", fault);
  if (apply(*root, faults)) internal::CheckValues(*root, faults);
  if (faults.empty()) internal::RunChecks(*root, faults);
  return faults.Take();
}

}  // namespace

std::vector<std::string> LoadFile(const std::string& path, absl::FunctionRef<void(Binder&)> bind) {
  return LoadYaml(bind, [&](Node& root, Faults& faults) {
    return internal::ApplyYamlFile(path, root, faults);
  });
}

std::vector<std::string> LoadText(const std::string& name, const std::string& yaml,
                                  absl::FunctionRef<void(Binder&)> bind) {
  return LoadYaml(bind, [&](Node& root, Faults& faults) {
    return internal::ApplyYaml(name, yaml, root, faults);
  });
}

std::vector<std::string> LoadPart(const std::string& path, const char* const* env,
                                  absl::FunctionRef<void(Binder&)> bind) {
  return LoadYaml(bind, [&](Node& root, Faults& faults) {
    root.partial = true;
    if (!internal::ApplyYamlFile(path, root, faults)) return false;
    std::vector<std::string> warnings;
    internal::ApplyEnv(ToVector(env), {}, root, faults, warnings);
    return true;
  });
}

LoadResult Load(const Program& program, int argc, const char* const* argv, const char* const* env,
                absl::FunctionRef<void(Binder&)> bind) {
  Input input;
  if (argc > 1) input.args.assign(argv + 1, argv + argc);
  input.env = ToVector(env);

  const std::unique_ptr<Node> root = internal::MakeRoot();
  Binder binder(root.get());
  bind(binder);

  LoadResult result;
  Faults faults;
  const CommonFlags flags = internal::ReadCommonFlags(input.args, faults);
  if (flags.help) {
    result.output = internal::HelpText(program, *root);
    return result;
  }
  if (flags.version) {
    result.output = absl::StrCat(program.name, " ", program.version, "\n");
    return result;
  }
  Fill(program, input, flags, *root, faults, result);
  if (!faults.empty()) {
    result.faults = faults.Take();
    result.exit_code = 1;
    return result;
  }
  if (flags.print_config) {
    result.output = internal::ConfigText(program, *root);
  } else if (flags.check_config) {
    result.output = "ok\n";
  } else {
    result.run = true;
  }
  return result;
}

int Finish(const LoadResult& result) {
  for (const std::string& warning : result.warnings)
    std::fprintf(stderr, "warning: %s\n", warning.c_str());
  if (!result.faults.empty()) {
    std::fprintf(stderr, "the configuration has %zu fault%s:\n", result.faults.size(),
                 result.faults.size() == 1 ? "" : "s");
  }
  for (const std::string& fault : result.faults) std::fprintf(stderr, "  %s\n", fault.c_str());
  std::fputs(result.output.c_str(), stdout);
  std::fflush(stdout);
  return result.exit_code;
}

}  // namespace saldo::config
