#include "common/devstack/prometheus.h"

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/status_macros.h"
#include "common/devstack/files.h"
#include "common/devstack/http_ready.h"
#include "common/devstack/loopback.h"

namespace saldo::devstack {
namespace {

constexpr absl::Duration kCallTimeout = absl::Seconds(10);
constexpr absl::Duration kStopGrace = absl::Seconds(10);

std::string PercentEncoded(const std::string& text) {
  std::string encoded;
  for (const char c : text) {
    if (absl::ascii_isalnum(static_cast<unsigned char>(c)) || absl::StrContains("-_.~", c)) {
      encoded.push_back(c);
    } else {
      absl::StrAppendFormat(&encoded, "%%%02X", static_cast<unsigned char>(c));
    }
  }
  return encoded;
}

// In YAML, where a quote is doubled.
std::string Quoted(const std::string& text) {
  std::string quoted = "'";
  for (const char c : text) quoted.append(c == '\'' ? 2 : 1, c);
  return quoted + "'";
}

}  // namespace

absl::Status CheckPrometheusInstalled() {
  if (FindProgram("prometheus").ok()) return absl::OkStatus();
  return absl::NotFoundError("prometheus is not installed: install the package prometheus");
}

absl::StatusOr<std::unique_ptr<PrometheusServer>> PrometheusServer::Start(
    PrometheusOptions options) {
  SALDO_RETURN_IF_ERROR(CheckPrometheusInstalled());
  SALDO_RETURN_IF_ERROR(MakeFolder(options.dir));
  SALDO_ASSIGN_OR_RETURN(options.dir, AbsolutePath(options.dir));
  if (options.log_file.empty()) options.log_file = options.dir + "/prometheus.log";
  const bool any_port = options.port == 0;
  std::unique_ptr<PrometheusServer> server(new PrometheusServer(std::move(options)));
  SALDO_RETURN_IF_ERROR(server->WriteConfiguration());
  SALDO_RETURN_IF_ERROR(StartOnFreePorts([&]() -> absl::Status {
    if (any_port) {
      SALDO_ASSIGN_OR_RETURN(server->options_.port, FreePort());
    }
    return server->StartServer();
  }));
  return server;
}

std::string PrometheusServer::url() const {
  return absl::StrCat("http://127.0.0.1:", options_.port);
}

absl::Status PrometheusServer::WriteConfiguration() const {
  const int64_t seconds = absl::ToInt64Seconds(options_.interval);
  std::string text =
      absl::StrCat("global:\n  scrape_interval: ", seconds, "s\n  scrape_timeout: ", seconds,
                   "s\n  evaluation_interval: ", seconds, "s\nrule_files:\n");
  for (const std::string& file : options_.rule_files)
    absl::StrAppend(&text, "  - ", Quoted(file), "\n");
  absl::StrAppend(&text, "scrape_configs:\n");
  for (const PrometheusTarget& target : options_.targets) {
    absl::StrAppend(&text, "  - job_name: ", Quoted(target.job),
                    "\n    static_configs:\n      - targets: ['127.0.0.1:", target.port, "']\n");
  }
  return WriteFile(options_.dir + "/prometheus.yml", text);
}

absl::Status PrometheusServer::StartServer() {
  ChildOptions child;
  child.name = "Prometheus";
  child.argv = {"prometheus",
                absl::StrCat("--config.file=", options_.dir, "/prometheus.yml"),
                absl::StrCat("--storage.tsdb.path=", options_.dir, "/data"),
                "--storage.tsdb.retention.time=15d",
                absl::StrCat("--web.listen-address=127.0.0.1:", options_.port),
                "--log.level=warn"};
  child.directory = options_.dir;
  child.log_file = options_.log_file;
  server_.reset();
  SALDO_ASSIGN_OR_RETURN(server_, ChildProcess::Start(std::move(child)));
  const absl::Status ready = AwaitHttp(*server_, {.port = options_.port,
                                                  .path = "/-/ready",
                                                  .timeout = options_.start_timeout,
                                                  .interrupt = options_.interrupt});
  if (!ready.ok()) Stop();
  return ready;
}

absl::StatusOr<std::string> PrometheusServer::Get(
    const std::string& path,
    const std::vector<std::pair<std::string, std::string>>& parameters) const {
  std::string target = path;
  char separator = '?';
  for (const auto& [name, value] : parameters) {
    absl::StrAppend(&target, std::string(1, separator), name, "=", PercentEncoded(value));
    separator = '&';
  }
  SALDO_ASSIGN_OR_RETURN(HttpAnswer answer, HttpGet(options_.port, target, kCallTimeout));
  if (answer.code != 200) {
    return absl::InvalidArgumentError(
        absl::StrCat("Prometheus answers ", answer.code, ": ", answer.body));
  }
  return std::move(answer.body);
}

void PrometheusServer::Stop() {
  if (server_ != nullptr) server_->Stop(kStopGrace);
}

}  // namespace saldo::devstack
