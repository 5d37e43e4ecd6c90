// Transfers between the wallets of two shards while servers are killed at random instants, and a
// shard's database is stopped and started.
#include <algorithm>
#include <atomic>
#include <catch2/catch.hpp>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "common/base/decimal.h"
#include "common/rpc/errors.h"
#include "common/runtime/stop_signal.h"
#include "common/runtime/thread.h"
#include "grpcpp/grpcpp.h"
#include "saldo/v1/wallet_service.grpc.pb.h"
#include "tests/support/test_env.h"
#include "tests/system/stack.h"

namespace saldo::testing {
namespace {

using Stub = v1::WalletService::Stub;

constexpr int kWallets = 10;
constexpr int kCallers = 6;
constexpr int kInitial = 1000;
constexpr absl::Duration kCallTimeout = absl::Seconds(5);

void Pause(absl::Duration duration) { runtime::StopSignal().WaitFor(duration); }

std::string Reason(const absl::Status& status) {
  google::rpc::ErrorInfo info;
  return rpc::GetDetail(status, &info) ? info.reason() : "";
}

// Has whichever server answers do it, until one gives an answer that settles it.
class Client {
 public:
  explicit Client(const Stack& stack) {
    for (int i = 0; i < stack.servers(); ++i)
      stubs_.push_back(v1::WalletService::NewStub(
          grpc::CreateChannel(stack.server_address(i), grpc::InsecureChannelCredentials())));
  }

  template <typename Request, typename Response>
  absl::Status Call(grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
                    const Request& request, Response* response) {
    while (true) {
      grpc::ClientContext context;
      context.set_deadline(absl::ToChronoTime(absl::Now() + kCallTimeout));
      Stub& stub = *stubs_[next_++ % stubs_.size()];
      const absl::Status status = rpc::FromGrpcStatus((stub.*method)(&context, request, response));
      switch (status.code()) {
        case absl::StatusCode::kUnavailable:
        case absl::StatusCode::kUnknown:
        case absl::StatusCode::kAborted:
        case absl::StatusCode::kDeadlineExceeded:
        case absl::StatusCode::kCancelled:
        case absl::StatusCode::kResourceExhausted:
          Pause(absl::Milliseconds(20));
          break;
        default:
          return status;
      }
    }
  }

 private:
  std::vector<std::unique_ptr<Stub>> stubs_;
  std::atomic<size_t> next_{0};
};

class Load {
 public:
  explicit Load(const Stack& stack) : client_(stack) {
    for (int i = 0; i < kWallets; ++i) wallets_.push_back(NewWallet(i));
    for (const std::string& wallet : wallets_) expected_[wallet] = kInitial;
  }
  void Start(uint64_t seed) {
    for (int i = 0; i < kCallers; ++i)
      callers_.emplace_back(absl::StrCat("caller-", i),
                            [this, i, seed] { Run(i, seed + static_cast<uint64_t>(i)); });
  }
  void Stop() {
    stop_.Stop();
    callers_.clear();
  }

  Client& client() { return client_; }
  int answered() const { return answered_; }
  int debited() const { return debited_; }
  std::map<std::string, int64_t> expected() {
    absl::MutexLock lock(&mutex_);
    return expected_;
  }
  std::set<std::string> transfers() {
    absl::MutexLock lock(&mutex_);
    return transfers_;
  }
  std::string surprises() {
    absl::MutexLock lock(&mutex_);
    return surprises_;
  }

 private:
  std::string NewWallet(int i) {
    v1::CreateWalletRequest create;
    create.set_request_id(absl::StrCat("create-", i));
    create.set_currency("RUB");
    v1::CreateWalletResponse created;
    Note(client_.Call(&Stub::CreateWallet, create, &created));
    v1::TopUpRequest top_up;
    top_up.set_request_id(absl::StrCat("top-up-", i));
    top_up.set_wallet_id(created.wallet_id());
    top_up.set_amount(std::to_string(kInitial));
    v1::TopUpResponse topped_up;
    Note(client_.Call(&Stub::TopUp, top_up, &topped_up));
    return created.wallet_id();
  }

  // Every call gets an answer in the end, so that what must have moved is known.
  void Run(int caller, uint64_t seed) {
    std::mt19937_64 random(seed);
    for (int n = 0; !stop_.stopped(); ++n) {
      v1::TransferRequest request;
      request.set_request_id(absl::StrCat("c", caller, "-", n));
      const size_t from = random() % kWallets;
      request.set_from_wallet_id(wallets_[from]);
      request.set_to_wallet_id(wallets_[(from + 1 + random() % (kWallets - 1)) % kWallets]);
      const int64_t amount = static_cast<int64_t>(1 + random() % 300);
      request.set_amount(std::to_string(amount));
      v1::TransferResponse response;
      const absl::Status status = client_.Call(&Stub::Transfer, request, &response);
      ++answered_;
      if (Reason(status) == "INSUFFICIENT_FUNDS") continue;
      Note(status);
      if (!status.ok()) continue;
      if (response.state() == v1::TRANSFER_STATE_DEBITED) ++debited_;
      absl::MutexLock lock(&mutex_);
      expected_[request.from_wallet_id()] -= amount;
      expected_[request.to_wallet_id()] += amount;
      transfers_.insert(response.transfer_id());
      if (response.state() == v1::TRANSFER_STATE_REFUNDED)
        surprises_ += absl::StrCat(response.transfer_id(), " is refunded\n");
    }
  }
  void Note(const absl::Status& status) {
    if (status.ok()) return;
    absl::MutexLock lock(&mutex_);
    absl::StrAppend(&surprises_, status.ToString(), "\n");
  }

  Client client_;
  std::vector<std::string> wallets_;
  runtime::StopSignal stop_;
  std::atomic<int> answered_{0}, debited_{0};
  absl::Mutex mutex_;
  std::map<std::string, int64_t> expected_ ABSL_GUARDED_BY(mutex_);
  std::set<std::string> transfers_ ABSL_GUARDED_BY(mutex_);
  std::string surprises_ ABSL_GUARDED_BY(mutex_);
  std::vector<runtime::Thread> callers_;
};

// Of both shards; nothing while one does not answer.
std::optional<int64_t> Count(Stack& stack, const std::string& sql) {
  int64_t sum = 0;
  for (const int shard : {0, 1}) {
    const auto answer = stack.postgres(shard).Query(Stack::kDatabase, sql);
    if (!answer.ok()) return std::nullopt;
    sum += std::stoll(*answer);
  }
  return sum;
}

}  // namespace

TEST_CASE("transfers between shards survive kills at any instant") {
  INFO("SALDO_TEST_SEED=" << Seed());
  std::mt19937_64 random(Seed());
  Stack stack({.shards = 2,
               .servers = 2,
               .relays = 1,
               .server_flags = {"--jobs.wallet_transfers.interval=200ms",
                                "--jobs.wallet_transfers.grace=500ms"}});
  Load load(stack);
  REQUIRE(load.surprises() == "");
  load.Start(Seed());
  const auto grows = [&] {
    const int before = load.answered();
    return Eventually(absl::Seconds(60), [&] { return load.answered() > before + 60; });
  };
  REQUIRE(grows());
  for (int blow = 0; blow < 10; ++blow) {
    INFO("blow " << blow);
    // At a random instant of a transfer, which takes a few milliseconds.
    Pause(absl::Microseconds(random() % 50'000));
    if (blow == 4 || blow == 7) {
      const int shard = static_cast<int>(random() % 2);
      if (blow == 4) {
        stack.postgres(shard).Kill();
      } else {
        stack.postgres(shard).Stop();
      }
      Pause(absl::Seconds(1));
      REQUIRE(stack.postgres(shard).Restart().ok());
    } else if (random() % 3 == 0) {
      stack.KillServers();
    } else {
      stack.KillServer(static_cast<int>(random() % 2));
    }
    REQUIRE(grows());
    if (blow != 5) continue;
    // Also right while money is under way.
    const auto verified = stack.Saldo({"verify"});
    INFO((verified.ok() ? *verified : verified.status().ToString()));
    CHECK(verified.ok());
  }
  load.Stop();
  CHECK(load.surprises() == "");
  CHECK(load.debited() > 0);
  REQUIRE(Eventually(absl::Seconds(60), [&] {
    return Count(stack, "SELECT count(*) FROM wallet_transfers_out WHERE state = 'debited'") == 0;
  }));
  CHECK(Count(stack, "SELECT count(*) FROM wallet_transfers_out WHERE state = 'refunded'") == 0);
  CHECK(*Count(stack, "SELECT count(*) FROM wallet_transfers_out") > 0);
  // Each wallet has what the answers say, so nothing was lost, made or done twice.
  for (const auto& [wallet, expected] : load.expected()) {
    v1::GetWalletRequest request;
    request.set_wallet_id(wallet);
    v1::GetWalletResponse response;
    REQUIRE(load.client().Call(&Stub::GetWallet, request, &response).ok());
    CHECK(response.wallet().balance() == Decimal::FromInteger(expected).ToString(2));
  }
  int looked_at = 0;
  for (const std::string& id : load.transfers()) {
    if (++looked_at > 200) break;
    v1::GetTransferRequest request;
    request.set_transfer_id(id);
    v1::GetTransferResponse response;
    REQUIRE(load.client().Call(&Stub::GetTransfer, request, &response).ok());
    CHECK(response.transfer().state() == v1::TRANSFER_STATE_SETTLED);
  }
  const auto verified = stack.Saldo({"verify"});
  INFO((verified.ok() ? *verified : verified.status().ToString()));
  CHECK(verified.ok());
}

}  // namespace saldo::testing
