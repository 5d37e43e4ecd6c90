// WriteEvents, one event a call: against an empty call on the same scaffolding, with few and with
// many callers, on one account and on many, now and a year back.
#include <atomic>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "bench/cpu_usage.h"
#include "bench/harness.h"
#include "bench/ledger.h"
#include "bench/stack.h"
#include "bench/subjects.h"
#include "bench/unary_load.h"
#include "common/base/status_macros.h"
#include "common/devstack/child_process.h"
#include "common/devstack/files.h"
#include "common/devstack/loopback.h"
#include "grpcpp/support/slice.h"

namespace saldo::bench {
namespace {

constexpr const char* kDatabase = "ledger_write";
constexpr int kManyCallers = 2000;
constexpr int64_t kAccounts = 100'000;
constexpr int64_t kSecondsOfYear = 365 * 86'400;

// Where the events of a load go.
struct Shape {
  const char* type = kFee;
  int64_t accounts = kAccounts;
  bool year_back = false;
};

// Requests of one event each, made before the load begins, so that the callers, who share the
// machine with the server, cost little more than those of an empty call.
class Requests {
 public:
  Requests(std::string run, const Shape& shape) : run_(std::move(run)) {
    for (int64_t client = 0; client < shape.accounts; ++client) {
      v1::WriteEventsRequest request;
      *request.add_events() = BenchEvent(shape.type, client);
      if (shape.year_back) {
        request.mutable_events(0)->mutable_occurred_at()->set_seconds(
            absl::ToUnixSeconds(absl::Now()) - kSecondsOfYear);
      }
      events_.push_back(request.SerializeAsString());
    }
  }

  grpc::ByteBuffer operator()(int64_t number) const {
    v1::WriteEventsRequest id;
    id.set_request_id(absl::StrCat(run_, "-", number));
    const uint64_t random = Scramble(static_cast<uint64_t>(number));
    // Two messages one after the other are one message with the fields of both.
    const grpc::Slice slice(id.SerializeAsString() + events_[random % events_.size()]);
    return grpc::ByteBuffer(&slice, 1);
  }

 private:
  const std::string run_;
  std::vector<std::string> events_;
};

class LedgerWriteBench {
 public:
  explicit LedgerWriteBench(const Context& context)
      : context_(context),
        stack_(context.stack),
        warm_up_(absl::Seconds(context.quick ? 0.5 : 2)),
        time_(absl::Seconds(context.quick ? 1 : 5)),
        pairs_(context.quick ? 2 : 3) {}

  absl::Status Run(Report& report) {
    SALDO_RETURN_IF_ERROR(stack_.CreateDatabase(kDatabase));
    SALDO_ASSIGN_OR_RETURN(server_, StartLedger(stack_, kDatabase));
    SALDO_RETURN_IF_ERROR(AgainstEcho(report));
    SALDO_RETURN_IF_ERROR(HotAgainstUniform(report));
    SALDO_RETURN_IF_ERROR(BackAgainstNow(report));
    SALDO_RETURN_IF_ERROR(server_.Stop());
    return stack_.postgres().DropDatabase(kDatabase);
  }

 private:
  absl::Status AgainstEcho(Report& report) {
    SALDO_ASSIGN_OR_RETURN(const std::unique_ptr<devstack::ChildProcess> echo, StartEcho());
    SALDO_RETURN_IF_ERROR(Write("warm up", {}, kManyCallers).status());
    SALDO_ASSIGN_OR_RETURN(const Pairs pairs,
                           MeasurePairs(
                               pairs_, [this](int) { return Write("write", {}, kManyCallers); },
                               [this](int) { return Echo(kManyCallers); }));
    report.Set("write_unary_vs_echo", pairs.MedianRatio(), "pairs " + pairs.Ratios());
    report.Set("write_unary_per_s", Median(pairs.a));
    report.Set("echo_per_s", Median(pairs.b));
    SALDO_ASSIGN_OR_RETURN(const double some, Write("write 64", {}, 64));
    report.Set("write_unary_64_per_s", some);
    echo->Stop(absl::Seconds(10));
    return absl::OkStatus();
  }

  absl::Status HotAgainstUniform(Report& report) {
    const Shape hot{.type = kWallet, .accounts = 1};
    const Shape uniform{.type = kWallet};
    SALDO_RETURN_IF_ERROR(Write("warm up", uniform, kManyCallers).status());
    SALDO_ASSIGN_OR_RETURN(const Pairs pairs,
                           MeasurePairs(
                               pairs_, [&](int) { return Write("hot", hot, kManyCallers); },
                               [&](int) { return Write("uniform", uniform, kManyCallers); }));
    report.Set("hot_vs_uniform", pairs.MedianRatio(), "pairs " + pairs.Ratios());
    report.Set("write_hot_per_s", Median(pairs.a));
    report.Set("write_limited_per_s", Median(pairs.b));
    return absl::OkStatus();
  }

  absl::Status BackAgainstNow(Report& report) {
    SALDO_ASSIGN_OR_RETURN(
        const Pairs pairs,
        MeasurePairs(
            pairs_, [&](int) { return Write("back", {.year_back = true}, kManyCallers); },
            [&](int) { return Write("now", {}, kManyCallers); }));
    report.Set("backdate_vs_now", pairs.MedianRatio(), "pairs " + pairs.Ratios());
    return absl::OkStatus();
  }

  absl::StatusOr<std::unique_ptr<devstack::ChildProcess>> StartEcho() {
    SALDO_ASSIGN_OR_RETURN(echo_port_, devstack::FreePort());
    devstack::ChildOptions options;
    options.name = "echo";
    SALDO_ASSIGN_OR_RETURN(const std::string path, devstack::SiblingProgram("saldo-bench"));
    options.argv = {path, absl::StrCat("--echo-server=", echo_port_)};
    options.log_file = stack_.File("echo.log");
    return devstack::ChildProcess::Start(std::move(options));
  }

  absl::StatusOr<double> Write(const std::string& name, const Shape& shape, int callers) {
    const Requests requests(absl::StrCat("run", ++runs_), shape);
    return Measure(name, {.port = server_.grpc_port,
                          .method = kWriteMethod,
                          .callers = callers,
                          .request = [&requests](int64_t number) { return requests(number); }});
  }

  absl::StatusOr<double> Echo(int callers) {
    const grpc::ByteBuffer empty = [] {
      const grpc::Slice nothing("");
      return grpc::ByteBuffer(&nothing, 1);
    }();
    return Measure("echo", {.port = echo_port_,
                            .method = kWriteMethod,
                            .callers = callers,
                            .request = [empty](int64_t) { return empty; }});
  }

  absl::StatusOr<double> Measure(const std::string& name, UnaryLoad load) {
    load.warm_up = warm_up_;
    load.time = time_;
    const CpuTimes before = Cpu();
    const absl::Time begin = absl::Now();
    SALDO_ASSIGN_OR_RETURN(const LoadResult result, RunLoad(context_, load));
    Say(absl::StrFormat("ledger: %s %.0f/s, p50 %.1f ms, p99 %.1f ms", name, result.per_second,
                        Percentile(result.answer_ms, 50), Percentile(result.answer_ms, 99)));
    if (context_.verbose) {
      const double seconds = absl::ToDoubleSeconds(absl::Now() - begin);
      absl::FPrintF(stderr, "%s", CpuTable(before, Cpu(), seconds));
    }
    return result.per_second;
  }

  CpuTimes Cpu() {
    CpuTimes times = ServerCpu(stack_);
    if (server_.child->running()) AddThreads("server", server_.child->pid(), &times);
    return times;
  }

  const Context& context_;
  Stack& stack_;
  const absl::Duration warm_up_;
  const absl::Duration time_;
  const int pairs_;
  Program server_;
  int echo_port_ = 0;
  int runs_ = 0;
};

}  // namespace

Benchmark LedgerWrite() {
  return {.figures = {{"write_unary_vs_echo", "ratio", AtLeast(0.7)},
                      {"write_unary_per_s", "1/s"},
                      {"echo_per_s", "1/s"},
                      {"write_unary_64_per_s", "1/s"},
                      {"hot_vs_uniform", "ratio", AtLeast(0.9)},
                      {"write_hot_per_s", "1/s"},
                      {"write_limited_per_s", "1/s"},
                      {"backdate_vs_now", "ratio", AtLeast(0.8)}},
          .run = [](const Context& context, Report& report) {
            return LedgerWriteBench(context).Run(report);
          }};
}

}  // namespace saldo::bench
