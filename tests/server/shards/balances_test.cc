// Questions about accounts of several shards.
#include <catch2/catch.hpp>

#include "tests/server/shards/sharded_app.h"

namespace saldo::server {
namespace {

v1::BatchGetBalancesRequest About(const std::vector<int>& clients) {
  v1::BatchGetBalancesRequest request;
  for (const int client : clients) *request.add_accounts() = Wallet(client, "1").account();
  return request;
}

std::vector<std::string> Texts(const v1::BatchGetBalancesResponse& response) {
  std::vector<std::string> texts;
  for (const auto& account : response.accounts()) texts.push_back(account.balances(0).balance());
  return texts;
}

}  // namespace

TEST_CASE("balances of accounts on several shards come in the order of the request") {
  ShardedApp app;
  const int s0 = ClientOn(kSouth), s1 = ClientOn(kSouth, 1), n0 = ClientOn(kNorth),
            n1 = ClientOn(kNorth, 1);
  int amount = 0;
  for (const int client : {s0, n0, s1, n1}) {
    ++amount;
    REQUIRE(
        app.client
            ->Write(Request("r" + std::to_string(client), {Wallet(client, std::to_string(amount))}))
            .ok());
  }
  using Lines = std::vector<std::string>;
  v1::BatchGetBalancesResponse response;
  REQUIRE(app.client->Balances(About({n0, s0, n1, s1, n0}), &response).ok());
  CHECK(Texts(response) == Lines{"2.00", "1.00", "4.00", "3.00", "2.00"});
  response.Clear();
  REQUIRE(app.client->Balances(About({n1, n0}), &response).ok());
  CHECK(Texts(response) == Lines{"4.00", "2.00"});

  // By a grouping and at a moment, on both.
  v1::BatchGetBalancesRequest grouped = About({s0, n0});
  grouped.mutable_selection()->add_group_by("source");
  response.Clear();
  REQUIRE(app.client->Balances(grouped, &response).ok());
  CHECK(response.accounts(0).balances(0).attributes().at("source") == "card");
  CHECK(response.accounts(1).balances(0).attributes().at("source") == "card");
  grouped.mutable_at()->set_day("2020-01-01");
  response.Clear();
  REQUIRE(app.client->Balances(grouped, &response).ok());
  REQUIRE(response.accounts_size() == 2);
  CHECK(response.accounts(0).balances_size() == 0);
  CHECK(response.accounts(1).balances_size() == 0);
}

TEST_CASE("a question that is wrong is refused as a whole, by the places of the request") {
  ShardedApp app;
  const int south = ClientOn(kSouth), north = ClientOn(kNorth);
  v1::BatchGetBalancesResponse response;
  v1::BatchGetBalancesRequest mixed = About({south, north});
  *mixed.add_accounts() = Commission(north, "1").account();
  CHECK(FieldsOf(app.client->Balances(mixed, &response)).count("accounts[2].type") == 1);
  v1::BatchGetBalancesRequest unknown = About({south, north, south});
  unknown.mutable_accounts(2)->mutable_key()->erase("currency");
  CHECK(FieldsOf(app.client->Balances(unknown, &response)).count("accounts[2].key.currency") == 1);
  CHECK(FieldsOf(app.client->Balances(About(std::vector<int>(1001, north)), &response))
            .count("accounts") == 1);
  CHECK(FieldsOf(app.client->Balances(About({}), &response)).count("accounts") == 1);
  v1::BatchGetBalancesRequest selection = About({south, north});
  selection.mutable_selection()->add_group_by("region");
  CHECK(app.client->Balances(selection, &response).code() == absl::StatusCode::kInvalidArgument);
}

}  // namespace saldo::server
