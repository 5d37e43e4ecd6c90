// The pages that a process shows to its operators: /metrics, and /live, /ready and /version.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "common/observability/build_info.h"
#include "common/observability/http_server.h"
#include "common/observability/metrics.h"
#include "common/runtime/service.h"

namespace saldo::http {

// GET /metrics: the registry as Prometheus reads it.
class MetricsServer : public runtime::Service {
 public:
  // `registry` outlives the server.
  MetricsServer(HttpOptions options, const metrics::Registry& registry);

  std::string_view name() const override { return "metrics endpoint"; }
  absl::Status Start() override { return server_.Start(); }
  void Stop() override { server_.Stop(); }
  // The port it listens on, once started.
  int port() const { return server_.port(); }

 private:
  HttpServer server_;
};

// GET /live: 200 while the process runs. GET /ready: 200, or 503 with one line per failing check,
// and in either case the notes.
// GET /version: JSON of BuildInfo.
class StatusServer : public runtime::Service {
 public:
  // OK when the part can serve. Runs on the server's threads, one check at a time, at every request
  // of /ready: must end within about a second.
  using Check = std::function<absl::Status()>;
  // Whole lines about what is amiss and yet no reason to send no more work; empty for nothing.
  using Note = std::function<std::string()>;

  StatusServer(HttpOptions options, BuildInfo build);

  // What the check uses outlives the server's Stop. `name` is one line, for people.
  void AddReadinessCheck(std::string name, Check check);
  // The same for a note.
  void AddReadinessNote(Note note);

  std::string_view name() const override { return "status endpoint"; }
  absl::Status Start() override { return server_.Start(); }
  void Stop() override { server_.Stop(); }
  // The port it listens on, once started.
  int port() const { return server_.port(); }

 private:
  struct NamedCheck {
    std::string name;
    Check check;
  };

  Response Handle(std::string_view path);
  Response Ready();
  bool ChecksIdle() const ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return !checking_; }

  const BuildInfo build_;
  absl::Mutex mutex_;
  std::vector<NamedCheck> checks_ ABSL_GUARDED_BY(mutex_);
  std::vector<Note> notes_ ABSL_GUARDED_BY(mutex_);
  bool checking_ ABSL_GUARDED_BY(mutex_) = false;
  HttpServer server_;  // last: its threads use the rest
};

}  // namespace saldo::http
