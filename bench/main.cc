// saldo-bench: measures Saldo's figures against real servers, all in one run on one machine.
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "bench/echo_server.h"
#include "bench/harness.h"
#include "bench/stack.h"
#include "bench/subjects.h"
#include "cli/args.h"
#include "common/base/status_macros.h"
#include "common/devstack/files.h"
#include "common/observability/log.h"
#include "common/runtime/signals.h"
#include "common/runtime/stop_signal.h"
#include "common/runtime/thread.h"

namespace saldo::bench {
namespace {

constexpr const char* kDefaultJson = "build/bench.json";

cli::CommandSpec Spec() {
  return {.usage = "saldo-bench [OPTIONS]",
          .about =
              "Measures the figures below against a PostgreSQL with fsync and a real Kafka broker, "
              "both started for\nthis run in a temporary folder, prints a table and writes JSON. A "
              "missed target is a result; exit code 1\nmeans that a figure could not be measured.",
          .options = {{"only", "REGEX", "only the benchmarks with a figure of such a name"},
                      {"quick", "", "a short run that shows that all works; figures say little"},
                      {"verbose", "", "also show where the CPU time went, by thread"},
                      {"json", "FILE", absl::StrCat("where the figures go; ", kDefaultJson)}}};
}

// Each part of the run: what it measures stays, also when the next one fails.
absl::Status RunAll(const std::vector<Benchmark>& benchmarks, const cli::Args& args,
                    runtime::StopSignal& interrupt, Report& report) {
  Say("start PostgreSQL and Kafka");
  SALDO_ASSIGN_OR_RETURN(const std::unique_ptr<Stack> stack, Stack::Start(interrupt));
  const Context context{.stack = *stack,
                        .interrupt = interrupt,
                        .quick = args.Has("quick"),
                        .verbose = args.Has("verbose")};
  absl::Status failure;
  for (const Benchmark& benchmark : benchmarks) {
    const absl::Time begin = absl::Now();
    const absl::Status status = benchmark.run(context, report);
    const std::string& name = benchmark.figures.front().name;
    if (absl::IsCancelled(status)) return status;
    if (!status.ok()) Say(absl::StrCat(name, " could not be measured: ", status.ToString()));
    Say(absl::StrFormat("%s: took %.0f s", name, absl::ToDoubleSeconds(absl::Now() - begin)));
    failure.Update(status);
  }
  return failure;
}

absl::Status WriteJson(const std::string& path, const std::string& json) {
  const std::string folder = std::filesystem::path(path).parent_path().string();
  if (!folder.empty()) SALDO_RETURN_IF_ERROR(devstack::MakeFolder(folder));
  return devstack::WriteFile(path, json);
}

// Runs on a thread of its own, so that the main thread hears of Ctrl-C.
absl::Status RunInterruptibly(const std::vector<Benchmark>& benchmarks, const cli::Args& args,
                              runtime::Signals& signals, Report& report) {
  runtime::StopSignal interrupt;
  absl::Status result;
  runtime::Thread worker("bench", [&] {
    result = RunAll(benchmarks, args, interrupt, report);
    runtime::RequestStop();
  });
  signals.Wait();
  interrupt.Stop();
  worker.Join();
  // The worker's request may still be pending when the user's signal came first.
  while (signals.WaitFor(absl::ZeroDuration()).has_value()) {
  }
  return result;
}

int Main(const std::vector<std::string>& arguments) {
  runtime::Signals signals;
  log::Options logging;
  logging.level = log::Level::kError;
  logging.format = log::Format::kConsole;
  log::Configure(logging);
  const cli::CommandSpec spec = Spec();
  const absl::StatusOr<cli::Args> args = cli::Args::Parse(spec, arguments);
  if (!args.ok()) {
    absl::FPrintF(stderr, "saldo-bench: %s\n", std::string(args.status().message()));
    return 2;
  }
  std::vector<Benchmark> all = {RelayDrain(),  RelayLatency(), Create(),     RelayOutage(),
                                LedgerWrite(), LedgerBatch(),  LedgerRead(), Wallets()};
  if (args->help()) {
    absl::PrintF("%s\nfigures:\n", cli::HelpText(spec));
    for (const Benchmark& benchmark : all) {
      for (const Figure& figure : benchmark.figures) absl::PrintF("  %s\n", figure.name);
    }
    return 0;
  }
  const auto selected = Select(std::move(all), args->Get("only"));
  if (!selected.ok()) {
    absl::FPrintF(stderr, "saldo-bench: %s\n", std::string(selected.status().message()));
    return 2;
  }
  Report report;
  absl::Status status = RunInterruptibly(*selected, *args, signals, report);
  if (absl::IsCancelled(status)) return 130;
  absl::PrintF("%s", Table(*selected, report));
  if (args->Has("quick")) absl::PrintF("(a quick run: for figures that count, run all of it)\n");
  const std::string path = args->Get("json", kDefaultJson);
  const absl::Status written = WriteJson(path, Json(*selected, report));
  if (!written.ok()) Say(absl::StrCat("cannot write ", path, ": ", written.ToString()));
  if (!status.ok()) Say(std::string(status.message()));
  return status.ok() && written.ok() ? 0 : 1;
}

}  // namespace
}  // namespace saldo::bench

int main(int argc, char** argv) {
  int port = 0;
  // A part of a benchmark that has to be a process of its own.
  if (argc == 2 && absl::StartsWith(argv[1], "--echo-server=") &&
      absl::SimpleAtoi(argv[1] + sizeof("--echo-server=") - 1, &port)) {
    return saldo::bench::ServeEcho(port).ok() ? 0 : 1;
  }
  return saldo::bench::Main({argv + 1, argv + argc});
}
