// A gRPC server: listening, limits, health, reflection and the graceful stop.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/rpc/dispatcher.h"
#include "common/rpc/health.h"
#include "common/runtime/service.h"
#include "grpcpp/server.h"

namespace saldo::rpc {

struct ServerOptions {
  std::string address = "0.0.0.0";  // a local address or name; "::" for IPv6
  int port = 8082;                  // 0 picks a free one, which Server::port tells
  int max_receive_bytes = 4 << 20;  // of one message; larger ones get RESOURCE_EXHAUSTED
  int max_send_bytes = 16 << 20;
  int max_concurrent_streams = 10000;  // of one connection; more wait at the client
  // How long a stop waits for running calls before it cancels them.
  absl::Duration drain_timeout = absl::Seconds(10);
  // Silent connections are probed after this time, and closed when no answer comes in time.
  absl::Duration keepalive_time = absl::Minutes(2);
  absl::Duration keepalive_timeout = absl::Seconds(20);
  // Clients that probe more often than this are disconnected.
  absl::Duration keepalive_client_min = absl::Seconds(10);
  // Connections are asked to reconnect at this age, so that clients spread over new instances; zero
  // lets them live for ever.
  absl::Duration max_connection_age = absl::ZeroDuration();
  bool reflection = true;
  DispatcherOptions calls;
};

class Server final : public runtime::Service {
 public:
  // `dispatcher` is the one on which the services' methods are made; it and `services` outlive the
  // server. Each service is given once.
  Server(const ServerOptions& options, Dispatcher& dispatcher,
         std::vector<grpc::Service*> services);
  ~Server() override;

  std::string_view name() const override { return "grpc"; }
  // UNAVAILABLE with the system's reason when it cannot listen. Health is SERVING afterwards, for
  // the server as a whole and for each service.
  absl::Status Start() override;
  // Health goes NOT_SERVING, new calls are refused, running and waiting ones may end within
  // drain_timeout, the rest is cancelled. A handler that ignores its cancellation holds up the stop
  // until it returns, which is logged.
  void Stop() override;

  // After Start.
  int port() const { return port_; }
  // Tells health checks whether the server should get calls, for all services.
  void SetServing(bool serving);
  void SetServing(const std::string& service, bool serving) { health_.Set(service, serving); }

 private:
  std::string Target() const;

  const ServerOptions options_;
  Dispatcher& dispatcher_;
  const std::vector<grpc::Service*> services_;
  HealthService health_;
  std::unique_ptr<grpc::Server> server_;
  int port_ = 0;
  bool stopped_ = false;
};

}  // namespace saldo::rpc
