// Where events go, and requests that are refused because they span shards.
#include <catch2/catch.hpp>

#include "tests/server/shards/sharded_app.h"

namespace saldo::server {
namespace {

const char kOwners[] = "SELECT key FROM accounts ORDER BY key";

std::string KeyOf(int client) { return std::to_string(client) + "\x1fRUB"; }

}  // namespace

TEST_CASE("events go to the shard of their accounts, and balances come from there") {
  ShardedApp app;
  const int south = ClientOn(kSouth), north = ClientOn(kNorth);
  REQUIRE(app.client->Write(Request("s", {Wallet(south, "10"), Commission(south, "1")})).ok());
  v1::WriteEventsResponse response;
  REQUIRE(app.client->Write(Request("n", {Wallet(north, "20")}), &response).ok());
  CHECK(response.events(0).balance_after() == "20.00");
  CHECK(app.client->Balance(south) == "10.00");
  CHECK(app.client->Balance(north) == "20.00");
  CHECK(app.south.Query(kOwners) == KeyOf(south) + "\n" + KeyOf(south));
  CHECK(app.north.Query(kOwners) == KeyOf(north));
  // Each shard's sequencer is woken by its own commits.
  for (const size_t shard : {kSouth, kNorth}) {
    CHECK(testing::Eventually(kPatience, [&] {
      return app.database(shard).Query("SELECT last_seq FROM sequencer") == "1";
    }));
  }
  // What is not sharded is at home.
  const auto packages = Api::NewStub(app.client->channel);
  api::CreatePackageV1Request create;
  create.set_title("box");
  create.set_material("wood");
  create.set_maximum_volume(1);
  api::CreatePackageV1Response created;
  ClientCall call;
  REQUIRE(packages->CreatePackageV1(&call.context, create, &created).ok());
  CHECK(app.south.Query("SELECT count(*) FROM packages") == "1");
  CHECK(app.north.Query("SELECT count(*) FROM packages") == "0");
}

TEST_CASE("a request across shards is refused and leaves nothing, on a stream too") {
  ShardedApp app;
  const int south = ClientOn(kSouth), north = ClientOn(kNorth);
  const v1::WriteEventsRequest across =
      Request("across", {Wallet(north, "1"), Wallet(north, "1"), Wallet(south, "1")});
  const Details expected = {
      {"events[2].account",
       "client_wallet{client_id=" + std::to_string(south) +
           ", currency=RUB} is on shard \"south\", but client_wallet{client_id=" +
           std::to_string(north) +
           ", currency=RUB} of events[0] is on shard \"north\"; all events of a request must be on "
           "one shard"}};
  const absl::Status status = app.client->Write(across);
  CHECK(status.code() == absl::StatusCode::kInvalidArgument);
  CHECK(FieldsOf(status) == expected);

  ClientCall call;
  const auto stream = app.client->accounts->WriteEventsStream(&call.context);
  for (const auto& request :
       {across, Request("n", {Wallet(north, "5")}), Request("s", {Wallet(south, "7")})}) {
    REQUIRE(stream->Write(request));
  }
  stream->WritesDone();
  v1::WriteEventsStreamResponse answer;
  REQUIRE(stream->Read(&answer));
  CHECK(answer.error().code() == grpc::StatusCode::INVALID_ARGUMENT);
  CHECK_THAT(answer.error().message(), Catch::Contains("one shard"));
  for (const char* balance : {"5.00", "7.00"}) {
    REQUIRE(stream->Read(&answer));
    CHECK(answer.written().events(0).balance_after() == balance);
  }
  CHECK_FALSE(stream->Read(&answer));
  CHECK(app.south.Query("SELECT count(*) FROM events") == "1");
  CHECK(app.north.Query("SELECT count(*) FROM events") == "1");
  CHECK(app.HasSample("saldo_ledger_rejections_total{reason=\"INVALID_ARGUMENT\"} 2"));
}

TEST_CASE("request ids and limits are of one shard") {
  ShardedApp app;
  const int south = ClientOn(kSouth), north = ClientOn(kNorth);
  v1::WriteEventsResponse first, again;
  REQUIRE(app.client->Write(Request("same", {Wallet(south, "10")}), &first).ok());
  REQUIRE(app.client->Write(Request("same", {Wallet(north, "20")})).ok());
  REQUIRE(app.client->Write(Request("same", {Wallet(south, "10")}), &again).ok());
  CHECK(again.batch_id() == first.batch_id());
  const absl::Status other = app.client->Write(Request("same", {Wallet(south, "11")}));
  CHECK(InfoOf(other)["reason"] == "REQUEST_ID_REUSED");
  const absl::Status below = app.client->Write(Request("below", {Wallet(north, "-20.01")}));
  CHECK(InfoOf(below)["reason"] == "BALANCE_BELOW_MINIMUM");
  CHECK(InfoOf(below).count("shard") == 0);
  CHECK(app.client->Balance(north) == "20.00");
}

TEST_CASE("what is wrong with a request is told wherever it would go") {
  ShardedApp app;
  v1::WriteEventsRequest bad = Request("bad", {Wallet(1, "1"), Wallet(2, "1")});
  (*bad.mutable_events(0)->mutable_account()->mutable_key())["client_id"] = "x";
  CHECK(FieldsOf(app.client->Write(bad)).count("events[0].account.key.client_id") == 1);
  CHECK(FieldsOf(app.client->Write(Request("none", {}))).count("events") == 1);
  bad.mutable_events(0)->mutable_account()->set_type("nothing");
  CHECK(FieldsOf(app.client->Write(bad)).count("events[0].account.type") == 1);
  v1::GetBalanceRequest question;
  question.mutable_account()->set_type("nothing");
  v1::GetBalanceResponse answer;
  ClientCall call;
  const absl::Status status =
      rpc::FromGrpcStatus(app.client->accounts->GetBalance(&call.context, question, &answer));
  CHECK(FieldsOf(status).count("account.type") == 1);
}

TEST_CASE("metrics of what exists per shard tell which shard") {
  ShardedApp app;
  REQUIRE(app.client->Write(Request("n", {Wallet(ClientOn(kNorth), "1")})).ok());
  for (const char* sample :
       {"saldo_shard_up{shard=\"south\"} 1", "saldo_shard_up{shard=\"north\"} 1",
        "saldo_ledger_events_total{shard=\"south\"} 0",
        "saldo_ledger_events_total{shard=\"north\"} 1", "saldo_account_types{shard=\"north\"} 3",
        "saldo_postgres_pool_connections_max{pool=\"writer\",shard=\"south\"} 2"}) {
    CAPTURE(sample);
    CHECK(app.HasSample(sample));
  }
}

TEST_CASE("tasks are kept at home and work on all shards") {
  ShardedApp app([](ServerConfig& config) {
    config.ledger.aggregation.options.interval = absl::Hours(1);
    config.tasks.poll_interval = absl::Milliseconds(10);
    config.jobs.partitions.ahead = 1;
  });
  const int south = ClientOn(kSouth), north = ClientOn(kNorth);
  REQUIRE(app.client->Write(Request("s", {Wallet(south, "1")})).ok());
  REQUIRE(app.client->Write(Request("n", {Wallet(north, "1")})).ok());
  for (const size_t shard : {kSouth, kNorth}) {
    REQUIRE(testing::Eventually(kPatience, [&] {
      return app.database(shard).Query("SELECT last_seq FROM sequencer") == "1";
    }));
  }
  app.south.Query("SELECT enqueue_task('aggregate', '', '', NULL, false, '')");
  const std::string cursor = "SELECT seq FROM cursors WHERE consumer = 'aggregation'";
  for (const size_t shard : {kSouth, kNorth}) {
    CAPTURE(app.database(shard).Query("SELECT * FROM cursors"));
    CHECK(testing::Eventually(kPatience, [&] { return app.database(shard).Query(cursor) == "1"; }));
  }
  CHECK(app.north.Query("SELECT count(*) FROM tasks") == "0");
}

}  // namespace saldo::server
