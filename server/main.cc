// saldo-server: only composes.
#include <memory>
#include <utility>

#include "common/program/program.h"
#include "common/rpc/grpc_log.h"
#include "server/app.h"
#include "server/config.h"

int main(int argc, char** argv) {
  saldo::server::ServerConfig config;
  return saldo::program::Run({.name = "saldo-server",
                              .summary = "Serves Saldo's gRPC API and runs its background jobs.",
                              .bind = [&](saldo::config::Binder& binder) { Bind(binder, config); },
                              .log = config.log,
                              .make_app =
                                  [&](saldo::program::Environment environment) {
                                    saldo::rpc::RouteGrpcLog();
                                    return std::make_unique<saldo::server::App>(
                                        config, std::move(environment));
                                  }},
                             argc, argv);
}
