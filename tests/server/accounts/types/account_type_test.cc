#include "server/accounts/types/account_type.h"

#include <catch2/catch.hpp>
#include <utility>

#include "server/accounts/types/attributes.h"

namespace saldo::accounts {
namespace {

AccountType Commission() {
  AccountType type;
  type.name = "taxi_commission";
  type.key = {{"client_id", AttributeKind::kInteger, 64}, {"currency", AttributeKind::kString, 3}};
  type.asset_key_index = 1;
  return type;
}

}  // namespace

TEST_CASE("what an account is counted in, and how it is shown") {
  AccountType type = Commission();
  CHECK(AssetOf(type, "17\x1fRUB") == "RUB");
  CHECK(DescribeAccount(type, "17\x1fRUB") == "taxi_commission{client_id=17, currency=RUB}");
  type.asset_key_index.reset();
  type.asset_constant = "points";
  CHECK(AssetOf(type, "17\x1fRUB") == "points");
}

TEST_CASE("types are found by name and id") {
  AccountType first = Commission();
  first.id = 4;
  AccountType second = Commission();
  second.name = "wallet";
  AccountTypes built({first, second});
  const AccountTypes types = std::move(built);
  REQUIRE(types.all().size() == 2);
  CHECK(types.Find("taxi_commission") == &types.all().front());
  CHECK(types.Find("wallet") == &types.all()[1]);
  CHECK(types.Find("taxi") == nullptr);
  CHECK(types.Find(4) == &types.all().front());
  CHECK(types.Find(0) == nullptr);
  CHECK(types.Find(5) == nullptr);
}

}  // namespace saldo::accounts
