#include "cli/stack/mock_broker.h"

#include <memory>

#include "absl/strings/str_format.h"
#include "cli/args.h"
#include "common/base/status_macros.h"
#include "common/devstack/files.h"
#include "common/kafka/mock_cluster.h"
#include "common/runtime/signals.h"

namespace saldo::cli {

absl::StatusOr<int> RunMockBroker(const std::vector<std::string>& arguments) {
  const CommandSpec spec = {
      .usage = "saldo stack mock-broker --address-file=FILE",
      .about =
          "Hosts librdkafka's mock cluster until it is stopped. It keeps a few MiB in memory "
          "and loses all at its end.",
      .options = {{"address-file", "FILE", "where to write host:port once clients can connect"}}};
  SALDO_ASSIGN_OR_RETURN(const Args args, Args::Parse(spec, arguments));
  if (args.help()) {
    absl::PrintF("%s", HelpText(spec));
    return 0;
  }
  if (!args.Has("address-file")) return UsageError("--address-file is missing");
  runtime::Signals signals;
  SALDO_ASSIGN_OR_RETURN(const std::unique_ptr<kafka::MockCluster> cluster,
                         kafka::MockCluster::Start(1));
  SALDO_RETURN_IF_ERROR(
      devstack::WriteFile(args.Get("address-file"), cluster->bootstrap_servers()));
  signals.Wait();
  return 0;
}

}  // namespace saldo::cli
