// The main function of a server process: configuration, log, traces, signals, and the application
// between them.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/time/time.h"
#include "common/config/binder.h"
#include "common/observability/build_info.h"
#include "common/observability/log.h"
#include "common/observability/tracing.h"
#include "common/runtime/service.h"

namespace saldo::program {

// What an application gets besides its configuration.
struct Environment {
  trace::TracingOptions tracing = {};
  BuildInfo build = {};
  // Waits for so long while the application starts; false when the process is asked to end
  // meanwhile.
  std::function<bool(absl::Duration)> pause = nullptr;
  // Says what SIGHUP is to do. An application calls it at most once, in its constructor. What it
  // gives runs in the main thread, between the end of Start and the beginning of Stop.
  std::function<void(std::function<void()>)> on_reload = nullptr;
};

struct Program {
  std::string name;
  std::string summary;
  // Binds the configuration, `log` included.
  std::function<void(config::Binder&)> bind;
  const log::Options& log;
  // Called with the configuration in place.
  std::function<std::unique_ptr<runtime::Service>(Environment)> make_app;
};

// Loads the configuration (or answers --help and the like), starts the application, waits for
// SIGINT or SIGTERM, and stops it; a second signal ends the process at once. SIGHUP reloads what
// the application can reload. The manager behind NOTIFY_SOCKET, when there is one, is told of the
// end of the start, of reloads and of the stop. Answers main's exit code: 0 after a stop, 1 when
// the start failed.
int Run(const Program& program, int argc, char** argv);

}  // namespace saldo::program
