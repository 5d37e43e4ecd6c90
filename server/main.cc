// saldo-server: the configuration, the signals, and App between them.
#include <unistd.h>

#include <cstdlib>
#include <optional>
#include <string>

#include "common/config/load.h"
#include "common/observability/build_info.h"
#include "common/observability/log.h"
#include "common/observability/tracing.h"
#include "common/rpc/grpc_log.h"
#include "common/runtime/signals.h"
#include "server/app.h"
#include "server/config.h"

namespace saldo::server {
namespace {

std::optional<std::string> Variable(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  return value == nullptr ? std::nullopt : std::optional<std::string>(value);
}

int Fail(const absl::Status& status) {
  log::Error("saldo-server cannot start", {{"reason", status}});
  return EXIT_FAILURE;
}

int Run(const ServerConfig& config, const config::LoadResult& loaded, runtime::Signals& signals) {
  log::Configure(config.log);
  rpc::RouteGrpcLog();
  for (const std::string& warning : loaded.warnings) {
    log::Warning("configuration", {{"warning", warning}});
  }
  const BuildInfo build = GetBuildInfo();
  log::Info("saldo-server starts", {{"version", build.version}, {"commit", build.git_commit}});
  absl::StatusOr<trace::TracingOptions> tracing =
      trace::ParseTracingOptions(config.log.service, Variable);
  if (!tracing.ok()) return Fail(tracing.status());

  std::optional<int> signal;
  App app({.config = config,
           .tracing = *std::move(tracing),
           .build = build,
           .pause = [&](absl::Duration time) {
             signal = signals.WaitFor(time);
             return !signal.has_value();
           }});
  const absl::Status started = app.Start();
  if (!started.ok() && !signal.has_value()) return Fail(started);
  if (!signal.has_value()) {
    log::Info("saldo-server serves", {{"grpc_port", app.grpc_port()},
                                      {"metrics_port", app.metrics_port()},
                                      {"status_port", app.status_port()}});
    signal = signals.Wait();
  }
  log::Info("saldo-server stops", {{"signal", runtime::Signals::Name(*signal)}});
  signals.LetNextOneKill();
  app.Stop();
  log::Info("saldo-server has stopped");
  return EXIT_SUCCESS;
}

}  // namespace
}  // namespace saldo::server

int main(int argc, char** argv) {
  saldo::runtime::Signals signals;
  saldo::server::ServerConfig config;
  const saldo::config::LoadResult loaded = saldo::config::Load(
      {.name = "saldo-server",
       .summary = "Serves Saldo's gRPC API and runs its background jobs.",
       .version = saldo::GetBuildInfo().version},
      argc, argv, environ, [&](saldo::config::Binder& binder) { Bind(binder, config); });
  if (!loaded.run) return saldo::config::Finish(loaded);
  return saldo::server::Run(config, loaded, signals);
}
