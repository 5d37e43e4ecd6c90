// The log lines of gRPC and protobuf in our log.
#pragma once

namespace saldo::rpc {

// Call once, next to log::Configure. gRPC's level is still set by GRPC_VERBOSITY (default: error).
void RouteGrpcLog();

}  // namespace saldo::rpc
