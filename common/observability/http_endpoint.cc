#include "common/observability/http_endpoint.h"

#include <utility>

#include "absl/time/time.h"
#include "common/observability/text.h"

namespace saldo::http {
namespace {

// Of the server's two threads a slow check takes one, and this bounds how long it takes the other.
constexpr absl::Duration kCheckWaitMax = absl::Seconds(1);

Response NotFound(std::string_view pages) {
  return {.status = 404, .body = std::string("not found, there is: ").append(pages).append("\n")};
}

Response Version(const BuildInfo& build) {
  std::string body = "{\"version\":";
  text::AppendJsonString(build.version, &body);
  body.append(",\"git_commit\":");
  text::AppendJsonString(build.git_commit, &body);
  body.append(",\"build_type\":");
  text::AppendJsonString(build.build_type, &body);
  body.append(",\"compiler\":");
  text::AppendJsonString(build.compiler, &body);
  body.append("}\n");
  return {.content_type = "application/json", .body = std::move(body)};
}

}  // namespace

MetricsServer::MetricsServer(HttpOptions options, const metrics::Registry& registry)
    : server_("metrics", std::move(options), [&registry](std::string_view path) -> Response {
        if (path != "/metrics") return NotFound("/metrics");
        return {.content_type = "text/plain; version=0.0.4; charset=utf-8",
                .body = registry.Text()};
      }) {}

StatusServer::StatusServer(HttpOptions options, BuildInfo build)
    : build_(std::move(build)),
      server_("status", std::move(options),
              [this](std::string_view path) { return Handle(path); }) {}

void StatusServer::AddReadinessCheck(std::string name, Check check) {
  absl::MutexLock lock(&mutex_);
  checks_.push_back({std::move(name), std::move(check)});
}

void StatusServer::AddReadinessNote(Note note) {
  absl::MutexLock lock(&mutex_);
  notes_.push_back(std::move(note));
}

Response StatusServer::Handle(std::string_view path) {
  if (path == "/live") return {.body = "ok\n"};
  if (path == "/ready") return Ready();
  if (path == "/version") return Version(build_);
  return NotFound("/live /ready /version");
}

Response StatusServer::Ready() {
  std::vector<NamedCheck> checks;
  std::vector<Note> notes;
  {
    absl::MutexLock lock(&mutex_);
    if (!mutex_.AwaitWithTimeout(absl::Condition(this, &StatusServer::ChecksIdle), kCheckWaitMax)) {
      return {.status = 503, .body = "readiness: the checks of another request still run\n"};
    }
    checking_ = true;
    checks = checks_;
    notes = notes_;
  }
  Response response;
  for (const NamedCheck& check : checks) {
    const absl::Status status = check.check();
    if (status.ok()) continue;
    response.status = 503;
    std::string line =
        check.name + ": " + status.ToString(absl::StatusToStringMode::kWithNoExtraData);
    for (char& c : line) {
      if (c == '\n' || c == '\r') c = ' ';
    }
    response.body.append(line).append("\n");
  }
  if (response.status == 200) response.body = "ok\n";
  for (const Note& note : notes) response.body.append(note());
  absl::MutexLock lock(&mutex_);
  checking_ = false;
  return response;
}

}  // namespace saldo::http
