// `saldo`: the command line for people. Exit codes: 0 done, 1 failed, 2 typed wrong.
#include <cstdio>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_format.h"
#include "cli/args.h"
#include "cli/call/call.h"
#include "cli/health/health.h"
#include "cli/migrate/migrate.h"
#include "cli/outbox/outbox.h"
#include "cli/shard/shard.h"
#include "cli/stack/stack.h"
#include "cli/tail/tail.h"
#include "cli/task/task.h"
#include "cli/verify/verify.h"
#include "common/observability/build_info.h"

namespace saldo::cli {
namespace {

struct Command {
  const char* name;
  const char* help;
  absl::StatusOr<int> (*run)(const std::vector<std::string>& arguments);
};

// A command is one folder with one function; its line here makes it known.
constexpr Command kCommands[] = {
    {"call", "call an RPC of a running saldo-server with JSON", &RunCall},
    {"health", "ask a running program whether it is well", &RunHealth},
    {"migrate", "bring the schema of databases forward, or show its state", &RunMigrate},
    {"outbox", "show what waits to be sent or could not be, and send it anew", &RunOutbox},
    {"shard", "show the shards, and which one has what", &RunShard},
    {"stack", "start PostgreSQL, Kafka and Saldo for a first try", &RunStack},
    {"tail", "show the messages of a Kafka topic", &RunTail},
    {"task", "show what is done in the background, and have it done", &RunTask},
    {"verify", "check that balances, turnovers and order agree with the events", &RunVerify},
};

void PrintHelp(std::FILE* to) {
  absl::FPrintF(to, "usage: saldo COMMAND [ARGUMENTS]\n\n");
  for (const Command& command : kCommands) {
    absl::FPrintF(to, "  %-8s  %s\n", command.name, command.help);
  }
  absl::FPrintF(to, "\n`saldo COMMAND --help` tells more.\n");
}

int Main(std::vector<std::string> arguments) {
  if (arguments.empty()) {
    PrintHelp(stderr);
    return 2;
  }
  const bool help = arguments[0] == "help" || arguments[0] == "--help" || arguments[0] == "-h";
  if (help && arguments.size() == 1) {
    PrintHelp(stdout);
    return 0;
  }
  // `saldo help call` is `saldo call --help`.
  if (help) arguments = {arguments[1], "--help"};
  if (arguments[0] == "--version" && arguments.size() == 1) {
    absl::PrintF("saldo %s\n", GetBuildInfo().version);
    return 0;
  }
  const std::string name = arguments[0];
  arguments.erase(arguments.begin());
  for (const Command& command : kCommands) {
    if (name != command.name) continue;
    const absl::StatusOr<int> result = command.run(arguments);
    if (result.ok()) return *result;
    absl::FPrintF(stderr, "saldo %s: %s\n", name, std::string(result.status().message()));
    if (!IsUsageError(result.status())) return 1;
    absl::FPrintF(stderr, "`saldo %s --help` tells what it takes.\n", name);
    return 2;
  }
  absl::FPrintF(stderr, "saldo: unknown command '%s'\n\n", name);
  PrintHelp(stderr);
  return 2;
}

}  // namespace
}  // namespace saldo::cli

int main(int argc, char** argv) { return saldo::cli::Main({argv + 1, argv + argc}); }
