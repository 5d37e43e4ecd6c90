// GetBalance and GetTurnover at random moments of five years, with many and with few events stored.
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/substitute.h"
#include "absl/time/clock.h"
#include "bench/cpu_usage.h"
#include "bench/harness.h"
#include "bench/ledger.h"
#include "bench/ledger_fill.h"
#include "bench/stack.h"
#include "bench/subjects.h"
#include "bench/unary_load.h"
#include "common/base/status_macros.h"
#include "grpcpp/grpcpp.h"
#include "grpcpp/impl/codegen/proto_utils.h"
#include "saldo/v1/account_service.grpc.pb.h"

namespace saldo::bench {
namespace {

constexpr const char* kBalanceMethod = "/saldo.v1.AccountService/GetBalance";
constexpr const char* kTurnoverMethod = "/saldo.v1.AccountService/GetTurnover";
constexpr int kCallers = 4;
constexpr int64_t kMicrosOfDay = int64_t{86'400} * 1'000'000;
constexpr int kChecks = 20;

// $0 client, $1 microseconds since 1970 from which on, and $2 before which, events count; $3 more
// conditions
constexpr const char* kSumOfEvents =
    "SELECT coalesce(sum(CASE WHEN is_credit THEN amount ELSE -amount END), 0) FROM events JOIN "
    "subaccounts USING (subaccount_id) JOIN accounts USING (account_id) WHERE key = $0 || "
    "E'\\x1fRUB' AND occurred_at >= 'epoch'::timestamptz + $1 * interval '1 us' "
    "AND occurred_at < 'epoch'::timestamptz + $2 * interval '1 us' $3";

template <typename Request>
grpc::ByteBuffer Serialized(const Request& request) {
  grpc::ByteBuffer bytes;
  bool own = false;
  grpc::SerializationTraits<Request>::Serialize(request, &bytes, &own);
  return bytes;
}

void SetMicros(int64_t micros, v1::Moment* moment) {
  moment->mutable_time()->set_seconds(micros / 1'000'000);
  moment->mutable_time()->set_nanos(static_cast<int32_t>(micros % 1'000'000) * 1000);
}
int64_t Micros(const v1::Moment& moment) {
  return moment.time().seconds() * 1'000'000 + moment.time().nanos() / 1000;
}

// A ledger of some size with a server.
class Ledger {
 public:
  Ledger(const Context& context, std::string name, int64_t events, int64_t accounts)
      : context_(context), fill_{std::move(name), events, accounts} {}

  absl::Status Start() {
    SALDO_RETURN_IF_ERROR(context_.stack.CreateDatabase(fill_.database));
    // Its first start makes the account types.
    SALDO_ASSIGN_OR_RETURN(server_, StartLedger(context_.stack, fill_.database));
    SALDO_RETURN_IF_ERROR(server_.Stop());
    const absl::Time begin = absl::Now();
    SALDO_RETURN_IF_ERROR(FillLedger(context_, fill_));
    Say(absl::StrFormat("ledger: filled with %d events in %.0f s", fill_.events,
                        absl::ToDoubleSeconds(absl::Now() - begin)));
    SALDO_ASSIGN_OR_RETURN(server_, StartLedger(context_.stack, fill_.database));
    end_micros_ = absl::ToUnixMicros(absl::Now());
    stub_ = v1::AccountService::NewStub(grpc::CreateChannel(
        absl::StrCat("127.0.0.1:", server_.grpc_port), grpc::InsecureChannelCredentials()));
    return absl::OkStatus();
  }

  absl::Status Stop() {
    SALDO_RETURN_IF_ERROR(server_.Stop());
    return context_.stack.postgres().DropDatabase(fill_.database);
  }

  // Every moment is as likely, so next to none is the start of a day.
  v1::GetBalanceRequest BalanceRequest(uint64_t number) const {
    v1::GetBalanceRequest request;
    *request.mutable_account() = Account(number);
    SetMicros(end_micros_ - Random(number, 1, kFilledDays * kMicrosOfDay), request.mutable_at());
    return request;
  }

  v1::GetTurnoverRequest TurnoverRequest(uint64_t number) const {
    v1::GetTurnoverRequest request;
    *request.mutable_account() = Account(number);
    request.mutable_selection()->add_group_by("product");
    const int64_t to = end_micros_ - Random(number, 1, (kFilledDays - 365) * kMicrosOfDay);
    SetMicros(to - 365 * kMicrosOfDay, request.mutable_from());
    SetMicros(to, request.mutable_to());
    return request;
  }

  absl::StatusOr<std::vector<double>> Balances(int callers, absl::Duration time) {
    return Ask("balance", kBalanceMethod, callers, time, [this](int64_t number) {
      return Serialized(BalanceRequest(static_cast<uint64_t>(number) + asked_));
    });
  }
  absl::StatusOr<std::vector<double>> Turnovers(absl::Duration time) {
    return Ask("turnover", kTurnoverMethod, kCallers, time, [this](int64_t number) {
      return Serialized(TurnoverRequest(static_cast<uint64_t>(number) + asked_));
    });
  }

  // A quick answer counts only if it is right.
  absl::Status Check() {
    for (uint64_t i = 0; i < kChecks; ++i) {
      SALDO_RETURN_IF_ERROR(CheckBalance(BalanceRequest(i)));
      SALDO_RETURN_IF_ERROR(CheckTurnover(TurnoverRequest(i)));
    }
    return absl::OkStatus();
  }

 private:
  static int64_t Random(uint64_t number, uint64_t stream, int64_t below) {
    return static_cast<int64_t>(Scramble(number * 4 + stream) % static_cast<uint64_t>(below));
  }

  v1::AccountKey Account(uint64_t number) const {
    return BenchEvent(kFee, Random(number, 0, fill_.accounts)).account();
  }

  absl::StatusOr<std::vector<double>> Ask(const std::string& name, const char* method, int callers,
                                          absl::Duration time,
                                          std::function<grpc::ByteBuffer(int64_t)> request) {
    // Other questions than before.
    asked_ += 10'000'000;
    const CpuTimes before = Cpu();
    const absl::Time begin = absl::Now();
    SALDO_ASSIGN_OR_RETURN(LoadResult result, RunLoad(context_, {.port = server_.grpc_port,
                                                                 .method = method,
                                                                 .callers = callers,
                                                                 .request = std::move(request),
                                                                 .warm_up = time / 2,
                                                                 .time = time}));
    if (result.answer_ms.empty()) return absl::InternalError("a run measured nothing");
    Say(absl::StrFormat("ledger: %s with %d events: %.0f/s, p50 %.2f ms, p99 %.2f ms", name,
                        fill_.events, result.per_second, Percentile(result.answer_ms, 50),
                        Percentile(result.answer_ms, 99)));
    if (context_.verbose) {
      const double seconds = absl::ToDoubleSeconds(absl::Now() - begin);
      absl::FPrintF(stderr, "%s", CpuTable(before, Cpu(), seconds));
    }
    return std::move(result.answer_ms);
  }

  absl::Status CheckBalance(const v1::GetBalanceRequest& request) {
    grpc::ClientContext call;
    v1::GetBalanceResponse response;
    const grpc::Status status = stub_->GetBalance(&call, request, &response);
    if (!status.ok()) return absl::InternalError(status.error_message());
    if (response.balances_size() != 1) return absl::InternalError("not one balance");
    return Compare(response.balances(0).balance(), request.account(), 0, Micros(request.at()), "");
  }

  absl::Status CheckTurnover(const v1::GetTurnoverRequest& request) {
    grpc::ClientContext call;
    v1::GetTurnoverResponse response;
    const grpc::Status status = stub_->GetTurnover(&call, request, &response);
    if (!status.ok()) return absl::InternalError(status.error_message());
    std::string closing = "0";
    const int64_t from = Micros(request.from()), to = Micros(request.to());
    for (const v1::Turnover& group : response.turnovers()) {
      const std::string product =
          absl::StrCat(" AND attributes LIKE '", group.attributes().at("product"), "%'");
      SALDO_RETURN_IF_ERROR(Compare(group.closing_balance(), request.account(), 0, to, product));
      SALDO_RETURN_IF_ERROR(Compare(group.opening_balance(), request.account(), 0, from, product));
      SALDO_RETURN_IF_ERROR(
          Compare(group.credit(), request.account(), from, to, product + " AND is_credit"));
      SALDO_RETURN_IF_ERROR(Compare("-" + group.debit(), request.account(), from, to,
                                    product + " AND NOT is_credit"));
      absl::StrAppend(&closing, "+(", group.closing_balance(), ")");
    }
    // No group is missing.
    return Compare(closing, request.account(), 0, to, "");
  }

  // `amount` is what the server says: a number in SQL.
  absl::Status Compare(const std::string& amount, const v1::AccountKey& account, int64_t from,
                       int64_t to, const std::string& condition) {
    const std::string sum =
        absl::Substitute(kSumOfEvents, account.key().at("client_id"), from, to, condition);
    const absl::StatusOr<std::string> same = context_.stack.postgres().Query(
        fill_.database, absl::StrCat("SELECT (", sum, ") = ", amount));
    SALDO_RETURN_IF_ERROR(same.status());
    if (*same == "t") return absl::OkStatus();
    return absl::InternalError(absl::StrCat("the answer ", amount, " is wrong; right is: ", sum));
  }

  CpuTimes Cpu() {
    CpuTimes times = ServerCpu(context_.stack);
    AddThreads("server", server_.child->pid(), &times);
    return times;
  }

  const Context& context_;
  const LedgerFill fill_;
  Program server_;
  std::unique_ptr<v1::AccountService::Stub> stub_;
  int64_t end_micros_ = 0;
  uint64_t asked_ = 0;
};

absl::Status Measure(const Context& context, Report& report) {
  const int64_t accounts = context.quick ? 2'000 : 100'000;
  const absl::Duration time = absl::Seconds(context.quick ? 1 : 5);
  const int pairs = context.quick ? 2 : 3;
  Ledger large(context, "ledger_large", 100 * accounts, accounts);
  Ledger small(context, "ledger_small", context.quick ? 20'000 : 100'000, accounts);
  for (Ledger* ledger : {&large, &small}) {
    SALDO_RETURN_IF_ERROR(ledger->Start());
    SALDO_RETURN_IF_ERROR(ledger->Check());
  }
  std::vector<double> all;
  const auto p99 = [&](Ledger& ledger, std::vector<double>* keep) -> absl::StatusOr<double> {
    SALDO_ASSIGN_OR_RETURN(const std::vector<double> samples, ledger.Balances(kCallers, time));
    if (keep != nullptr) keep->insert(keep->end(), samples.begin(), samples.end());
    return Percentile(samples, 99);
  };
  SALDO_ASSIGN_OR_RETURN(const Pairs balances, MeasurePairs(
                                                   pairs, [&](int) { return p99(large, &all); },
                                                   [&](int) { return p99(small, nullptr); }));
  report.Set("balance_p99_ms", Median(balances.a), absl::StrCat(kCallers, " callers"));
  report.Set("balance_p50_ms", Percentile(all, 50));
  SALDO_ASSIGN_OR_RETURN(const std::vector<double> lone, large.Balances(1, time));
  report.Set("balance_lone_p99_ms", Percentile(lone, 99), "1 caller: nothing waits");
  report.Set("balance_flatness", balances.MedianRatio(), "p99, pairs " + balances.Ratios());
  SALDO_ASSIGN_OR_RETURN(const std::vector<double> turnovers, large.Turnovers(time));
  report.Set("turnover_p99_ms", Percentile(turnovers, 99), absl::StrCat(kCallers, " callers"));
  report.Set("turnover_p50_ms", Percentile(turnovers, 50));
  SALDO_RETURN_IF_ERROR(small.Stop());
  return large.Stop();
}

}  // namespace

Benchmark LedgerRead() {
  return {.figures = {{"balance_p99_ms", "ms", AtMost(5)},
                      {"balance_p50_ms", "ms"},
                      {"balance_lone_p99_ms", "ms"},
                      {"balance_flatness", "ratio", AtMost(1.5)},
                      {"turnover_p99_ms", "ms", AtMost(10)},
                      {"turnover_p50_ms", "ms"}},
          .run = Measure};
}

}  // namespace saldo::bench
