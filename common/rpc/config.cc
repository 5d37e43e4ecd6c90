#include "common/rpc/config.h"

#include "absl/status/status.h"

namespace saldo::rpc {
namespace {

using absl::Hours;
using absl::Milliseconds;
using absl::Minutes;
using absl::Seconds;
using absl::ZeroDuration;

void BindCalls(config::Binder& binder, DispatcherOptions& options) {
  binder.Int("worker_threads", &options.worker_threads, {1, 512}, "Calls that are handled at once");
  binder.Int("queue_capacity", &options.queue_capacity, {1, 1'000'000},
             "Calls that may wait for a worker thread; more get RESOURCE_EXHAUSTED at once");
  binder.Int("async_calls_max", &options.async_calls_max, {1, 1'000'000},
             "Unanswered calls of methods that answer later; more get RESOURCE_EXHAUSTED at once");
  binder.Int("streams_max", &options.streams_max, {1, 1'000'000},
             "Open streams; more get RESOURCE_EXHAUSTED at once");
  binder.Int("stream_window", &options.stream_window, {1, 100'000},
             "Messages of one stream under way; no more are read until answers are sent");
  binder.Bytes("stream_window_size", &options.stream_window_bytes, {1024, 1024 * config::kMiB},
               "The size of the messages of one stream under way; no more are read above it");
  binder.Duration("default_deadline", &options.default_deadline, {Milliseconds(1), Hours(1)},
                  "The deadline of calls that bring none, and of each message of a stream");
  binder.Duration("max_deadline", &options.max_deadline, {Milliseconds(1), Hours(1)},
                  "The latest deadline that a call may have; later ones are cut to it");
  binder.Duration("retry_delay", &options.retry_delay, {Milliseconds(1), Minutes(1)},
                  "What RetryInfo tells callers that were refused");
  binder.Duration("slow_call", &options.slow_call, {ZeroDuration(), Hours(1)},
                  "Calls that take longer are logged at level info");
  binder.Bool("allow_log_level_metadata", &options.allow_log_level_metadata,
              "Whether the header log_level shows more of the log of that call");
  binder.Check([&options] {
    return options.default_deadline <= options.max_deadline
               ? absl::OkStatus()
               : absl::InvalidArgumentError("default_deadline must not exceed max_deadline");
  });
}

}  // namespace

void Bind(config::Binder& binder, ServerOptions& options) {
  binder.String("address", &options.address, {1, 255},
                "Local address or name to listen on; :: for IPv6");
  binder.Int("port", &options.port, {0, 65535}, "TCP port to listen on; 0 picks a free one");
  binder.Bytes("max_receive_size", &options.max_receive_bytes, {1024, 512 * config::kMiB},
               "The largest message that is taken in");
  binder.Bytes("max_send_size", &options.max_send_bytes, {1024, 512 * config::kMiB},
               "The largest message that is sent");
  binder.Int("max_concurrent_streams", &options.max_concurrent_streams, {1, 1'000'000},
             "Calls under way on one connection; more wait at the client");
  binder.Duration("drain_timeout", &options.drain_timeout, {ZeroDuration(), Minutes(10)},
                  "How long a stop waits for running calls before it cancels them");
  binder.Duration("keepalive_time", &options.keepalive_time, {Seconds(1), Hours(2)},
                  "Silent connections are probed after this time");
  binder.Duration("keepalive_timeout", &options.keepalive_timeout, {Milliseconds(100), Minutes(10)},
                  "A probed connection is closed when no answer comes within this time");
  binder.Duration("keepalive_client_min", &options.keepalive_client_min,
                  {Milliseconds(1), Hours(1)},
                  "Clients that probe more often than this are disconnected");
  binder.Duration("max_connection_age", &options.max_connection_age, {ZeroDuration(), Hours(240)},
                  "Connections are asked to reconnect at this age; 0s never");
  binder.Bool("reflection", &options.reflection,
              "Whether clients may list services and their schemas");
  BindCalls(binder, options.calls);
}

}  // namespace saldo::rpc
