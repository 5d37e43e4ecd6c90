#include "cli/stack/stack.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "cli/args.h"
#include "cli/stack/mock_broker.h"
#include "cli/stack/run.h"

namespace saldo::cli {

absl::StatusOr<int> RunStack(const std::vector<std::string>& arguments) {
  constexpr const char* kHelp =
      "usage: saldo stack run [OPTIONS]\n\n"
      "  run          start PostgreSQL, Kafka, saldo-server and saldo-retranslator; Ctrl-C stops "
      "them\n"
      "  mock-broker  host librdkafka's mock cluster; used by `run --broker=embedded`\n\n"
      "`saldo stack run --help` tells more.\n";
  if (arguments.empty()) return UsageError("say what: run");
  if (arguments[0] == "--help" || arguments[0] == "-h") {
    absl::PrintF("%s", kHelp);
    return 0;
  }
  const std::vector<std::string> rest(arguments.begin() + 1, arguments.end());
  if (arguments[0] == "run") return RunStackRun(rest);
  if (arguments[0] == "mock-broker") return RunMockBroker(rest);
  return UsageError(absl::StrCat("unknown subcommand '", arguments[0], "'"));
}

}  // namespace saldo::cli
