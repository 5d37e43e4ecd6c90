// A private Jaeger for development and tests: takes traces by OTLP, keeps the latest in memory, and
// answers queries over HTTP. Built from its Go module, which comes without the assets of its user
// interface.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/devstack/child_process.h"
#include "common/runtime/stop_signal.h"

namespace saldo::devstack {

struct JaegerOptions {
  std::string dir = "";       // made when it does not exist; where it works
  int port = 0;               // of queries, on 127.0.0.1; 0 takes a free one
  int traces_max = 10'000;    // kept; older ones are forgotten
  std::string log_file = "";  // empty: jaeger.log in `dir`
  absl::Duration start_timeout = absl::Seconds(30);
  const runtime::StopSignal* interrupt = nullptr;  // stopping it ends a wait for the start
};

// $SALDO_JAEGER, else saldo/jaeger-1.42.0 in $XDG_CACHE_HOME or ~/.cache. NOT_FOUND with what to do
// about it.
absl::StatusOr<std::string> JaegerProgram();

// Not thread-safe.
class JaegerServer {
 public:
  // Returns once it takes spans and answers queries.
  static absl::StatusOr<std::unique_ptr<JaegerServer>> Start(JaegerOptions options);

  JaegerServer(const JaegerServer&) = delete;
  JaegerServer& operator=(const JaegerServer&) = delete;
  ~JaegerServer() { Stop(); }

  int port() const { return options_.port; }
  std::string url() const;
  // Where spans go, by OTLP over gRPC.
  std::string otlp_endpoint() const;
  const ChildProcess* process() const { return server_.get(); }

  // The body, of at most 1 MiB, of a GET of its query API, such as "/api/traces/<trace id>".
  // NOT_FOUND when it has no such trace.
  absl::StatusOr<std::string> Get(const std::string& path) const;

  // Forgets all traces; idempotent.
  void Stop();

 private:
  JaegerServer(JaegerOptions options, std::string program)
      : options_(std::move(options)), program_(std::move(program)) {}

  // Takes free ports for all that nobody else has to know.
  absl::Status StartServer();

  JaegerOptions options_;
  const std::string program_;
  int otlp_port_ = 0;
  std::unique_ptr<ChildProcess> server_;
};

}  // namespace saldo::devstack
