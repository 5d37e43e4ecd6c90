// A private Prometheus in a folder of its own, for development and tests: scrapes programs of this
// machine, evaluates rules, and answers queries.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/devstack/child_process.h"
#include "common/runtime/stop_signal.h"

namespace saldo::devstack {

struct PrometheusTarget {
  std::string job = "";
  int port = 0;  // of 127.0.0.1, which serves /metrics
};

struct PrometheusOptions {
  std::string dir = "";  // made when it does not exist; figures that are in it already are kept
  int port = 0;          // on 127.0.0.1; 0 takes a free one
  std::vector<PrometheusTarget> targets = {};
  std::vector<std::string> rule_files = {};  // full paths
  // From one scrape, and one evaluation of the rules, to the next. Whole seconds.
  absl::Duration interval = absl::Seconds(5);
  std::string log_file = "";  // empty: prometheus.log in `dir`
  absl::Duration start_timeout = absl::Seconds(30);
  const runtime::StopSignal* interrupt = nullptr;  // stopping it ends a wait for the start
};

// OK when the program is there; else NOT_FOUND with the package to install.
absl::Status CheckPrometheusInstalled();

// Not thread-safe.
class PrometheusServer {
 public:
  // Returns once it answers queries.
  static absl::StatusOr<std::unique_ptr<PrometheusServer>> Start(PrometheusOptions options);

  PrometheusServer(const PrometheusServer&) = delete;
  PrometheusServer& operator=(const PrometheusServer&) = delete;
  ~PrometheusServer() { Stop(); }

  int port() const { return options_.port; }
  std::string url() const;
  const ChildProcess* process() const { return server_.get(); }

  // The body of a GET of its HTTP API, such as "/api/v1/query" with {"query", "up"}. An error with
  // the body when the code is not 200.
  absl::StatusOr<std::string> Get(
      const std::string& path,
      const std::vector<std::pair<std::string, std::string>>& parameters) const;

  // Orderly; idempotent.
  void Stop();

 private:
  explicit PrometheusServer(PrometheusOptions options) : options_(std::move(options)) {}

  absl::Status WriteConfiguration() const;
  absl::Status StartServer();

  PrometheusOptions options_;
  std::unique_ptr<ChildProcess> server_;
};

}  // namespace saldo::devstack
