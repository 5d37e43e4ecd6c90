#include "common/devstack/jaeger.h"

#include <unistd.h>

#include <cstdlib>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/devstack/files.h"
#include "common/devstack/http_ready.h"
#include "common/devstack/loopback.h"

namespace saldo::devstack {
namespace {

constexpr absl::Duration kCallTimeout = absl::Seconds(10);
constexpr absl::Duration kStopGrace = absl::Seconds(10);

std::string NamedOrCached() {
  const auto variable = [](const char* name) -> std::string {
    const char* value = std::getenv(name);
    return value == nullptr ? "" : value;
  };
  if (std::string named = variable("SALDO_JAEGER"); !named.empty()) return named;
  const std::string cache = variable("XDG_CACHE_HOME");
  return absl::StrCat(cache.empty() ? variable("HOME") + "/.cache" : cache, "/saldo/jaeger-1.42.0");
}

}  // namespace

absl::StatusOr<std::string> JaegerProgram() {
  const std::string program = NamedOrCached();
  if (access(program.c_str(), X_OK) == 0) return program;
  return absl::NotFoundError(
      absl::StrCat("there is no Jaeger at ", program,
                   ": ./dev run --observe and ./dev test build it; or set SALDO_JAEGER"));
}

absl::StatusOr<std::unique_ptr<JaegerServer>> JaegerServer::Start(JaegerOptions options) {
  SALDO_ASSIGN_OR_RETURN(std::string program, JaegerProgram());
  SALDO_RETURN_IF_ERROR(MakeFolder(options.dir));
  SALDO_ASSIGN_OR_RETURN(options.dir, AbsolutePath(options.dir));
  if (options.log_file.empty()) options.log_file = options.dir + "/jaeger.log";
  const bool any_port = options.port == 0;
  std::unique_ptr<JaegerServer> server(new JaegerServer(std::move(options), std::move(program)));
  SALDO_RETURN_IF_ERROR(StartOnFreePorts([&]() -> absl::Status {
    if (any_port) {
      SALDO_ASSIGN_OR_RETURN(server->options_.port, FreePort());
    }
    return server->StartServer();
  }));
  return server;
}

std::string JaegerServer::url() const { return absl::StrCat("http://127.0.0.1:", options_.port); }

std::string JaegerServer::otlp_endpoint() const {
  return absl::StrCat("http://127.0.0.1:", otlp_port_);
}

absl::Status JaegerServer::StartServer() {
  SALDO_ASSIGN_OR_RETURN(const int admin_port, FreePort());
  // Its own parts call each other on these two.
  SALDO_ASSIGN_OR_RETURN(const int collector_port, FreePort());
  SALDO_ASSIGN_OR_RETURN(const int query_port, FreePort());
  SALDO_ASSIGN_OR_RETURN(otlp_port_, FreePort());
  ChildOptions child;
  child.name = "Jaeger";
  child.argv = {program_,
                absl::StrCat("--query.http-server.host-port=127.0.0.1:", options_.port),
                absl::StrCat("--query.grpc-server.host-port=127.0.0.1:", query_port),
                absl::StrCat("--collector.grpc-server.host-port=127.0.0.1:", collector_port),
                absl::StrCat("--collector.otlp.grpc.host-port=127.0.0.1:", otlp_port_),
                "--collector.otlp.enabled=true",
                absl::StrCat("--admin.http.host-port=127.0.0.1:", admin_port),
                absl::StrCat("--memory.max-traces=", options_.traces_max),
                "--log-level=warn"};
  // What nobody here asks cannot be switched off, and would listen on every address.
  for (const char* flag :
       {"collector.http-server.host-port", "collector.otlp.http.host-port", "http-server.host-port",
        "processor.jaeger-binary.server-host-port", "processor.jaeger-compact.server-host-port",
        "processor.zipkin-compact.server-host-port"}) {
    child.argv.push_back(absl::StrCat("--", flag, "=127.0.0.1:0"));
  }
  child.env = {{"SPAN_STORAGE_TYPE", "memory"}};
  child.directory = options_.dir;
  child.log_file = options_.log_file;
  server_.reset();
  SALDO_ASSIGN_OR_RETURN(server_, ChildProcess::Start(std::move(child)));
  // Where queries go, another Jaeger may answer before this one finds that it cannot listen there.
  const absl::Status ready = AwaitHttp(
      *server_,
      {.port = admin_port, .timeout = options_.start_timeout, .interrupt = options_.interrupt});
  if (!ready.ok()) Stop();
  return ready;
}

absl::StatusOr<std::string> JaegerServer::Get(const std::string& path) const {
  SALDO_ASSIGN_OR_RETURN(HttpAnswer answer, HttpGet(options_.port, path, kCallTimeout));
  if (answer.code == 404) return absl::NotFoundError("Jaeger has no such trace");
  if (answer.code != 200) {
    return absl::InvalidArgumentError(
        absl::StrCat("Jaeger answers ", answer.code, ": ", answer.body));
  }
  return std::move(answer.body);
}

void JaegerServer::Stop() {
  if (server_ != nullptr) server_->Stop(kStopGrace);
}

}  // namespace saldo::devstack
