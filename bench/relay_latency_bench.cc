// From commit to Kafka at a steady rate of changes, seen by a consumer in this process.
#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "bench/cpu_usage.h"
#include "bench/create_load.h"
#include "bench/harness.h"
#include "bench/stack.h"
#include "bench/subjects.h"
#include "common/base/call_context.h"
#include "common/base/status_macros.h"
#include "common/devstack/loopback.h"
#include "common/kafka/consumer.h"
#include "common/runtime/thread.h"

namespace saldo::bench {
namespace {

constexpr const char* kTopic = "bench-latency";
constexpr const char* kDatabase = "latency";
constexpr double kRate = 1'000;
constexpr absl::Duration kTimeout = absl::Seconds(30);

// One message as it arrived.
struct Arrival {
  absl::Time committed;  // ce_time: the batch's insertion, the last statement before COMMIT
  double delay_ms;
};

// Reads the topic on a thread of its own.
class ArrivalWatch {
 public:
  static absl::StatusOr<std::unique_ptr<ArrivalWatch>> Start(const std::string& brokers) {
    kafka::ConsumerOptions options;
    options.connection.brokers = brokers;
    SALDO_ASSIGN_OR_RETURN(auto consumer, kafka::Consumer::Create(options));
    SALDO_RETURN_IF_ERROR(consumer->AssignAll(kTopic, kafka::StartFrom::kEarliest,
                                              CallContext::WithTimeout(kTimeout)));
    return std::unique_ptr<ArrivalWatch>(new ArrivalWatch(std::move(consumer)));
  }
  ~ArrivalWatch() { Stop(); }

  size_t count() const {
    absl::MutexLock lock(&mutex_);
    return arrivals_.size();
  }
  absl::Status status() const {
    absl::MutexLock lock(&mutex_);
    return status_;
  }
  std::vector<Arrival> Stop() {
    stop_.Stop();
    consumer_->Wake();
    thread_.Join();
    absl::MutexLock lock(&mutex_);
    return arrivals_;
  }

 private:
  explicit ArrivalWatch(std::unique_ptr<kafka::Consumer> consumer)
      : consumer_(std::move(consumer)), thread_("arrivals", [this] { Run(); }) {}

  void Run() {
    while (!stop_.stopped()) {
      const auto message = consumer_->Poll(absl::Milliseconds(100));
      const absl::Time now = absl::Now();
      if (message.ok() && !message->has_value()) continue;
      Arrival arrival;
      absl::Status status = message.status();
      if (status.ok()) status = Read(**message, now, &arrival);
      absl::MutexLock lock(&mutex_);
      status_.Update(status);
      if (status.ok()) arrivals_.push_back(arrival);
    }
  }

  static absl::Status Read(const kafka::ReceivedMessage& message, absl::Time now,
                           Arrival* arrival) {
    const std::string* const time = message.FindHeader("ce_time");
    std::string error;
    if (time == nullptr ||
        !absl::ParseTime(absl::RFC3339_full, *time, &arrival->committed, &error)) {
      return absl::InternalError("a message without a readable ce_time");
    }
    arrival->delay_ms = absl::ToDoubleMilliseconds(now - arrival->committed);
    return absl::OkStatus();
  }

  const std::unique_ptr<kafka::Consumer> consumer_;
  runtime::StopSignal stop_;
  mutable absl::Mutex mutex_;
  std::vector<Arrival> arrivals_ ABSL_GUARDED_BY(mutex_);
  absl::Status status_ ABSL_GUARDED_BY(mutex_);
  runtime::Thread thread_;
};

// The relay's own figure, as a cross-check: the bucket of its histogram that holds the percentile.
std::string OwnPercentileMs(int metrics_port, double percent) {
  const auto page = devstack::HttpGet(metrics_port, "/metrics", kTimeout);
  if (!page.ok()) return "?";
  std::vector<std::pair<std::string, double>> buckets;
  for (const std::string& line : std::vector<std::string>(absl::StrSplit(page->body, '\n'))) {
    constexpr char kStart[] = "saldo_relay_commit_to_ack_seconds_bucket{shard=\"0\",le=\"";
    if (line.rfind(kStart, 0) != 0) continue;
    const size_t end = line.find('"', sizeof(kStart) - 1), space = line.rfind(' ');
    double count = 0;
    if (end == std::string::npos || !absl::SimpleAtod(line.substr(space + 1), &count)) continue;
    buckets.emplace_back(line.substr(sizeof(kStart) - 1, end - sizeof(kStart) + 1), count);
  }
  if (buckets.empty()) return "?";
  for (const auto& [bound, count] : buckets) {
    double seconds = 0;
    if (count < percent / 100 * buckets.back().second) continue;
    return absl::SimpleAtod(bound, &seconds) ? absl::StrCat(seconds * 1000) : bound;
  }
  return "?";
}

absl::Status Run(const Context& context, Report& report) {
  Stack& stack = context.stack;
  const absl::Duration warm_up = absl::Seconds(context.quick ? 1 : 3);
  const absl::Duration time = absl::Seconds(context.quick ? 4 : 20);
  SALDO_RETURN_IF_ERROR(stack.CreateDatabase(kDatabase));
  SALDO_RETURN_IF_ERROR(stack.CreateTopic(kTopic));
  SALDO_ASSIGN_OR_RETURN(
      Program server,
      stack.StartProgram("saldo-server", kDatabase, {absl::StrCat("--packages.topic=", kTopic)}));
  SALDO_ASSIGN_OR_RETURN(Program relay, stack.StartProgram("saldo-retranslator", kDatabase, {}));
  SALDO_RETURN_IF_ERROR(stack.AwaitReady(server));
  SALDO_RETURN_IF_ERROR(stack.AwaitReady(relay));
  SALDO_ASSIGN_OR_RETURN(const auto watch, ArrivalWatch::Start(stack.brokers()));

  Say(absl::StrFormat("relay: %.0f creates/s for %s", kRate, absl::FormatDuration(time)));
  SALDO_RETURN_IF_ERROR(OpenLoop(context, server.grpc_port, kRate, warm_up).status());
  const absl::Time begin = absl::Now();
  CpuTimes before = ServerCpu(stack);
  AddThreads("server", server.child->pid(), &before);
  AddThreads("relay", relay.child->pid(), &before);
  SALDO_ASSIGN_OR_RETURN(const OpenLoopResult load,
                         OpenLoop(context, server.grpc_port, kRate, time));
  CpuTimes after = ServerCpu(stack);
  AddThreads("server", server.child->pid(), &after);
  AddThreads("relay", relay.child->pid(), &after);
  if (context.verbose) {
    absl::FPrintF(stderr, "%s", CpuTable(before, after, absl::ToDoubleSeconds(time)));
  }
  if (load.per_second < 0.95 * kRate) {
    return absl::ResourceExhaustedError(absl::StrFormat(
        "the server keeps up with %.0f creates/s only, not %.0f", load.per_second, kRate));
  }
  const size_t expected = static_cast<size_t>(
      load.created + static_cast<int64_t>(kRate * absl::ToDoubleSeconds(warm_up)));
  const auto all_arrived = [&]() -> absl::StatusOr<bool> {
    SALDO_RETURN_IF_ERROR(watch->status());
    SALDO_RETURN_IF_ERROR(relay.Check());
    return watch->count() >= expected;
  };
  SALDO_RETURN_IF_ERROR(WaitUntil(context, "the last message arrives", kTimeout,
                                  absl::Milliseconds(20), all_arrived));
  std::vector<double> delays;
  for (const Arrival& arrival : watch->Stop()) {
    if (arrival.committed >= begin) delays.push_back(arrival.delay_ms);
  }
  if (delays.empty()) return absl::InternalError("no message arrived");
  const std::string note = absl::StrFormat(
      "upper bound: batch's insertion to a consumer; %d changes at %.0f/s; relay's histogram <= ",
      delays.size(), load.per_second);
  report.Set("relay_commit_to_ack_p50_ms", Percentile(delays, 50),
             note + OwnPercentileMs(relay.metrics_port, 50));
  report.Set("relay_commit_to_ack_p99_ms", Percentile(delays, 99),
             note + OwnPercentileMs(relay.metrics_port, 99));
  report.Set("create_answer_p99_ms", Percentile(load.answer_ms, 99), "client's view, same load");
  SALDO_RETURN_IF_ERROR(server.Stop());
  SALDO_RETURN_IF_ERROR(relay.Stop());
  return stack.postgres().DropDatabase(kDatabase);
}

}  // namespace

Benchmark RelayLatency() {
  return {.figures = {{"relay_commit_to_ack_p50_ms", "ms", AtMost(10)},
                      {"relay_commit_to_ack_p99_ms", "ms", AtMost(50)},
                      {"create_answer_p99_ms", "ms"}},
          .run = &Run};
}

}  // namespace saldo::bench
