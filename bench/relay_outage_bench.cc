// The relay's memory while Kafka does not answer, and how soon it has caught up afterwards.
#include <string>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "bench/cpu_usage.h"
#include "bench/create_load.h"
#include "bench/harness.h"
#include "bench/prefill.h"
#include "bench/stack.h"
#include "bench/subjects.h"
#include "common/base/call_context.h"
#include "common/base/status_macros.h"
#include "retranslator/config.h"

namespace saldo::bench {
namespace {

constexpr const char* kTopic = "bench-outage";
constexpr const char* kDatabase = "outage";
constexpr double kRate = 1'200;
// Kafka is given this backlog at once, so that the relay's bounds are reached and not just neared.
constexpr int64_t kBacklog = 200'000;
constexpr absl::Duration kTimeout = absl::Minutes(2);

constexpr postgres::Statement kBehind{
    "bench.behind",
    "SELECT (SELECT count(*) FROM batches WHERE batch_id > s.scanned_to), s.last_seq - c.seq, "
    "s.last_seq FROM sequencer AS s, cursors AS c WHERE c.consumer = 'relay'"};

// What the relay's configuration allows it to hold: the window's messages at about 1 KiB each, and
// their bytes; the chunks read ahead and the libraries are the rest.
double BoundMb() {
  constexpr double kMiB = 1 << 20, kRestMb = 64;
  const retranslator::PipelineOptions relay = retranslator::RetranslatorConfig().relay;
  return relay.window_messages_max * 1024.0 / kMiB +
         static_cast<double>(relay.window_bytes_max + relay.read.bytes) / kMiB + kRestMb;
}

absl::Status AwaitDrained(const Context& context, const Program& relay, int64_t expected) {
  SALDO_ASSIGN_OR_RETURN(const auto connection, context.stack.Connect(kDatabase));
  return WaitUntil(context, "the relay catches up", kTimeout, absl::Milliseconds(20),
                   [&]() -> absl::StatusOr<bool> {
                     SALDO_RETURN_IF_ERROR(relay.Check());
                     SALDO_ASSIGN_OR_RETURN(
                         postgres::Result result,
                         connection->Query(CallContext::WithTimeout(kTimeout), kBehind));
                     SALDO_ASSIGN_OR_RETURN(const auto row,
                                            (std::move(result).One<int64_t, int64_t, int64_t>()));
                     const auto& [unsequenced, unsent, last_seq] = row;
                     return unsequenced == 0 && unsent == 0 && last_seq == expected;
                   });
}

absl::Status Run(const Context& context, Report& report) {
  Stack& stack = context.stack;
  const absl::Duration outage = absl::Seconds(context.quick ? 15 : 60);
  SALDO_RETURN_IF_ERROR(stack.CreateDatabase(kDatabase));
  SALDO_RETURN_IF_ERROR(stack.CreateTopic(kTopic));
  SALDO_ASSIGN_OR_RETURN(
      Program server,
      stack.StartProgram("saldo-server", kDatabase, {absl::StrCat("--packages.topic=", kTopic)}));
  SALDO_ASSIGN_OR_RETURN(Program relay, stack.StartProgram("saldo-retranslator", kDatabase, {}));
  SALDO_RETURN_IF_ERROR(stack.AwaitReady(server));
  SALDO_RETURN_IF_ERROR(stack.AwaitReady(relay));
  // It has been working when Kafka goes away.
  SALDO_ASSIGN_OR_RETURN(const OpenLoopResult warm_up,
                         OpenLoop(context, server.grpc_port, kRate, absl::Seconds(2)));
  SALDO_RETURN_IF_ERROR(AwaitDrained(context, relay, warm_up.created));
  SALDO_ASSIGN_OR_RETURN(const double before_mb, PeakRssMb(relay.child->pid()));

  Say(absl::StrFormat("relay: %s without Kafka, %d messages and %.0f creates/s",
                      absl::FormatDuration(outage), kBacklog, kRate));
  SALDO_RETURN_IF_ERROR(stack.kafka().Pause());
  absl::Cleanup go_on = [&] { stack.kafka().Continue().IgnoreError(); };
  {
    SALDO_ASSIGN_OR_RETURN(const auto connection, stack.Connect(kDatabase));
    SALDO_RETURN_IF_ERROR(PrefillCommitted(*connection, kTopic, kBacklog));
  }
  SALDO_ASSIGN_OR_RETURN(const OpenLoopResult load,
                         OpenLoop(context, server.grpc_port, kRate, outage));
  SALDO_RETURN_IF_ERROR(relay.Check());
  SALDO_ASSIGN_OR_RETURN(const double outage_mb, PeakRssMb(relay.child->pid()));
  report.Set(
      "relay_rss_mb", outage_mb,
      absl::StrFormat("peak in %s without Kafka, %.0f before; %d messages waited, %.0f creates/s",
                      absl::FormatDuration(outage), before_mb, kBacklog + load.created,
                      load.per_second));

  std::move(go_on).Cancel();
  const absl::Time back = absl::Now();
  SALDO_RETURN_IF_ERROR(stack.kafka().Continue());
  SALDO_RETURN_IF_ERROR(AwaitDrained(context, relay, warm_up.created + kBacklog + load.created));
  SALDO_ASSIGN_OR_RETURN(const double drained_mb, PeakRssMb(relay.child->pid()));
  report.Set("relay_drain_after_outage_s", absl::ToDoubleSeconds(absl::Now() - back),
             absl::StrFormat("peak memory then %.0f MiB", drained_mb));
  SALDO_RETURN_IF_ERROR(server.Stop());
  SALDO_RETURN_IF_ERROR(relay.Stop());
  return stack.postgres().DropDatabase(kDatabase);
}

}  // namespace

Benchmark RelayOutage() {
  return {
      .figures = {{"relay_rss_mb", "MiB", AtMost(BoundMb())}, {"relay_drain_after_outage_s", "s"}},
      .run = &Run};
}

}  // namespace saldo::bench
