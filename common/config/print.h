// What people read: --help and --print-config. Internal to this folder.
#pragma once

#include <string>

#include "common/config/load.h"
#include "common/config/schema.h"

namespace saldo::config::internal {

std::string HelpText(const Program& program, const Node& root);

// YAML of all values, each with its source in a comment.
std::string ConfigText(const Program& program, const Node& root);

}  // namespace saldo::config::internal
