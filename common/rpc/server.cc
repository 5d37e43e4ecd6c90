#include "common/rpc/server.h"

#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <limits>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/observability/log.h"
#include "common/runtime/stop_signal.h"
#include "common/runtime/thread.h"
#include "grpcpp/ext/proto_server_reflection_plugin.h"
#include "grpcpp/impl/server_builder_option.h"
#include "grpcpp/impl/server_builder_plugin.h"
#include "grpcpp/security/server_credentials.h"
#include "grpcpp/server_builder.h"

namespace saldo::rpc {
namespace {

constexpr absl::Duration kStuckLogInterval = absl::Seconds(5);

int Milliseconds(absl::Duration duration) {
  const int64_t ms = absl::ToInt64Milliseconds(duration);
  return static_cast<int>(std::min<int64_t>(ms, std::numeric_limits<int>::max()));
}

// Linking the reflection library turns it on for every server of the process; this decides for one.
class ReflectionOption final : public grpc::ServerBuilderOption {
 public:
  explicit ReflectionOption(bool on) : on_(on) {}
  void UpdateArguments(grpc::ChannelArguments*) override {}
  void UpdatePlugins(std::vector<std::unique_ptr<grpc::ServerBuilderPlugin>>* plugins) override {
    auto reflection = std::make_unique<grpc::reflection::ProtoServerReflectionPlugin>();
    std::erase_if(*plugins,
                  [&](const auto& plugin) { return plugin->name() == reflection->name(); });
    if (on_) plugins->push_back(std::move(reflection));
  }

 private:
  const bool on_;
};

void SetLimits(const ServerOptions& options, grpc::ServerBuilder* builder) {
  builder->SetMaxReceiveMessageSize(options.max_receive_bytes);
  builder->SetMaxSendMessageSize(options.max_send_bytes);
  // Otherwise a second server on the same port starts, and takes some of the connections.
  builder->AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder->AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, options.max_concurrent_streams);
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, Milliseconds(options.keepalive_time));
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS,
                              Milliseconds(options.keepalive_timeout));
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder->AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
                              Milliseconds(options.keepalive_client_min));
  if (options.max_connection_age > absl::ZeroDuration()) {
    builder->AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_MS,
                                Milliseconds(options.max_connection_age));
    builder->AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_GRACE_MS,
                                Milliseconds(options.calls.max_deadline));
  }
  builder->SetOption(std::make_unique<ReflectionOption>(options.reflection));
}

// gRPC does not tell why it could not listen, so this tries again the plain way.
std::string WhyNotListening(const std::string& address, int port) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  addrinfo* found = nullptr;
  const int error = getaddrinfo(address.c_str(), std::to_string(port).c_str(), &hints, &found);
  if (error != 0) return gai_strerror(error);
  std::string why = "unknown reason";
  for (const addrinfo* info = found; info != nullptr; info = info->ai_next) {
    const int socket_fd = socket(info->ai_family, info->ai_socktype | SOCK_CLOEXEC, 0);
    if (socket_fd < 0 || bind(socket_fd, info->ai_addr, info->ai_addrlen) != 0 ||
        listen(socket_fd, 1) != 0) {
      why = std::strerror(errno);
    }
    if (socket_fd >= 0) close(socket_fd);
  }
  freeaddrinfo(found);
  return why;
}

}  // namespace

Server::Server(const ServerOptions& options, Dispatcher& dispatcher,
               std::vector<grpc::Service*> services)
    : options_(options), dispatcher_(dispatcher), services_(std::move(services)) {}

Server::~Server() { Stop(); }

std::string Server::Target() const {
  const bool ipv6 = absl::StrContains(options_.address, ":");
  return absl::StrCat(ipv6 ? "[" : "", options_.address, ipv6 ? "]:" : ":", options_.port);
}

absl::Status Server::Start() {
  grpc::ServerBuilder builder;
  SetLimits(options_, &builder);
  builder.AddListeningPort(Target(), grpc::InsecureServerCredentials(), &port_);
  builder.RegisterService(&health_);
  for (grpc::Service* service : services_) builder.RegisterService(service);
  // Before gRPC hands out the first call.
  dispatcher_.Start();
  server_ = builder.BuildAndStart();
  if (server_ == nullptr || port_ == 0) {
    return absl::UnavailableError(absl::StrCat("cannot listen on ", Target(), ": ",
                                               WhyNotListening(options_.address, options_.port)));
  }
  SetServing(true);
  log::Info("grpc server listens", {{"address", options_.address}, {"port", port_}});
  return absl::OkStatus();
}

void Server::SetServing(bool serving) {
  health_.Set("", serving);
  for (const std::string& service : dispatcher_.services()) health_.Set(service, serving);
}

void Server::Stop() {
  if (std::exchange(stopped_, true)) return;
  health_.Shutdown();
  if (server_ != nullptr) {
    runtime::StopSignal done;
    // Shutdown returns only when the last call is answered, so that a handler which is stuck would
    // otherwise look like a server that hangs without a reason.
    runtime::Thread watch("grpc-stop", [&] {
      absl::Duration wait = options_.drain_timeout + kStuckLogInterval;
      while (done.WaitFor(wait)) {
        log::Warning("grpc server still waits for calls that were cancelled",
                     {{"calls", dispatcher_.in_flight()}});
        wait = kStuckLogInterval;
      }
    });
    const absl::Time deadline = absl::Now() + options_.drain_timeout;
    // gRPC cancels one call after the other, and a worker freed by the first would begin another.
    dispatcher_.RunNoneAfter(deadline);
    dispatcher_.EndStreams();
    server_->Shutdown(absl::ToChronoTime(deadline));
    done.Stop();
  }
  dispatcher_.Stop();
}

}  // namespace saldo::rpc
