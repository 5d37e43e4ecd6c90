// A saldo-server on two shards, and a client of it.
#pragma once

#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "common/devstack/loopback.h"
#include "common/devstack/postgres_cluster.h"
#include "common/shards/shard_map.h"
#include "server/app.h"
#include "tests/server/account_requests.h"
#include "tests/server/test_app.h"
#include "tests/support/migrated_database.h"
#include "tests/support/test_env.h"

namespace saldo::server {

// The home shard has the lower half of the hashes.
inline constexpr size_t kSouth = 0;
inline constexpr size_t kNorth = 1;

inline std::vector<shards::ShardConfig> TwoShards(const std::string& south,
                                                  const std::string& north) {
  return {{.name = "south", .from = "0", .to = "7", .dsn = south},
          {.name = "north", .from = "8", .to = "f", .dsn = north}};
}

inline ServerConfig ShardedConfig(const std::string& south, const std::string& north) {
  ServerConfig config = LoopbackConfig("");
  config.shards = TwoShards(south, north);
  return config;
}

// The `index`th client, from 0 on, of a shard.
inline int ClientOn(size_t shard, int index = 0) {
  for (int client = 1;; ++client) {
    const size_t on = shards::HashOf(std::to_string(client)) >> 63;
    if (on == shard && index-- == 0) return client;
  }
}

// A client of a server.
struct ShardsClient {
  explicit ShardsClient(int port)
      : channel(ChannelTo(port)), accounts(v1::AccountService::NewStub(channel)) {}

  absl::Status Write(const v1::WriteEventsRequest& request,
                     v1::WriteEventsResponse* response = nullptr) const {
    v1::WriteEventsResponse ignored;
    ClientCall call;
    return rpc::FromGrpcStatus(
        accounts->WriteEvents(&call.context, request, response == nullptr ? &ignored : response));
  }
  absl::Status Balances(const v1::BatchGetBalancesRequest& request,
                        v1::BatchGetBalancesResponse* response) const {
    ClientCall call;
    return rpc::FromGrpcStatus(accounts->BatchGetBalances(&call.context, request, response));
  }
  // The balance of a client's wallet, or the error.
  std::string Balance(int client) const {
    v1::GetBalanceRequest request;
    *request.mutable_account() = Wallet(client, "1").account();
    v1::GetBalanceResponse response;
    ClientCall call;
    const grpc::Status status = accounts->GetBalance(&call.context, request, &response);
    return status.ok() ? response.balances(0).balance() : status.error_message();
  }

  std::shared_ptr<grpc::Channel> channel;
  std::unique_ptr<v1::AccountService::Stub> accounts;
};

struct ShardedApp {
  testing::MigratedDatabase south, north;
  App app;
  std::unique_ptr<ShardsClient> client;

  ShardedApp() : ShardedApp([](ServerConfig&) {}) {}
  template <typename Change>
  explicit ShardedApp(Change change) : app(Config(change)) {
    const absl::Status status = app.Start();
    if (!status.ok()) throw std::runtime_error(status.ToString());
    client = std::make_unique<ShardsClient>(app.grpc_port());
  }

  const testing::TestDatabase& database(size_t shard) const {
    return shard == kSouth ? south : north;
  }
  bool HasSample(const std::string& sample) const {
    return ("\n" + app.registry().Text()).find("\n" + sample + "\n") != std::string::npos;
  }

 private:
  template <typename Change>
  ServerConfig Config(Change change) const {
    ServerConfig config = ShardedConfig(south.dsn(), north.dsn());
    change(config);
    return config;
  }
};

}  // namespace saldo::server
