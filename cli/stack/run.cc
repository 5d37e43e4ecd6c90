#include "cli/stack/run.h"

#include <cstdio>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "cli/args.h"
#include "cli/stack/stack_parts.h"
#include "cli/stack/stack_shards.h"
#include "common/base/status_macros.h"
#include "common/devstack/files.h"
#include "common/runtime/signals.h"
#include "common/runtime/stop_signal.h"
#include "common/runtime/thread.h"

namespace saldo::cli {
namespace {

constexpr absl::Duration kCheckInterval = absl::Milliseconds(200);

CommandSpec Spec() {
  return {.usage = "saldo stack run [OPTIONS]",
          .about =
              "Starts a private PostgreSQL 15 and a single-node Apache Kafka, migrates, starts "
              "saldo-server and\nsaldo-retranslator, and stops all of them on Ctrl-C. The "
              "data stay for the next run.",
          .options = {
              {"dir", "FOLDER", "where data and logs are kept; var"},
              {"broker", "KIND", "kafka, or embedded: librdkafka's mock cluster, not durable"},
              {"free-ports", "", "give Saldo free ports instead of 8082, 8000, 8001, 9100, 9101"},
              {"kafka", "HOST:PORT", "use this Kafka instead of starting one"},
              {"observe", "FOLDER",
               "start Prometheus with the rules (*.yml) of this folder, and Jaeger for "
               "traces"},
              {"postgres", "DSN", "use this database instead of starting a server"},
              {"shards", "N",
               "1 to 4 databases in the private PostgreSQL; each N has its own data; "
               "default 1"}}};
}

absl::StatusOr<StackOptions> ReadOptions(const Args& args) {
  StackOptions options;
  const std::string broker = args.Get("broker", "kafka");
  if (broker != "kafka" && broker != "embedded") {
    return UsageError(absl::StrCat("--broker=", broker, " is neither kafka nor embedded"));
  }
  options.embedded_broker = broker == "embedded";
  options.free_ports = args.Has("free-ports");
  options.kafka = args.Get("kafka");
  options.postgres = args.Get("postgres");
  if (options.embedded_broker && !options.kafka.empty()) {
    return UsageError("--broker=embedded and --kafka exclude each other");
  }
  SALDO_ASSIGN_OR_RETURN(const int64_t shards, args.GetInt("shards", 1, 1, kStackShardsMax));
  options.shards = static_cast<int>(shards);
  if (options.shards > 1 && !options.postgres.empty())
    return UsageError("--shards and --postgres exclude each other");
  // Children work in folders of their own.
  if (args.Has("observe")) {
    SALDO_ASSIGN_OR_RETURN(options.rules, devstack::AbsolutePath(args.Get("observe")));
    SALDO_RETURN_IF_ERROR(devstack::CheckPrometheusInstalled());
    const absl::Status jaeger = devstack::JaegerProgram().status();
    options.jaeger = jaeger.ok();
    if (!jaeger.ok())
      absl::FPrintF(stderr, "stack: no traces: %s\n", std::string(jaeger.message()));
  }
  const std::string dir = args.Get("dir", "var");
  SALDO_RETURN_IF_ERROR(devstack::MakeFolder(dir));
  SALDO_ASSIGN_OR_RETURN(options.dir, devstack::AbsolutePath(dir));
  return options;
}

// Starts the stack and watches it until it is interrupted or a part ends.
absl::Status StartAndWatch(Stack& stack, runtime::StopSignal& interrupt) {
  SALDO_RETURN_IF_ERROR(stack.Start());
  absl::PrintF("%s", stack.Summary());
  std::fflush(stdout);
  absl::Status status;
  while (status.ok() && interrupt.WaitFor(kCheckInterval)) status = stack.Check();
  return status;
}

}  // namespace

absl::StatusOr<int> RunStackRun(const std::vector<std::string>& arguments) {
  const CommandSpec spec = Spec();
  SALDO_ASSIGN_OR_RETURN(const Args args, Args::Parse(spec, arguments));
  if (args.help()) {
    absl::PrintF("%s", HelpText(spec));
    return 0;
  }
  SALDO_ASSIGN_OR_RETURN(StackOptions options, ReadOptions(args));

  runtime::Signals signals;
  runtime::StopSignal interrupt;
  Stack stack(std::move(options), &interrupt);
  absl::Status result;
  {
    runtime::Thread worker("stack", [&] {
      result = StartAndWatch(stack, interrupt);
      runtime::RequestStop();
    });
    signals.Wait();
    interrupt.Stop();
  }
  // The worker's own request may still be pending; only what the user sends from now on counts.
  while (signals.WaitFor(absl::ZeroDuration()).has_value()) {
  }
  signals.LetNextOneKill();
  const bool failed = !result.ok() && !absl::IsCancelled(result);
  if (failed) absl::FPrintF(stderr, "stack: %s\n", std::string(result.message()));
  stack.Stop();
  return failed ? 1 : 0;
}

}  // namespace saldo::cli
