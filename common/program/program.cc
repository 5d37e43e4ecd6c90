#include "common/program/program.h"

#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <functional>
#include <optional>
#include <string>
#include <utility>

#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "common/config/load.h"
#include "common/program/service_manager.h"
#include "common/runtime/signals.h"

namespace saldo::program {
namespace {

std::optional<std::string> Variable(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  return value == nullptr ? std::nullopt : std::optional<std::string>(value);
}

int Fail(const absl::Status& status) {
  log::Error("cannot start", {{"reason", status}});
  return EXIT_FAILURE;
}

// A start has not read yet what could be reloaded, or has just read it.
std::optional<int> WaitInStart(runtime::Signals& signals, absl::Duration time) {
  const absl::Time end = absl::Now() + time;
  while (true) {
    const std::optional<int> signal =
        signals.WaitFor(std::max(end - absl::Now(), absl::ZeroDuration()));
    if (signal != SIGHUP) return signal;
    log::Info("starts already, reloads nothing", {{"signal", runtime::Signals::Name(SIGHUP)}});
  }
}

int WaitForEnd(runtime::Signals& signals, const ServiceManager& manager,
               const std::function<void()>& reload) {
  while (true) {
    const int signal = signals.Wait();
    if (signal != SIGHUP) return signal;
    manager.Reloading();
    if (reload) {
      reload();
    } else {
      log::Info("has nothing to reload", {{"signal", runtime::Signals::Name(SIGHUP)}});
    }
    manager.Ready();
  }
}

int RunConfigured(const Program& program, const config::LoadResult& loaded,
                  runtime::Signals& signals) {
  log::Configure(program.log);
  for (const std::string& warning : loaded.warnings)
    log::Warning("configuration", {{"warning", warning}});
  const BuildInfo build = GetBuildInfo();
  log::Info("starts",
            {{"program", program.name}, {"version", build.version}, {"commit", build.git_commit}});
  absl::StatusOr<trace::TracingOptions> tracing =
      trace::ParseTracingOptions(program.name, Variable);
  if (!tracing.ok()) return Fail(tracing.status());

  const ServiceManager manager(Variable("NOTIFY_SOCKET").value_or(""));
  std::optional<int> signal;
  const auto pause = [&](absl::Duration time) {
    signal = WaitInStart(signals, time);
    return !signal.has_value();
  };
  std::function<void()> reload;
  const std::unique_ptr<runtime::Service> app = program.make_app(
      {.tracing = *std::move(tracing),
       .build = build,
       .pause = pause,
       .on_reload = [&reload](std::function<void()> given) { reload = std::move(given); }});
  const absl::Status started = app->Start();
  if (!started.ok() && !signal.has_value()) return Fail(started);
  if (!signal.has_value()) {
    manager.Ready();
    signal = WaitForEnd(signals, manager, reload);
  }
  manager.Stopping();
  log::Info("stops", {{"signal", runtime::Signals::Name(*signal)}});
  signals.LetNextOneKill();
  app->Stop();
  log::Info("has stopped");
  return EXIT_SUCCESS;
}

}  // namespace

int Run(const Program& program, int argc, char** argv) {
#ifdef NDEBUG
  // Debian's Abseil looks for lock cycles at each contended lock, under one lock for all.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
#endif
  runtime::Signals signals;  // before any thread starts
  const config::LoadResult loaded = config::Load(
      {.name = program.name,
       .summary = program.summary,
       .version = GetBuildInfo().version,
       // Of the development tools around a program.
       .ignored_env = {"SALDO_KAFKA_LIBS", "SALDO_JAEGER", "SALDO_TEST_", "SALDO_PROGRESS"}},
      argc, argv, environ, program.bind);
  if (!loaded.run) return config::Finish(loaded);
  return RunConfigured(program, loaded, signals);
}

}  // namespace saldo::program
