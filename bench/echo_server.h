// A server whose only call does nothing: what the scaffolding of calls costs by itself. Run as
// "saldo-bench --echo-server=PORT", in a process of its own as saldo-server is.
#pragma once

#include "absl/status/status.h"

namespace saldo::bench {

// Serves saldo.v1.AccountService/WriteEvents, answered empty at once, until SIGTERM.
absl::Status ServeEcho(int port);

}  // namespace saldo::bench
