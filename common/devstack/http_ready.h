// Waits for servers that tell by HTTP whether they serve.
#pragma once

#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/devstack/child_process.h"
#include "common/runtime/stop_signal.h"

namespace saldo::devstack {

struct HttpReady {
  int port = 0;  // of 127.0.0.1
  std::string path = "/";
  absl::Duration timeout = absl::Seconds(30);
  const runtime::StopSignal* interrupt = nullptr;  // stopping it ends the wait
};

// OK once `server` answers 200 there, or whoever has that port before `server` fails to take it: so
// ask a port that nobody else would have. UNAVAILABLE with the end of its log when it ends before,
// CANCELLED when interrupted.
absl::Status AwaitHttp(const ChildProcess& server, const HttpReady& ready);

// Calls `start`, which takes free ports, again when somebody else took one of them meanwhile; a few
// times at most.
absl::Status StartOnFreePorts(absl::FunctionRef<absl::Status()> start);

}  // namespace saldo::devstack
