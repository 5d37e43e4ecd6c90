// Types that are read again while the home shard is away: the other takes them.
#include <catch2/catch.hpp>
#include <fstream>
#include <functional>
#include <utility>

#include "common/schema/migrator.h"
#include "saldo/v1/lock_service.grpc.pb.h"
#include "saldo/v1/state_service.grpc.pb.h"
#include "tests/server/shards/sharded_app.h"

namespace saldo::server {
namespace {

const std::string kOld =
    "types: [{name: wallet, key: [{name: id}], asset_constant: p}]\n"
    "locks: [{name: door, key: [{name: id}]}]\n"
    "states: [{name: note, key: [{name: id}]}]\n";
const std::string kNew =
    "types: [{name: wallet, key: [{name: id}], asset_constant: p},\n"
    "        {name: points, key: [{name: id}], asset_constant: p}]\n"
    "locks: [{name: door, key: [{name: id}]}, {name: gate, key: [{name: id}]}]\n"
    "states: [{name: note, key: [{name: id}]}, {name: page, key: [{name: id}]}]\n";

std::string AnswerTo(const std::function<grpc::Status(grpc::ClientContext*)>& call) {
  ClientCall context;
  const grpc::Status status = call(&context.context);
  return status.ok() ? "ok" : status.error_message();
}

}  // namespace

TEST_CASE("types that were read again while the home was away serve the other shard") {
  const testing::TempDir folder;
  const std::string file = folder.File("types.yaml");
  const auto write = [&](const std::string& types) { std::ofstream(file) << types; };
  write(kOld);
  auto cluster = devstack::PostgresCluster::Start({.dir = folder.File("home"), .durable = false});
  REQUIRE(cluster.ok());
  const std::string home = (*cluster)->dsn("postgres");
  const CallContext context = CallContext::WithTimeout(kPatience);
  {
    auto connection = postgres::Connection::Open({.dsn = home}, context);
    REQUIRE(connection.ok());
    REQUIRE(schema::Up(**connection, context, schema::AllMigrations(), [](const auto&) {}).ok());
  }
  const testing::MigratedDatabase north;
  ServerConfig config = ShardedConfig(home, north.dsn());
  config.ledger.ledger.types_file = file;
  std::function<void()> reload;
  program::Environment environment;
  environment.on_reload = [&](std::function<void()> work) { reload = std::move(work); };
  App app(config, std::move(environment));
  REQUIRE(app.Start() == absl::OkStatus());
  const ShardsClient client(app.grpc_port());
  const std::string on_north = std::to_string(ClientOn(kNorth));
  const auto points = [&](const std::string& id) {
    return Request("p" + id, {Event("points", {{"id", id}}, {}, "1")});
  };

  (*cluster)->Stop();
  REQUIRE(testing::Eventually(kPatience, [&] {
    return app.registry().Text().find("saldo_shard_up{shard=\"south\"} 0") != std::string::npos;
  }));
  write(kNew);
  reload();
  CHECK(client.Write(points(on_north)) == absl::OkStatus());
  const auto locks = v1::LockService::NewStub(client.channel);
  v1::AcquireLockRequest acquire;
  acquire.set_type("gate");
  (*acquire.mutable_key())["id"] = on_north;
  acquire.set_owner("me");
  acquire.set_mode(v1::LOCK_MODE_EXCLUSIVE);
  acquire.mutable_ttl()->set_seconds(60);
  v1::AcquireLockResponse acquired;
  const auto lock = [&](auto* call) { return locks->Acquire(call, acquire, &acquired); };
  CHECK(AnswerTo(lock) == "ok");
  const auto states = v1::StateService::NewStub(client.channel);
  v1::PutStateRequest put;
  put.set_request_id("s1");
  put.set_type("page");
  (*put.mutable_key())["id"] = on_north;
  put.set_document("{}");
  v1::PutStateResponse stored;
  CHECK(AnswerTo([&](auto* call) { return states->Put(call, put, &stored); }) == "ok");

  // The home still has the old ones when it is back, and what is on the other goes on.
  REQUIRE((*cluster)->Restart().ok());
  REQUIRE(testing::Eventually(kPatience, [&] {
    return app.registry().Text().find("saldo_shard_up{shard=\"south\"} 1") != std::string::npos;
  }));
  CHECK(client.Write(points(on_north)) == absl::OkStatus());
  acquire.set_owner("you");
  CHECK_THAT(AnswerTo(lock), Catch::Contains("held") || Catch::Contains("taken"));
  v1::GetStateRequest get;
  get.set_type("page");
  (*get.mutable_key())["id"] = on_north;
  v1::GetStateResponse found;
  CHECK(AnswerTo([&](auto* call) { return states->Get(call, get, &found); }) == "ok");
  reload();
  CHECK(client.Write(points(std::to_string(ClientOn(kSouth)))) == absl::OkStatus());
}

}  // namespace saldo::server
