#include "common/observability/http_server.h"

#include <civetweb.h>
#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <exception>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "common/observability/log.h"
#include "common/runtime/stop_signal.h"
#include "common/runtime/thread.h"

namespace saldo::http {

struct HttpServer::State {
  explicit State(Handler h) : handler(std::move(h)) {}

  const Handler handler;
  absl::Mutex mutex;
  // Until Start returns: what civetweb complains of, the reason of a failed start.
  bool starting ABSL_GUARDED_BY(mutex) = false;
  std::string complaint ABSL_GUARDED_BY(mutex);

  static int OnRequest(mg_connection* connection);
  static int OnLog(const mg_connection* connection, const char* message);
};

namespace {

void Send(mg_connection* connection, const Response& response, bool with_body) {
  mg_response_header_start(connection, response.status);
  mg_response_header_add(connection, "Content-Type", response.content_type.c_str(), -1);
  mg_response_header_add(connection, "Content-Length", absl::StrCat(response.body.size()).c_str(),
                         -1);
  mg_response_header_add(connection, "Cache-Control", "no-store", -1);
  mg_response_header_add(connection, "Connection", "close", -1);
  if (response.status == 405) mg_response_header_add(connection, "Allow", "GET, HEAD", -1);
  mg_response_header_send(connection);
  if (with_body) mg_write(connection, response.body.data(), response.body.size());
}

std::string ListeningAddress(const HttpOptions& options) {
  const bool bare_ipv6 =
      options.address.find(':') != std::string::npos && options.address.front() != '[';
  return bare_ipv6 ? absl::StrCat("[", options.address, "]:", options.port)
                   : absl::StrCat(options.address, ":", options.port);
}

// Connects to the server until told to stop: civetweb looks whether it should end only every two
// seconds, or when a connection comes.
void KeepWaking(const HttpOptions& options, int port, runtime::StopSignal* ended) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
  addrinfo* address = nullptr;
  std::string host = options.address;
  if (host.size() > 2 && host.front() == '[') host = host.substr(1, host.size() - 2);
  if (getaddrinfo(host.c_str(), absl::StrCat(port).c_str(), &hints, &address) != 0) return;
  do {
    const int fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) continue;
    // Whether it connects does not matter: the next one may.
    [[maybe_unused]] const int result = connect(fd, address->ai_addr, address->ai_addrlen);
    close(fd);
  } while (ended->WaitFor(absl::Milliseconds(20)));
  freeaddrinfo(address);
}

}  // namespace

int HttpServer::State::OnRequest(mg_connection* connection) {
  const mg_request_info* request = mg_get_request_info(connection);
  auto* state = static_cast<State*>(request->user_data);
  const std::string_view method = request->request_method;
  Response response;
  if (method != "GET" && method != "HEAD") {
    response = {.status = 405, .body = "only GET and HEAD\n"};
  } else {
    try {
      response = state->handler(request->local_uri == nullptr ? "" : request->local_uri);
    } catch (const std::exception& e) {  // must not unwind through C
      log::Error("a status page failed", {{"error", e.what()}});
      response = {.status = 500, .body = "internal error\n"};
    }
  }
  Send(connection, response, method != "HEAD");
  return response.status;
}

int HttpServer::State::OnLog(const mg_connection* connection, const char* message) {
  auto* state = static_cast<State*>(mg_get_user_data(mg_get_context(connection)));
  if (state != nullptr) {
    absl::MutexLock lock(&state->mutex);
    if (state->starting && state->complaint.empty()) state->complaint = message;
  }
  log::Debug("http server", {{"detail", message}});
  return 1;
}

HttpServer::HttpServer(std::string name, HttpOptions options, Handler handler)
    : name_(std::move(name)),
      options_(std::move(options)),
      state_(std::make_unique<State>(std::move(handler))) {}

HttpServer::~HttpServer() { Stop(); }

absl::Status HttpServer::Start() {
  const std::string address = ListeningAddress(options_);
  const char* settings[] = {"listening_ports",
                            address.c_str(),
                            "num_threads",
                            "2",
                            "max_request_size",
                            "16384",
                            "request_timeout_ms",
                            "5000",
                            "enable_keep_alive",
                            "no",
                            "enable_directory_listing",
                            "no",
                            nullptr};
  mg_callbacks callbacks{};
  callbacks.begin_request = &State::OnRequest;
  callbacks.log_message = &State::OnLog;
  {
    absl::MutexLock lock(&state_->mutex);
    state_->starting = true;
    state_->complaint.clear();
  }
  context_ = mg_start(&callbacks, state_.get(), settings);
  std::string complaint;
  {
    absl::MutexLock lock(&state_->mutex);
    state_->starting = false;
    complaint = state_->complaint;
  }
  if (context_ == nullptr) {
    return absl::UnavailableError(absl::StrCat("the ", name_, " endpoint cannot listen on ",
                                               address, ": ",
                                               complaint.empty() ? "unknown reason" : complaint));
  }
  mg_server_port ports[1] = {};
  if (mg_get_server_ports(context_, 1, ports) == 1) port_ = ports[0].port;
  return absl::OkStatus();
}

void HttpServer::Stop() {
  if (context_ == nullptr) return;
  runtime::StopSignal ended;
  runtime::Thread waker("http-stop", [&] { KeepWaking(options_, port_, &ended); });
  mg_stop(context_);
  context_ = nullptr;
  ended.Stop();
}

}  // namespace saldo::http
