#include "common/rpc/config.h"

#include "absl/status/status.h"

namespace saldo::rpc {
namespace {

using absl::Hours;
using absl::Milliseconds;
using absl::Minutes;
using absl::Seconds;
using absl::ZeroDuration;

void BindCalls(config::Binder& b, DispatcherOptions& c) {
  b.Int("worker_threads", &c.worker_threads, {1, 512}, "Calls that are handled at once");
  b.Int("queue_capacity", &c.queue_capacity, {1, 1'000'000},
        "Calls that may wait for a worker thread; more get RESOURCE_EXHAUSTED at once");
  b.Int("async_calls_max", &c.async_calls_max, {1, 1'000'000},
        "Unanswered calls of methods that answer later; more get RESOURCE_EXHAUSTED at once");
  b.Duration("default_deadline", &c.default_deadline, {Milliseconds(1), Hours(1)},
             "The deadline of calls that bring none");
  b.Duration("max_deadline", &c.max_deadline, {Milliseconds(1), Hours(1)},
             "The latest deadline that a call may have; later ones are cut to it");
  b.Duration("retry_delay", &c.retry_delay, {Milliseconds(1), Minutes(1)},
             "What RetryInfo tells callers that were refused");
  b.Duration("slow_call", &c.slow_call, {ZeroDuration(), Hours(1)},
             "Calls that take longer are logged at level info");
  b.Bool("allow_log_level_metadata", &c.allow_log_level_metadata,
         "Whether the header log_level shows more of the log of that call");
  b.Check([&c] {
    return c.default_deadline <= c.max_deadline
               ? absl::OkStatus()
               : absl::InvalidArgumentError("default_deadline must not exceed max_deadline");
  });
}

}  // namespace

void Bind(config::Binder& b, ServerOptions& c) {
  b.String("address", &c.address, {1, 255}, "Local address or name to listen on; :: for IPv6");
  b.Int("port", &c.port, {0, 65535}, "TCP port to listen on; 0 picks a free one");
  b.Bytes("max_receive_size", &c.max_receive_bytes, {1024, 512 * config::kMiB},
          "The largest message that is taken in");
  b.Bytes("max_send_size", &c.max_send_bytes, {1024, 512 * config::kMiB},
          "The largest message that is sent");
  b.Int("max_concurrent_streams", &c.max_concurrent_streams, {1, 1'000'000},
        "Calls under way on one connection; more wait at the client");
  b.Duration("drain_timeout", &c.drain_timeout, {ZeroDuration(), Minutes(10)},
             "How long a stop waits for running calls before it cancels them");
  b.Duration("keepalive_time", &c.keepalive_time, {Seconds(1), Hours(2)},
             "Silent connections are probed after this time");
  b.Duration("keepalive_timeout", &c.keepalive_timeout, {Milliseconds(100), Minutes(10)},
             "A probed connection is closed when no answer comes within this time");
  b.Duration("keepalive_client_min", &c.keepalive_client_min, {Milliseconds(1), Hours(1)},
             "Clients that probe more often than this are disconnected");
  b.Duration("max_connection_age", &c.max_connection_age, {ZeroDuration(), Hours(240)},
             "Connections are asked to reconnect at this age; 0s never");
  b.Bool("reflection", &c.reflection, "Whether clients may list services and their schemas");
  BindCalls(b, c.calls);
}

}  // namespace saldo::rpc
