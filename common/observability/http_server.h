// A small HTTP server for operators: GET and HEAD of a few pages, nothing else.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"

struct mg_context;

namespace saldo::http {

struct HttpOptions {
  std::string address = "0.0.0.0";  // IP address to listen on
  int port = 0;                     // 0..65535; 0: a free one
};

struct Response {
  int status = 200;
  std::string content_type = "text/plain; charset=utf-8";
  std::string body;
};

// Two threads; a request of at most 16 KiB of headers, within 5 s; one request a connection, so
// that an idle client holds no thread.
class HttpServer {
 public:
  // Runs on the server's threads, several at once. Must end soon.
  using Handler = std::function<Response(std::string_view path)>;

  // `name` is for messages: "metrics".
  HttpServer(std::string name, HttpOptions options, Handler handler);
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  // UNAVAILABLE with the address and the reason when it cannot listen.
  absl::Status Start();
  // Waits for running requests. Idempotent, allowed without Start.
  void Stop();
  // The port it listens on; 0 before Start.
  int port() const { return port_; }

 private:
  struct State;

  const std::string name_;
  const HttpOptions options_;
  const std::unique_ptr<State> state_;
  mg_context* context_ = nullptr;
  int port_ = 0;
};

}  // namespace saldo::http
