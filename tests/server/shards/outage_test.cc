// One shard that is away: the others work, and it joins when it is back.
#include <catch2/catch.hpp>

#include "common/schema/migrator.h"
#include "tests/server/shards/sharded_app.h"
#include "tests/support/hung_server.h"

namespace saldo::server {
namespace {

// The north's database is in a cluster that can be stopped.
struct Outage {
  const testing::TempDir folder;
  testing::MigratedDatabase south;
  std::unique_ptr<devstack::PostgresCluster> cluster;
  std::optional<App> app;
  std::optional<ShardsClient> client;

  Outage() {
    auto started = devstack::PostgresCluster::Start({.dir = folder.path(), .durable = false});
    REQUIRE(started.ok());
    cluster = *std::move(started);
    const CallContext context = CallContext::WithTimeout(kPatience);
    auto connection = postgres::Connection::Open({.dsn = cluster->dsn("postgres")}, context);
    REQUIRE(connection.ok());
    REQUIRE(schema::Up(**connection, context, schema::AllMigrations(), [](const auto&) {}).ok());
  }
  void Start() {
    app.emplace(ShardedConfig(south.dsn(), cluster->dsn("postgres")));
    const absl::Status status = app->Start();
    INFO(status);
    REQUIRE(status.ok());
    client.emplace(app->grpc_port());
  }
  std::string Ready(int* code) const {
    const auto response = devstack::HttpGet(app->status_port(), "/ready", absl::Seconds(10));
    *code = response.ok() ? response->code : 0;
    return response.ok() ? response->body : "";
  }
  bool Shows(const std::string& sample) const {
    return ("\n" + app->registry().Text()).find("\n" + sample + "\n") != std::string::npos;
  }
};

void CheckUnavailable(const absl::Status& status) {
  CHECK(status.code() == absl::StatusCode::kUnavailable);
  CHECK(status.message() == "shard \"north\" is not available");
  CHECK(InfoOf(status) == Details{{"reason", "SHARD_UNAVAILABLE"}, {"shard", "north"}});
  google::rpc::RetryInfo retry;
  CHECK(rpc::GetDetail(status, &retry));
}

v1::BatchGetBalancesRequest AboutBoth() {
  v1::BatchGetBalancesRequest request;
  *request.add_accounts() = Wallet(ClientOn(kSouth), "1").account();
  *request.add_accounts() = Wallet(ClientOn(kNorth), "1").account();
  return request;
}

}  // namespace

TEST_CASE("a shard that stops leaves the other working, and works again when it is back") {
  Outage outage;
  outage.Start();
  const int south = ClientOn(kSouth), north = ClientOn(kNorth);
  REQUIRE(outage.client->Write(Request("n1", {Wallet(north, "1")})).ok());
  int code = 0;
  CHECK(outage.Ready(&code) == "ok\n");

  outage.cluster->Stop();
  CheckUnavailable(outage.client->Write(Request("n2", {Wallet(north, "1")})));
  CHECK(outage.client->Balance(north) == "shard \"north\" is not available");
  v1::BatchGetBalancesResponse balances;
  CheckUnavailable(outage.client->Balances(AboutBoth(), &balances));
  REQUIRE(outage.client->Write(Request("s1", {Wallet(south, "2")})).ok());
  CHECK(outage.client->Balance(south) == "2.00");
  REQUIRE(testing::Eventually(kPatience,
                              [&] { return outage.Ready(&code) == "ok\nshard north: away\n"; }));
  CHECK(code == 200);
  CHECK(outage.Shows("saldo_shard_up{shard=\"north\"} 0"));
  CHECK(outage.Shows("saldo_shard_up{shard=\"south\"} 1"));
  // Known to be away by now.
  CheckUnavailable(outage.client->Write(Request("n2", {Wallet(north, "1")})));
  CheckUnavailable(outage.client->Balances(AboutBoth(), &balances));
  REQUIRE(outage.client->Write(Request("s2", {Wallet(south, "1")})).ok());

  REQUIRE(outage.cluster->Restart().ok());
  REQUIRE(testing::Eventually(kPatience, [&] { return outage.Ready(&code) == "ok\n"; }));
  CHECK(testing::Eventually(
      kPatience, [&] { return outage.client->Write(Request("n2", {Wallet(north, "1")})).ok(); }));
  CHECK(outage.client->Balance(north) == "2.00");
  REQUIRE(outage.client->Balances(AboutBoth(), &balances).ok());
  CHECK(balances.accounts(0).balances(0).balance() == "3.00");
  CHECK(balances.accounts(1).balances(0).balance() == "2.00");
  CHECK(outage.Shows("saldo_shard_up{shard=\"north\"} 1"));
}

TEST_CASE("a server starts while a shard is away, and the shard joins later") {
  Outage outage;
  outage.cluster->Stop();
  outage.Start();
  const int south = ClientOn(kSouth), north = ClientOn(kNorth);
  int code = 0;
  CHECK(outage.Ready(&code) == "ok\nshard north: away\n");
  CHECK(code == 200);
  CheckUnavailable(outage.client->Write(Request("n", {Wallet(north, "1")})));
  REQUIRE(outage.client->Write(Request("s", {Wallet(south, "1")})).ok());
  REQUIRE(outage.cluster->Restart().ok());
  CHECK(testing::Eventually(
      kPatience, [&] { return outage.client->Write(Request("n", {Wallet(north, "1")})).ok(); }));
  CHECK(outage.client->Balance(north) == "1.00");
  const auto stored = outage.cluster->Query("postgres", "SELECT name FROM shard");
  REQUIRE(stored.ok());
  CHECK(*stored == "north");
  // Its jobs have started, too.
  CHECK(testing::Eventually(kPatience, [&] {
    const auto seq = outage.cluster->Query("postgres", "SELECT last_seq FROM sequencer");
    return seq.ok() && *seq == "1";
  }));
}

TEST_CASE("a shard that comes back as another one is kept out") {
  Outage outage;
  outage.Start();
  REQUIRE(outage.client->Write(Request("n", {Wallet(ClientOn(kNorth), "1")})).ok());
  outage.cluster->Stop();
  REQUIRE(outage.cluster->Restart().ok());
  REQUIRE(outage.cluster->Query("postgres", "UPDATE shard SET name = 'west'").ok());
  // A watch that is quicker than the change would find nothing wrong.
  outage.cluster->Stop();
  int code = 0;
  REQUIRE(testing::Eventually(kPatience,
                              [&] { return outage.Ready(&code) == "ok\nshard north: away\n"; }));
  REQUIRE(outage.cluster->Restart().ok());
  REQUIRE(testing::Eventually(
      kPatience, [&] { return outage.Ready(&code) == "ok\nshard north: does not fit\n"; }));
  CheckUnavailable(outage.client->Write(Request("n2", {Wallet(ClientOn(kNorth), "1")})));
  REQUIRE(outage.client->Write(Request("s", {Wallet(ClientOn(kSouth), "1")})).ok());
  REQUIRE(outage.cluster->Query("postgres", "UPDATE shard SET name = 'north'").ok());
  CHECK(testing::Eventually(kPatience, [&] { return outage.Ready(&code) == "ok\n"; }));
}

TEST_CASE("while no shard works the server is not ready") {
  Outage outage;
  outage.Start();
  REQUIRE(outage.client->Balance(ClientOn(kNorth)) == "0.00");
  outage.south.Query("UPDATE shard SET name = 'west'");
  outage.south.Query(
      "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
      "WHERE datname = current_database() AND pid <> pg_backend_pid()");
  outage.cluster->Stop();
  int code = 0;
  const std::string none =
      "shards: UNAVAILABLE: no shard works\nshard south: does not fit\nshard north: away\n";
  CHECK(testing::Eventually(kPatience, [&] { return outage.Ready(&code) == none; }));
  CHECK(code == 503);
}

TEST_CASE("a connection that is lost is no shard that is away") {
  Outage outage;
  outage.Start();
  for (int i = 0; i < 5; ++i) {
    REQUIRE(outage.cluster
                ->Query("postgres",
                        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
                        "WHERE application_name = 'saldo-server-watch'")
                .ok());
    const auto watched = [&] {
      const auto count = outage.cluster->Query(
          "postgres",
          "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'saldo-server-watch'");
      REQUIRE(outage.Shows("saldo_shard_up{shard=\"north\"} 1"));
      return count.ok() && *count == "1";
    };
    CHECK(testing::Eventually(kPatience, watched));
  }
}

TEST_CASE("a shard that hangs is noticed in seconds, and its callers go free") {
  Outage outage;
  outage.Start();
  const int south = ClientOn(kSouth), north = ClientOn(kNorth);
  REQUIRE(outage.client->Write(Request("n1", {Wallet(north, "1")})).ok());
  testing::HungServer hung(*outage.cluster, outage.folder.path());
  const absl::Time frozen = absl::Now();
  const auto noticed = [&] { return outage.Shows("saldo_shard_up{shard=\"north\"} 0"); };
  CHECK(testing::Eventually(kPatience, noticed));
  const absl::Duration took = absl::Now() - frozen;
  // From now on nobody waits for it.
  CheckUnavailable(outage.client->Write(Request("n2", {Wallet(north, "1")})));
  CHECK(outage.client->Balance(north) == "shard \"north\" is not available");
  CHECK(outage.client->Write(Request("s1", {Wallet(south, "1")})).ok());
  hung.Thaw();
  INFO("took " << absl::FormatDuration(took));
  CHECK(took < absl::Seconds(10));  // 5 or 6 where nothing else runs
  CHECK(testing::Eventually(
      kPatience, [&] { return outage.client->Write(Request("n2", {Wallet(north, "1")})).ok(); }));
}

TEST_CASE("the home shard away: what is not sharded waits, accounts of others do not") {
  Outage outage;
  // The other way round: the stopped cluster is the home.
  outage.cluster->Stop();
  ServerConfig config = ShardedConfig(outage.south.dsn(), outage.cluster->dsn("postgres"));
  std::swap(config.shards[0], config.shards[1]);
  outage.app.emplace(config);
  REQUIRE(outage.app->Start().ok());
  outage.client.emplace(outage.app->grpc_port());
  REQUIRE(outage.client->Write(Request("s", {Wallet(ClientOn(kSouth), "1")})).ok());
  const auto packages = Api::NewStub(outage.client->channel);
  api::CreatePackageV1Request create;
  create.set_title("box");
  create.set_material("wood");
  create.set_maximum_volume(1);
  const auto created = [&] {
    api::CreatePackageV1Response response;
    ClientCall call;
    return rpc::FromGrpcStatus(packages->CreatePackageV1(&call.context, create, &response));
  };
  CheckUnavailable(created());
  REQUIRE(outage.cluster->Restart().ok());
  CHECK(testing::Eventually(kPatience, [&] { return created().ok(); }));
  // The runner of tasks has started with its shard.
  CHECK(testing::Eventually(kPatience, [&] {
    const auto kinds = outage.cluster->Query(
        "postgres", "SELECT count(*) FROM task_kinds WHERE kind = 'aggregate'");
    return kinds.ok() && *kinds == "1";
  }));
}

}  // namespace saldo::server
