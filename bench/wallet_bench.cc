// Transfers between wallets: against WriteEvents of the same two events, and with half of them on
// one wallet.
#include <atomic>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "bench/cpu_usage.h"
#include "bench/harness.h"
#include "bench/ledger.h"
#include "bench/stack.h"
#include "bench/subjects.h"
#include "bench/unary_load.h"
#include "common/base/status_macros.h"
#include "common/rpc/errors.h"
#include "common/runtime/thread.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/support/slice.h"
#include "saldo/v1/wallet_service.grpc.pb.h"

namespace saldo::bench {
namespace {

constexpr const char* kDatabase = "wallets";
constexpr const char* kTransferMethod = "/saldo.v1.WalletService/Transfer";
constexpr int kCallers = 2000;
constexpr int kWallets = 10'000;
constexpr int kCreators = 32;

grpc::ByteBuffer ToBuffer(const std::string& bytes) {
  const grpc::Slice slice(bytes);
  return grpc::ByteBuffer(&slice, 1);
}

// Two different ones of kWallets, for the call with this number.
struct Pair {
  size_t from, to;
};
Pair PairOf(int64_t number, bool hot) {
  const uint64_t random = Scramble(static_cast<uint64_t>(number));
  Pair pair{random % kWallets, random / kWallets % kWallets};
  // Every second call pays the first wallet or is paid by it, in turn.
  if (hot && number % 2 == 0) (number % 4 == 0 ? pair.from : pair.to) = 0;
  if (pair.from == pair.to) pair.to = (pair.to + 1) % kWallets;
  return pair;
}

class WalletBench {
 public:
  explicit WalletBench(const Context& context)
      : context_(context),
        stack_(context.stack),
        warm_up_(absl::Seconds(context.quick ? 0.5 : 2)),
        time_(absl::Seconds(context.quick ? 1 : 5)),
        pairs_(context.quick ? 2 : 3) {}

  absl::Status Run(Report& report) {
    SALDO_RETURN_IF_ERROR(stack_.CreateDatabase(kDatabase));
    SALDO_ASSIGN_OR_RETURN(server_, StartLedger(stack_, kDatabase));
    SALDO_RETURN_IF_ERROR(CreateWallets());
    SALDO_RETURN_IF_ERROR(Transfers("warm up", false).status());
    SALDO_RETURN_IF_ERROR(Writes("warm up").status());
    SALDO_ASSIGN_OR_RETURN(const Pairs to_write,
                           MeasurePairs(
                               pairs_, [this](int) { return Transfers("transfer", false); },
                               [this](int) { return Writes("write of two"); }));
    report.Set("transfer_vs_write", to_write.MedianRatio(), "pairs " + to_write.Ratios());
    report.Set("transfer_per_s", Median(to_write.a));
    report.Set("write_two_per_s", Median(to_write.b));
    SALDO_ASSIGN_OR_RETURN(const Pairs hot,
                           MeasurePairs(
                               pairs_, [this](int) { return Transfers("hot", true); },
                               [this](int) { return Transfers("uniform", false); }));
    report.Set("transfer_hot_vs_uniform", hot.MedianRatio(), "pairs " + hot.Ratios());
    SALDO_RETURN_IF_ERROR(server_.Stop());
    return stack_.postgres().DropDatabase(kDatabase);
  }

 private:
  // With an overdraft that no load uses up, so that no call is refused.
  absl::Status CreateWallets() {
    const auto channel = grpc::CreateChannel(absl::StrCat("127.0.0.1:", server_.grpc_port),
                                             grpc::InsecureChannelCredentials());
    const auto stub = v1::WalletService::NewStub(channel);
    wallets_.resize(kWallets);
    std::atomic<int> next{0};
    absl::Mutex mutex;
    absl::Status failure;
    const auto create = [&] {
      for (int i = next++; i < kWallets; i = next++) {
        v1::CreateWalletRequest request;
        request.set_request_id(absl::StrCat("wallet-", i));
        request.set_currency("RUB");
        request.set_overdraft_limit("100000000000000");
        v1::CreateWalletResponse response;
        grpc::ClientContext call;
        const grpc::Status status = stub->CreateWallet(&call, request, &response);
        wallets_[static_cast<size_t>(i)] = response.wallet_id();
        absl::MutexLock lock(&mutex);
        failure.Update(rpc::FromGrpcStatus(status));
        if (!failure.ok()) return;
      }
    };
    std::vector<runtime::Thread> threads;
    threads.reserve(kCreators);
    for (int i = 0; i < kCreators; ++i) threads.emplace_back("creator", create);
    for (runtime::Thread& thread : threads) thread.Join();
    return failure;
  }

  absl::StatusOr<double> Transfers(const std::string& name, bool hot) {
    const std::string run = absl::StrCat("run", ++runs_, "-");
    return Measure(name, kTransferMethod, [this, run, hot](int64_t number) {
      const Pair pair = PairOf(number, hot);
      v1::TransferRequest request;
      request.set_request_id(absl::StrCat(run, number));
      request.set_from_wallet_id(wallets_[pair.from]);
      request.set_to_wallet_id(wallets_[pair.to]);
      request.set_amount("12.50");
      return ToBuffer(request.SerializeAsString());
    });
  }

  // The same movement, said in events.
  absl::StatusOr<double> Writes(const std::string& name) {
    std::vector<std::string> debits, credits;
    debits.reserve(kWallets);
    credits.reserve(kWallets);
    for (int i = 0; i < kWallets; ++i) {
      v1::WriteEventsRequest request;
      v1::NewEvent& event = *request.add_events();
      event = BenchEvent(kPurse, i);
      credits.push_back(request.SerializeAsString());
      event.set_side(v1::SIDE_DEBIT);
      debits.push_back(request.SerializeAsString());
    }
    const std::string run = absl::StrCat("run", ++runs_, "-");
    return Measure(name, kWriteMethod, [&, run](int64_t number) {
      const Pair pair = PairOf(number, false);
      v1::WriteEventsRequest request;
      request.set_request_id(absl::StrCat(run, number));
      request.set_balanced(true);
      // Messages one after the other are one message with the fields of all.
      return ToBuffer(request.SerializeAsString() + debits[pair.from] + credits[pair.to]);
    });
  }

  absl::StatusOr<double> Measure(const std::string& name, const std::string& method,
                                 std::function<grpc::ByteBuffer(int64_t)> request) {
    const CpuTimes before = Cpu();
    const absl::Time begin = absl::Now();
    SALDO_ASSIGN_OR_RETURN(const LoadResult result,
                           RunLoad(context_, {.port = server_.grpc_port,
                                              .method = method,
                                              .callers = kCallers,
                                              .request = std::move(request),
                                              .warm_up = warm_up_,
                                              .time = time_}));
    Say(absl::StrFormat("wallets: %s %.0f/s, p50 %.1f ms, p99 %.1f ms", name, result.per_second,
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
  std::vector<std::string> wallets_;
  int runs_ = 0;
};

}  // namespace

Benchmark Wallets() {
  return {.figures = {{"transfer_vs_write", "ratio", AtLeast(0.8)},
                      {"transfer_per_s", "1/s"},
                      {"write_two_per_s", "1/s"},
                      {"transfer_hot_vs_uniform", "ratio", AtLeast(0.8)}},
          .run = [](const Context& context, Report& report) {
            return WalletBench(context).Run(report);
          }};
}

}  // namespace saldo::bench
