// Small things over TCP to this machine: a free port, and probes that tell whether a server
// answers.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace saldo::devstack {

// A port of 127.0.0.1 that nobody listens on now. It lies outside the range that the kernel gives
// to outgoing connections where that leaves room, so that a server which restarts on it finds it
// free. Another program may still take it first: retry with another one then.
absl::StatusOr<int> FreePort();

// `wanted` when it is free (and not 0), else FreePort.
absl::StatusOr<int> FreePortNear(int wanted);

// A connected socket, to be closed by the caller; reads and writes on it fail after `timeout` too.
absl::StatusOr<int> ConnectLoopback(int port, absl::Duration timeout);

struct HttpAnswer {
  int code = 0;
  std::string body = "";  // at most 1 MiB
};
// One GET over HTTP/1.0. UNAVAILABLE when nothing answers.
absl::StatusOr<HttpAnswer> HttpGet(int port, const std::string& path, absl::Duration timeout);

// OK when a Kafka broker on this port answers a metadata request and lists at least one live
// broker.
absl::Status ProbeKafka(int port, absl::Duration timeout);

}  // namespace saldo::devstack
