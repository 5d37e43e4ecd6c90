#include "cli/shard/which.h"

#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "cli/args.h"

namespace saldo::cli::shard {
namespace {

using Texts = std::vector<std::string>;

const std::vector<KeyedType> kTypes = {
    {"account", "wallet", {"client_id integer", "currency string"}, {"client_id"}},
    {"account", "fee", {"city string", "client_id integer"}, {"city", "client_id"}},
    {"lock", "import", {"name string"}, {"name"}},
    {"state", "import", {"name string"}, {"name"}}};

std::string Fault(const absl::Status& status) {
  CHECK(IsUsageError(status));
  return std::string(status.message());
}

}  // namespace

TEST_CASE("a type is found by its name, and by its kind where the name is shared") {
  REQUIRE(FindType(kTypes, "wallet").ok());
  CHECK(FindType(kTypes, "wallet")->name == "wallet");
  CHECK(FindType(kTypes, "account:wallet").ok());
  CHECK(FindType(kTypes, "state:import")->kind == "state");
  CHECK(Fault(FindType(kTypes, "import").status()) ==
        "'import' is the name of several types: say lock:import or state:import");
  CHECK(Fault(FindType(kTypes, "lock:wallet").status()) ==
        "there is no type 'lock:wallet'; there are wallet, fee, lock:import, state:import");
  const absl::Status none = FindType({}, "wallet").status();
  CHECK_FALSE(IsUsageError(none));
  CHECK_THAT(std::string(none.message()), Catch::Contains("no saldo-server has been started"));
}

TEST_CASE("the sharding values come in the order of the key, as servers write them") {
  CHECK(*ShardingValues(kTypes[0], Texts{"client_id=17"}) == Texts{"17"});
  CHECK(*ShardingValues(kTypes[0], Texts{"currency=RUB", "client_id=0017"}) == Texts{"17"});
  CHECK(*ShardingValues(kTypes[1], Texts{"client_id=-5", "city=a=b"}) == Texts{"a=b", "-5"});
  CHECK(*ShardingValues(kTypes[1], Texts{"client_id=0", "city="}) == Texts{"", "0"});
}

TEST_CASE("what is wrong with the values is said") {
  const auto fault = [](const KeyedType& type, const Texts& pairs) {
    return Fault(ShardingValues(type, pairs).status());
  };
  CHECK(fault(kTypes[0], {}) == "client_id is missing: wallet is sharded by client_id");
  CHECK(fault(kTypes[0], {"currency=RUB"}) ==
        "client_id is missing: wallet is sharded by client_id");
  CHECK(fault(kTypes[1], {}) == "city, client_id are missing: fee is sharded by city, client_id");
  CHECK(fault(kTypes[0], {"client=17"}) ==
        "the key of wallet has no attribute 'client'; it has client_id, currency");
  CHECK(fault(kTypes[0], {"client_id"}) == "'client_id' is not of the form KEY=VALUE");
  CHECK(fault(kTypes[0], {"client_id=1", "client_id=2"}) == "client_id is given twice");
  for (const char* value : {"", "x", "1x", " 1", "+1", "9223372036854775808"}) {
    CHECK_THAT(fault(kTypes[0], {std::string("client_id=") + value}),
               Catch::Contains("must be a whole number of 64 bits"));
  }
}

}  // namespace saldo::cli::shard
