// CreatePackageV1 with 64 callers, and the same transaction sent to PostgreSQL without a server in
// between, by as many connections as the server's pool has.
#include <atomic>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "bench/cpu_usage.h"
#include "bench/create_load.h"
#include "bench/harness.h"
#include "bench/stack.h"
#include "bench/subjects.h"
#include "common/base/call_context.h"
#include "common/base/status_macros.h"
#include "common/postgres/connection.h"
#include "common/postgres/transaction.h"
#include "common/runtime/thread.h"
#include "server/config.h"
#include "server/outbox/outbox.h"

namespace saldo::bench {
namespace {

constexpr const char* kDatabase = "creates";
constexpr const char* kTopic = "bench-create";
constexpr int kCallers = 64;
constexpr absl::Duration kCallTimeout = absl::Seconds(30);

// As server/packages/store.cc has it.
constexpr postgres::Statement kInsert{
    "bench.insert",
    "INSERT INTO packages (title, material, maximum_volume, reusable) VALUES ($1, $2, $3, $4) "
    "RETURNING id, created, nextval('package_event_id_seq')"};
// What the event of such a package takes.
constexpr size_t kPayloadBytes = 150;

// One connection that runs the transaction again and again.
class SqlCaller {
 public:
  SqlCaller(std::unique_ptr<postgres::Connection> connection, std::atomic<int64_t>& done)
      : connection_(std::move(connection)),
        done_(done),
        payload_(kPayloadBytes, 'x'),
        thread_("sql", [this] { Run(); }) {}

  // The first error.
  absl::Status Stop() {
    stop_.store(true, std::memory_order_relaxed);
    thread_.Join();
    return status_;
  }

 private:
  void Run() {
    while (status_.ok() && !stop_.load(std::memory_order_relaxed)) {
      status_ = Create();
      if (status_.ok()) done_.fetch_add(1, std::memory_order_relaxed);
    }
  }

  absl::Status Create() {
    return postgres::RunTransaction(
        *connection_, CallContext::WithTimeout(kCallTimeout), {.name = "bench.create"},
        [&](postgres::Transaction& tx) -> absl::Status {
          SALDO_ASSIGN_OR_RETURN(postgres::Result result,
                                 tx.Query(kInsert, "box", "cardboard", 1000.0f, true));
          SALDO_ASSIGN_OR_RETURN(const auto row,
                                 (std::move(result).One<int64_t, absl::Time, int64_t>()));
          const outbox::Message message{.topic = kTopic,
                                        .key = absl::StrCat(std::get<0>(row)),
                                        .payload = payload_,
                                        .type = "hablof.proto.v1.PackageEvent"};
          return outbox_.Append(tx, absl::MakeConstSpan(&message, 1));
        });
  }

  const std::unique_ptr<postgres::Connection> connection_;
  std::atomic<int64_t>& done_;
  const std::string payload_;
  const outbox::Outbox outbox_;
  std::atomic<bool> stop_{false};
  absl::Status status_;  // of the thread, and after it of Stop's caller
  runtime::Thread thread_;
};

class CreateBench {
 public:
  explicit CreateBench(const Context& context)
      : context_(context),
        stack_(context.stack),
        warm_up_(absl::Seconds(context.quick ? 0.5 : 1)),
        time_(absl::Seconds(context.quick ? 2 : 5)),
        connections_(server::ServerConfig().postgres.max_connections) {}

  absl::Status Run(Report& report) {
    Say(absl::StrFormat("create: %d callers against %d connections", kCallers, connections_));
    SALDO_RETURN_IF_ERROR(stack_.CreateDatabase(kDatabase));
    SALDO_ASSIGN_OR_RETURN(server_,
                           stack_.StartProgram("saldo-server", kDatabase,
                                               {absl::StrCat("--packages.topic=", kTopic)}));
    SALDO_RETURN_IF_ERROR(stack_.AwaitReady(server_));
    SALDO_ASSIGN_OR_RETURN(const Pairs pairs,
                           MeasurePairs(
                               context_.quick ? 2 : 3, [this](int) { return Rpc(); },
                               [this](int) { return Sql("sql"); }));
    SALDO_RETURN_IF_ERROR(server_.Stop());
    SALDO_ASSIGN_OR_RETURN(const double alone, Sql("sql, no server"));
    report.Set("create_vs_sql", pairs.MedianRatio(), "pairs " + pairs.Ratios());
    report.Set("create_per_s", Median(pairs.a));
    report.Set("sql_per_s", Median(pairs.b), "the server's jobs run, as they do for create_per_s");
    report.Set("sql_alone_per_s", alone, "without the server's jobs: nothing gets a seq");
    return stack_.postgres().DropDatabase(kDatabase);
  }

 private:
  absl::StatusOr<double> Rpc() {
    const CpuTimes before = Cpu();
    const absl::Time begin = absl::Now();
    SALDO_ASSIGN_OR_RETURN(const double rate,
                           ClosedLoop(context_, server_.grpc_port, kCallers, warm_up_, time_));
    Tell("rpc", rate, before, begin);
    return rate;
  }

  absl::StatusOr<double> Sql(const std::string& name) {
    const CpuTimes before = Cpu();
    const absl::Time start = absl::Now();
    std::atomic<int64_t> done{0};
    std::vector<std::unique_ptr<SqlCaller>> callers;
    for (int i = 0; i < connections_; ++i) {
      SALDO_ASSIGN_OR_RETURN(auto connection, stack_.Connect(kDatabase));
      callers.push_back(std::make_unique<SqlCaller>(std::move(connection), done));
    }
    absl::Status status = Wait(context_, warm_up_);
    const absl::Time begin = absl::Now();
    const int64_t first = done.load();
    status.Update(Wait(context_, time_));
    const int64_t count = done.load() - first;
    const double rate = static_cast<double>(count) / absl::ToDoubleSeconds(absl::Now() - begin);
    Tell(name, rate, before, start);
    for (const auto& caller : callers) status.Update(caller->Stop());
    SALDO_RETURN_IF_ERROR(status);
    return rate;
  }

  CpuTimes Cpu() {
    CpuTimes times = ServerCpu(stack_);
    if (server_.child->running()) AddThreads("server", server_.child->pid(), &times);
    return times;
  }

  void Tell(const std::string& who, double rate, const CpuTimes& before, absl::Time begin) {
    Say(absl::StrFormat("create: %s %.0f/s", who, rate));
    if (!context_.verbose) return;
    const double seconds = absl::ToDoubleSeconds(absl::Now() - begin);
    absl::FPrintF(stderr, "%s", CpuTable(before, Cpu(), seconds));
  }

  const Context& context_;
  Stack& stack_;
  const absl::Duration warm_up_;
  const absl::Duration time_;
  const int connections_;
  Program server_;
};

}  // namespace

Benchmark Create() {
  return {.figures = {{"create_vs_sql", "ratio", AtLeast(0.7)},
                      {"create_per_s", "1/s"},
                      {"sql_per_s", "1/s"},
                      {"sql_alone_per_s", "1/s"}},
          .run = [](const Context& context, Report& report) {
            return CreateBench(context).Run(report);
          }};
}

}  // namespace saldo::bench
