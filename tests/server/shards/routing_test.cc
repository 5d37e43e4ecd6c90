// Which shard an account is on, and requests that span several.
#include "server/accounts/routing.h"

#include <catch2/catch.hpp>
#include <set>

#include "absl/time/clock.h"
#include "server/accounts/types/types_file.h"
#include "server/accounts/writing/rules.h"
#include "tests/server/account_requests.h"

namespace saldo::accounts {
namespace {

using server::Details;
using server::FieldsOf;
using server::Request;
using server::Wallet;

const char kTypes[] =
    "types:\n"
    "  - {name: client_wallet, key: [{name: client_id, kind: integer}, {name: currency}],"
    " auxiliary: [{name: source}], asset: currency, sharding: [client_id]}\n"
    "  - {name: whole, key: [{name: a}, {name: b}], asset_constant: p}\n"
    "  - {name: mixed, key: [{name: a}, {name: b}, {name: c}], asset_constant: p,"
    " sharding: [c, a]}\n";

std::shared_ptr<const AccountTypes> Types() {
  auto types = ParseTypes("types.yaml", kTypes);
  REQUIRE(types.ok());
  return std::make_shared<const AccountTypes>(*std::move(types));
}

shards::ShardMap Two() {
  return *shards::ShardMap::Make({{"south", "0", "7"}, {"north", "8", "f"}});
}

v1::AccountKey Key(const std::string& type, const std::map<std::string, std::string>& key) {
  v1::AccountKey account;
  account.set_type(type);
  account.mutable_key()->insert(key.begin(), key.end());
  return account;
}

size_t Owner(const std::string& sharding_key) { return shards::HashOf(sharding_key) >> 63; }

}  // namespace

TEST_CASE("The values of the sharding attributes choose the shard, in the order of the key") {
  const auto types = Types();
  const shards::ShardMap map = Two();
  std::set<size_t> seen;
  for (int i = 0; i < 50; ++i) {
    const std::string n = std::to_string(i);
    const std::optional<size_t> wallet =
        ShardOf(map, *types, Key("client_wallet", {{"client_id", n}, {"currency", "RUB"}}));
    REQUIRE(wallet.has_value());
    CHECK(*wallet == Owner(n));
    seen.insert(*wallet);
    // As written in its shortest form, whatever the rest of the key is.
    CHECK(ShardOf(map, *types, Key("client_wallet", {{"client_id", n}, {"currency", "USD"}})) ==
          wallet);
    CHECK(ShardOf(map, *types, Key("whole", {{"a", n}, {"b", "x"}})) == Owner(n + "\x1fx"));
    CHECK(ShardOf(map, *types, Key("mixed", {{"a", n}, {"b", "y"}, {"c", "z"}})) ==
          Owner(n + "\x1fz"));
  }
  CHECK(seen.size() == 2);
  const shards::ShardMap one;
  CHECK(ShardOf(one, *types, Key("whole", {{"a", "1"}, {"b", "x"}})) == 0u);
}

TEST_CASE("An account that is none has no shard") {
  const auto types = Types();
  CHECK(ShardOf(Two(), *types, Key("nothing", {})) == std::nullopt);
  CHECK(ShardOf(Two(), *types, Key("whole", {{"a", "1"}})) == std::nullopt);
  CHECK(ShardOf(Two(), *types, Key("client_wallet", {{"client_id", "x"}, {"currency", "R"}})) ==
        std::nullopt);
}

TEST_CASE("A request across shards is refused, naming accounts and shards") {
  // SHA-1 of "1" begins with 35, of "2" with da, of "3" with 77.
  const auto check = [](const v1::WriteEventsRequest& request) {
    auto checked = Check(request, Types(), absl::Now());
    REQUIRE(checked.ok());
    return CheckOneShard(Two(), *checked);
  };
  CHECK(check(Request("r", {Wallet(1, "1"), Wallet(3, "1"), Wallet(1, "1")})).ok());
  const absl::Status status =
      check(Request("r", {Wallet(1, "1"), Wallet(2, "1"), Wallet(3, "1"), Wallet(2, "1", "USD")}));
  CHECK(status.code() == absl::StatusCode::kInvalidArgument);
  CHECK(FieldsOf(status) ==
        Details{{"events[1].account",
                 "client_wallet{client_id=2, currency=RUB} is on shard \"north\", but "
                 "client_wallet{client_id=1, currency=RUB} of events[0] is on shard \"south\"; all "
                 "events of a request must be on one shard"},
                {"events[3].account",
                 "client_wallet{client_id=2, currency=USD} is on shard \"north\", but "
                 "client_wallet{client_id=1, currency=RUB} of events[0] is on shard \"south\"; all "
                 "events of a request must be on one shard"}});
  auto one = Check(Request("r", {Wallet(1, "1"), Wallet(2, "1")}), Types(), absl::Now());
  REQUIRE(one.ok());
  CHECK(CheckOneShard(shards::ShardMap(), *one).ok());
}

TEST_CASE("A question about accounts is parted by shard, with its selection and moment") {
  const auto types = Types();
  v1::BatchGetBalancesRequest request;
  for (const int client : {1, 2, 3, 2}) *request.add_accounts() = Wallet(client, "1").account();
  request.mutable_selection()->add_group_by("source");
  request.mutable_at()->set_day("2026-01-01");
  const std::vector<BalancesPart> parts = PartByShard(Two(), *types, request);
  REQUIRE(parts.size() == 2);
  CHECK(parts[0].shard == 0);
  CHECK(parts[0].places == std::vector<int>{0, 2});
  CHECK(parts[1].places == std::vector<int>{1, 3});
  CHECK(parts[1].request.accounts(1).key().at("client_id") == "2");
  for (const BalancesPart& part : parts) {
    CHECK(part.request.accounts_size() == 2);
    CHECK(part.request.selection().group_by(0) == "source");
    CHECK(part.request.at().day() == "2026-01-01");
  }
}

TEST_CASE("What one shard can answer, or must refuse as a whole, is not parted") {
  const auto types = Types();
  v1::BatchGetBalancesRequest request;
  CHECK(PartByShard(Two(), *types, request).empty());
  *request.add_accounts() = Wallet(1, "1").account();
  *request.add_accounts() = Wallet(3, "1").account();
  CHECK(PartByShard(Two(), *types, request).empty());
  *request.add_accounts() = Wallet(2, "1").account();
  CHECK(PartByShard(Two(), *types, request).size() == 2);
  v1::BatchGetBalancesRequest mixed = request, unknown = request, many = request;
  *mixed.add_accounts() = Key("whole", {{"a", "1"}, {"b", "x"}});
  unknown.add_accounts()->set_type("client_wallet");
  while (many.accounts_size() < 1001) *many.add_accounts() = Wallet(2, "1").account();
  for (const auto& whole : {mixed, unknown, many}) {
    CHECK(PartByShard(Two(), *types, whole).empty());
  }
}

}  // namespace saldo::accounts
