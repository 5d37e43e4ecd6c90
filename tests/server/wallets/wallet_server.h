// Wallets on one database or on two, as a server has them, with a client.
#pragma once

#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "common/rpc/errors.h"
#include "common/rpc/server.h"
#include "grpcpp/create_channel.h"
#include "saldo/v1/account_service.grpc.pb.h"
#include "saldo/v1/wallet_event.pb.h"
#include "saldo/v1/wallet_service.grpc.pb.h"
#include "server/accounts/ledger.h"
#include "server/shards/shard_set.h"
#include "server/wallets/ids.h"
#include "server/wallets/wallets.h"
#include "tests/support/migrated_database.h"

namespace saldo::wallets {

// Longer than anything a test waits for when all is well.
constexpr absl::Duration kPatience = absl::Seconds(60);

using Stub = v1::WalletService::Stub;

inline std::string Reason(const absl::Status& status) {
  google::rpc::ErrorInfo info;
  if (rpc::GetDetail(status, &info)) return info.reason();
  return status.ok() ? "OK" : std::string(status.message());
}
inline std::string Detail(const absl::Status& status, const std::string& name) {
  google::rpc::ErrorInfo info;
  if (!rpc::GetDetail(status, &info)) return "";
  const auto found = info.metadata().find(name);
  return found == info.metadata().end() ? "" : found->second;
}

// The databases that servers share.
class Databases {
 public:
  // One, or two: of which the first has the lower half of the hashes.
  explicit Databases(size_t count) : list_(count) {}
  size_t size() const { return list_.size(); }
  const testing::TestDatabase& of(size_t shard) const { return list_[shard]; }
  // A sum over all of them.
  std::string Query(size_t shard, const std::string& sql) const { return list_[shard].Query(sql); }
  Decimal Sum(const std::string& sql) const {
    Decimal sum;
    for (const auto& one : list_) {
      if (!Decimal::Add(sum, *Decimal::Parse(one.Query(sql)), &sum))
        throw std::runtime_error("sum");
    }
    return sum;
  }
  shards::Databases config() const {
    shards::ShardsConfig config;
    if (list_.size() == 1) return *shards::Resolve(config, list_[0].dsn());
    config = {{.name = "a", .from = "0", .to = "7", .dsn = list_[0].dsn()},
              {.name = "b", .from = "8", .to = "f", .dsn = list_[1].dsn()}};
    return *shards::Resolve(config, "");
  }

 private:
  std::vector<testing::MigratedDatabase> list_;
};

struct WalletServerOptions {
  WalletsOptions wallets;
  jobs::JobsConfig jobs;
};

// A server, and a client of it.
class WalletServer {
 public:
  explicit WalletServer(const Databases& databases, WalletServerOptions options = {})
      : shards(ShardOptions(databases, options), registry, tracer),
        dispatcher({}, registry, tracer),
        ledger(LedgerOptions(options), shards, dispatcher, registry, tracer),
        wallets(options.wallets, shards, ledger, dispatcher, registry),
        server(Loopback(), dispatcher, {&ledger.service(), &wallets.service()}) {
    for (runtime::Service* part : Parts()) {
      const absl::Status status = part->Start();
      if (!status.ok()) throw std::runtime_error(status.ToString());
    }
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    channel = grpc::CreateCustomChannel("127.0.0.1:" + std::to_string(server.port()),
                                        grpc::InsecureChannelCredentials(), arguments);
    stub = v1::WalletService::NewStub(channel);
    accounts = v1::AccountService::NewStub(channel);
  }
  ~WalletServer() { Stop(); }

  void Stop() {
    std::vector<runtime::Service*> parts = Parts();
    for (; !parts.empty(); parts.pop_back()) parts.back()->Stop();
  }

  // One call by its method, as &Stub::Transfer gives it.
  template <typename Request, typename Response>
  absl::Status Call(grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
                    const Request& request, Response* response) const {
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(absl::Now() + kPatience));
    return rpc::FromGrpcStatus((stub.get()->*method)(&context, request, response));
  }

  // The calls, with what tests most often want of them.
  absl::StatusOr<std::string> Create(const std::string& request_id,
                                     const std::string& currency = "RUB",
                                     const std::string& overdraft = "",
                                     const std::string& external_id = "") const {
    v1::CreateWalletRequest request;
    request.set_request_id(request_id);
    request.set_currency(currency);
    request.set_overdraft_limit(overdraft);
    request.set_external_id(external_id);
    v1::CreateWalletResponse response;
    absl::Status status = Call(&Stub::CreateWallet, request, &response);
    if (!status.ok()) return status;
    return response.wallet_id();
  }
  // One that is on this shard.
  std::string CreateOn(size_t shard, const std::string& name, const std::string& currency = "RUB",
                       const std::string& overdraft = "") {
    for (int i = 0;; ++i) {
      const std::string request_id = name + "." + std::to_string(i);
      if (shards.map().Of(WalletIdOf("", request_id)) != shard) continue;
      const auto wallet = Create(request_id, currency, overdraft);
      if (!wallet.ok()) throw std::runtime_error(wallet.status().ToString());
      return *wallet;
    }
  }
  v1::Wallet Get(const std::string& wallet_id) const {
    v1::GetWalletRequest request;
    request.set_wallet_id(wallet_id);
    v1::GetWalletResponse response;
    const absl::Status status = Call(&Stub::GetWallet, request, &response);
    if (!status.ok()) throw std::runtime_error(status.ToString());
    return response.wallet();
  }
  std::string Balance(const std::string& wallet_id) const { return Get(wallet_id).balance(); }
  absl::Status Close(const std::string& request_id, const std::string& wallet_id) const {
    v1::CloseWalletRequest request;
    request.set_request_id(request_id);
    request.set_wallet_id(wallet_id);
    v1::CloseWalletResponse response;
    return Call(&Stub::CloseWallet, request, &response);
  }
  absl::Status TopUp(const std::string& request_id, const std::string& wallet_id,
                     const std::string& amount, v1::TopUpResponse* response = nullptr) const {
    v1::TopUpRequest request;
    request.set_request_id(request_id);
    request.set_wallet_id(wallet_id);
    request.set_amount(amount);
    v1::TopUpResponse ignored;
    return Call(&Stub::TopUp, request, response == nullptr ? &ignored : response);
  }
  absl::Status Withdraw(const std::string& request_id, const std::string& wallet_id,
                        const std::string& amount) const {
    v1::WithdrawRequest request;
    request.set_request_id(request_id);
    request.set_wallet_id(wallet_id);
    request.set_amount(amount);
    v1::WithdrawResponse response;
    return Call(&Stub::Withdraw, request, &response);
  }
  absl::Status Transfer(const std::string& request_id, const std::string& from,
                        const std::string& to, const std::string& amount,
                        v1::TransferResponse* response = nullptr) const {
    v1::TransferRequest request;
    request.set_request_id(request_id);
    request.set_from_wallet_id(from);
    request.set_to_wallet_id(to);
    request.set_amount(amount);
    request.set_description("for " + request_id);
    v1::TransferResponse ignored;
    return Call(&Stub::Transfer, request, response == nullptr ? &ignored : response);
  }
  absl::StatusOr<v1::Transfer> GetTransfer(const std::string& transfer_id) const {
    v1::GetTransferRequest request;
    request.set_transfer_id(transfer_id);
    v1::GetTransferResponse response;
    absl::Status status = Call(&Stub::GetTransfer, request, &response);
    if (!status.ok()) return status;
    return response.transfer();
  }
  absl::StatusOr<v1::Hold> Hold(const std::string& request_id, const std::string& wallet_id,
                                const std::string& amount,
                                absl::Duration ttl = absl::Hours(1)) const {
    v1::CreateHoldRequest request;
    request.set_request_id(request_id);
    request.set_wallet_id(wallet_id);
    request.set_amount(amount);
    request.mutable_ttl()->set_seconds(absl::ToInt64Seconds(ttl));
    v1::CreateHoldResponse response;
    absl::Status status = Call(&Stub::CreateHold, request, &response);
    if (!status.ok()) return status;
    return response.hold();
  }
  absl::Status Capture(const std::string& request_id, const std::string& hold_id,
                       const std::string& amount = "", const std::string& to = "",
                       v1::CaptureHoldResponse* response = nullptr) const {
    v1::CaptureHoldRequest request;
    request.set_request_id(request_id);
    request.set_hold_id(hold_id);
    request.set_amount(amount);
    request.set_to_wallet_id(to);
    v1::CaptureHoldResponse ignored;
    return Call(&Stub::CaptureHold, request, response == nullptr ? &ignored : response);
  }
  absl::Status Release(const std::string& request_id, const std::string& hold_id,
                       v1::ReleaseHoldResponse* response = nullptr) const {
    v1::ReleaseHoldRequest request;
    request.set_request_id(request_id);
    request.set_hold_id(hold_id);
    v1::ReleaseHoldResponse ignored;
    return Call(&Stub::ReleaseHold, request, response == nullptr ? &ignored : response);
  }
  v1::Hold GetHold(const std::string& hold_id) const {
    v1::GetHoldRequest request;
    request.set_hold_id(hold_id);
    v1::GetHoldResponse response;
    const absl::Status status = Call(&Stub::GetHold, request, &response);
    if (!status.ok()) throw std::runtime_error(status.ToString());
    return response.hold();
  }
  v1::ListTransactionsResponse Transactions(const std::string& wallet_id, int page_size = 0,
                                            const std::string& token = "") const {
    v1::ListTransactionsRequest request;
    request.set_wallet_id(wallet_id);
    request.set_page_size(page_size);
    request.set_page_token(token);
    v1::ListTransactionsResponse response;
    const absl::Status status = Call(&Stub::ListTransactions, request, &response);
    if (!status.ok()) throw std::runtime_error(status.ToString());
    return response;
  }

  metrics::Registry registry;
  trace::Tracer tracer{nullptr, 0};
  shards::ShardSet shards;
  rpc::Dispatcher dispatcher;
  accounts::Ledger ledger;
  Wallets wallets;
  rpc::Server server;
  std::shared_ptr<grpc::Channel> channel;
  std::unique_ptr<Stub> stub;
  std::unique_ptr<v1::AccountService::Stub> accounts;

 private:
  static rpc::ServerOptions Loopback() {
    rpc::ServerOptions result;
    result.address = "127.0.0.1";
    result.port = 0;
    return result;
  }
  static shards::ShardSetOptions ShardOptions(const Databases& databases,
                                              const WalletServerOptions& options) {
    shards::ShardSetOptions result;
    result.databases = databases.config();
    result.jobs = options.jobs;
    return result;
  }
  static accounts::LedgerOptions LedgerOptions(const WalletServerOptions& options) {
    accounts::LedgerOptions result;
    result.built_in = BuiltInTypes(options.wallets.wallets);
    return result;
  }
  std::vector<runtime::Service*> Parts() { return {&shards, &wallets.part(), &server}; }
};

// The messages of wallets in the outbox of a database, in the order of batches.
inline std::vector<v1::WalletEvent> EventsIn(const testing::TestDatabase& database) {
  std::vector<v1::WalletEvent> events;
  const std::string rows = database.Query(
      "SELECT encode(payload, 'hex') FROM outbox WHERE topic = 'saldo-wallets' "
      "ORDER BY batch_id, ordinal");
  for (const absl::string_view row : absl::StrSplit(rows, '\n', absl::SkipEmpty())) {
    v1::WalletEvent event;
    if (!event.ParseFromString(absl::HexStringToBytes(row))) throw std::runtime_error("event");
    events.push_back(event);
  }
  return events;
}

// What must always be so: "" or what is wrong.
std::string Imbalance(const Databases& databases);

}  // namespace saldo::wallets
