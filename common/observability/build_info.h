// What this program was built from.
#pragma once

#include <string>

namespace saldo {

struct BuildInfo {
  std::string version;     // "0.1.0"
  std::string git_commit;  // 40 hex digits, "-dirty" after them when files differed; or "unknown"
  std::string build_type;  // "Release"
  std::string compiler;    // "GNU 12.2.0"
};

// In the library saldo_common_observability_build_info: only programs link it, so that a new
// commit compiles one file and links those.
BuildInfo GetBuildInfo();

}  // namespace saldo
