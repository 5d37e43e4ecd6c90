// The server's options as keys of a binary's configuration.
#pragma once

#include "common/config/binder.h"
#include "common/rpc/server.h"

namespace saldo::rpc {

void Bind(config::Binder& binder, ServerOptions& options);

}  // namespace saldo::rpc
