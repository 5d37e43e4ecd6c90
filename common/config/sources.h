// Where values come from. Each source applies what it has to the tree and reports every fault.
// Internal to this folder.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "common/config/load.h"
#include "common/config/schema.h"

namespace saldo::config::internal {

// False when the file could not be read or is not YAML, so that nothing can be said about what it
// lacks.
bool ApplyYamlFile(const std::string& path, Node& root, Faults& faults);
// The same for the content of a file; `name` stands for the file in faults.
bool ApplyYaml(const std::string& name, const std::string& content, Node& root, Faults& faults);

// Variables are "NAME=value".
void ApplyEnv(absl::Span<const std::string> env, const Program& program, Node& root, Faults& faults,
              std::vector<std::string>& warnings);

// Values of one variable, for SALDO_CONFIG.
std::optional<std::string> FindEnv(absl::Span<const std::string> env, absl::string_view name);

// The flags that are not keys of the configuration.
struct CommonFlags {
  bool help = false;
  bool version = false;
  bool check_config = false;
  bool print_config = false;
  std::optional<std::string> config;
};

// Arguments are those after the program's name.
CommonFlags ReadCommonFlags(absl::Span<const std::string> args, Faults& faults);
void ApplyFlags(absl::Span<const std::string> args, const Program& program, Node& root,
                Faults& faults, std::vector<std::string>& arguments);

}  // namespace saldo::config::internal
