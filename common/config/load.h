// Fills a binary's configuration: defaults < YAML file < environment < flags.
//
//   int main(int argc, char** argv) {
//     ServerConfig c;
//     config::LoadResult loaded =
//         config::Load({.name = "saldo-server", .summary = "...", .version = "..."}, argc, argv,
//         environ,
//                      [&](config::Binder& binder) { Bind(binder, c); });
//     if (!loaded.run) return config::Finish(loaded);
//     ... log loaded.warnings, run with c ...
//   }
//
// The key grpc.port is set by
//   the file     --config=FILE or SALDO_CONFIG=FILE, with  grpc: {port: 9000}
//   a variable   SALDO_GRPC_PORT=9000
//   a flag       --grpc.port=9000 or --grpc.port 9000
#pragma once

#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "common/config/binder.h"

namespace saldo::config {

struct Program {
  std::string name = {};     // as typed in a shell
  std::string summary = {};  // one line for --help
  std::string version = {};  // for --version
  // Whether words that are not flags are taken in (into LoadResult::arguments) or are faults.
  bool takes_arguments = false;
  // One line for --help about those words, such as "migrate up|status".
  std::string arguments_help = {};
  // Variables that start with one of these are left alone, such as "SALDO_TEST_".
  std::vector<std::string> ignored_env = {};
};

struct LoadResult {
  // True: run with the configuration. False: a mere question was answered or something is wrong,
  // and the configuration must not be used.
  bool run = false;
  int exit_code = 0;   // when not `run`
  std::string output;  // for stdout: help, version, the configuration, or "ok"
  // Everything that is wrong, one line each: where it was given, which key, what was given, what is
  // allowed.
  std::vector<std::string> faults;
  // What was ignored; to be logged.
  std::vector<std::string> warnings;
  // The words that are not flags, when the program takes them.
  std::vector<std::string> arguments;
};

// Handles --help, --version, --check-config and --print-config besides the keys. `env` is
// null-terminated. Variables that start with SALDO_ and are not known are faults, except those that
// Kubernetes sets for services whose name starts with saldo (service links): these are warnings.
LoadResult Load(const Program& program, int argc, const char* const* argv, const char* const* env,
                absl::FunctionRef<void(Binder&)> bind);

// Fills what `bind` binds from one YAML file alone, for a file beside the configuration. Returns
// everything that is wrong, as in LoadResult; what is bound is then filled as far as it was right.
std::vector<std::string> LoadFile(const std::string& path, absl::FunctionRef<void(Binder&)> bind);
// The same for the content of a file; `name` stands for the file in faults.
std::vector<std::string> LoadText(const std::string& name, const std::string& yaml,
                                  absl::FunctionRef<void(Binder&)> bind);

// Fills what `bind` binds from the file and the environment of a program that binds more than this,
// for tools beside it: other variables are left alone, and other keys too, except within lists.
// Returns everything that is wrong, as in LoadResult.
std::vector<std::string> LoadPart(const std::string& path, const char* const* env,
                                  absl::FunctionRef<void(Binder&)> bind);

// Prints `output` to stdout, faults and warnings to stderr, and returns the exit code.
int Finish(const LoadResult& result);

}  // namespace saldo::config
