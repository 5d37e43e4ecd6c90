#include "server/accounts/types/types_file.h"

#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/devstack/files.h"
#include "server/accounts/types/faults.h"
#include "tests/server/accounts/types/types_test_util.h"
#include "tests/support/test_env.h"

namespace saldo::accounts {
namespace {

Faults FaultsIn(const std::string& yaml) {
  const auto types = ParseTypes("t.yaml", yaml);
  return types.ok() ? Faults{} : FaultsOf(types.status());
}

// A type with the given lines besides a name and, where they give none, a key and an asset.
std::string TypeWith(const std::string& lines) {
  std::string yaml = "types:\n  - name: wallet\n";
  if (lines.find("key:") == std::string::npos)
    yaml += "    key: [{name: id, kind: integer}, {name: currency}]\n";
  if (lines.find("asset") == std::string::npos) yaml += "    asset: currency\n";
  return yaml + "    " + lines + "\n";
}

std::string Attributes(const std::string& list, int count, const std::string& more = "") {
  std::string yaml = list + ": [";
  for (int i = 0; i < count; ++i)
    absl::StrAppend(&yaml, i == 0 ? "" : ", ", "{name: a", i, more, "}");
  return yaml + "]";
}

}  // namespace

TEST_CASE("every value of a type is read") {
  const std::vector<AccountType> types = Parsed(R"yaml(
types:
  - name: taxi_commission
    key:
      - {name: client_id, kind: integer}
      - {name: currency, max_length: 3}
    auxiliary: [{name: product}, {name: region, kind: string, max_length: 256}]
    asset: currency
    groupings: [" region ,product", product]
    sharding: [currency]
    scale: 4
    min_balance: -10.5
    max_balance: "99999999999999999999.9999"
    topic: Taxi.Events_1
    retention_days: 36525
  - name: points
    key: [{name: id}]
    asset_constant: reward points
)yaml");
  REQUIRE(types.size() == 2);
  const AccountType& taxi = types[0];
  CHECK(taxi.id == 0);
  CHECK(taxi.name == "taxi_commission");
  CHECK(taxi.key == std::vector<Attribute>{{"client_id", AttributeKind::kInteger, 64},
                                           {"currency", AttributeKind::kString, 3}});
  CHECK(taxi.auxiliary == std::vector<Attribute>{{"product", AttributeKind::kString, 64},
                                                 {"region", AttributeKind::kString, 256}});
  CHECK(taxi.asset_key_index == 1U);
  CHECK(taxi.asset_constant.empty());
  CHECK(taxi.groupings == std::vector<Grouping>{{0, 1}, {0}});
  CHECK(taxi.sharding == std::vector<size_t>{1});
  CHECK(taxi.scale == 4);
  CHECK(taxi.min_balance == Decimal::Parse("-10.5").value());
  CHECK(taxi.max_balance == Decimal::Parse("99999999999999999999.9999").value());
  CHECK(taxi.keeps_balance);
  CHECK(taxi.topic == "Taxi.Events_1");
  CHECK(taxi.retention == absl::Hours(24) * 36'525);

  const AccountType& points = types[1];
  CHECK(points.auxiliary.empty());
  CHECK(points.asset_key_index == std::nullopt);
  CHECK(points.asset_constant == "reward points");
  CHECK(points.groupings.empty());
  CHECK(points.sharding == std::vector<size_t>{0});
  CHECK(points.scale == 2);
  CHECK(points.min_balance == std::nullopt);
  CHECK(points.max_balance == std::nullopt);
  CHECK_FALSE(points.keeps_balance);
  CHECK(points.topic == "saldo-points");
  CHECK(points.retention == absl::Hours(24) * 400);
}

TEST_CASE("what is at its limit is allowed") {
  const std::vector<std::string> table = {
      "types: [{name: " + std::string(63, 'a') + ", key: [{name: id}], asset: id}]",
      TypeWith(Attributes("key", 16) + "\n    asset: a0"),
      TypeWith(Attributes("auxiliary", 16)),
      TypeWith(Attributes("auxiliary", 9, ", max_length: 256")),
      TypeWith("asset_constant: abcdefghijklmnop"),
      TypeWith("scale: 0\n    min_balance: 0\n    max_balance: 0.00"),
      TypeWith("scale: 18\n    min_balance: 0.000000000000000001"),
      TypeWith("retention_days: 1"),
      TypeWith("topic: " + std::string(249, 't')),
  };
  for (const std::string& yaml : table) {
    CAPTURE(yaml);
    CHECK(FaultsIn(yaml) == Faults{});
  }
}

TEST_CASE("faults of a type") {
  struct Row {
    std::string lines;
    Faults faults;
  };
  const std::string at = "t.yaml: types.0 (wallet): ";
  const std::string form = ", expected a-z, 0-9 and _, first a letter, at most 63 of them";
  const std::vector<Row> table = {
      {"key: []", {"t.yaml:4: types.0.key: got 0 items, expected 1 to 16 items"}},
      {Attributes("key", 17), {"t.yaml:4: types.0.key: got 17 items, expected 1 to 16 items"}},
      {Attributes("auxiliary", 17),
       {"t.yaml:5: types.0.auxiliary: got 17 items, expected 0 to 16 items"}},
      {"key: [{kind: string}, {name: currency}]", {at + "key.0.name: is missing"}},
      {"key: [{name: Id}, {name: currency}]", {at + "key.0.name: got \"Id\"" + form}},
      {"auxiliary: [{name: 1a}]", {at + "auxiliary.0.name: got \"1a\"" + form}},
      {"auxiliary: [{name: a-b}]", {at + "auxiliary.0.name: got \"a-b\"" + form}},
      {"auxiliary: [{name: " + std::string(64, 'a') + "}]",
       {at + "auxiliary.0.name: got \"" + std::string(64, 'a') + "\"" + form}},
      {"key: [{name: currency}, {name: currency}]",
       {at + "key.1.name: \"currency\" is the name of another attribute"}},
      {"auxiliary: [{name: a}, {name: id}]",
       {at + "auxiliary.1.name: \"id\" is the name of another attribute"}},
      {"auxiliary: [{name: a, kind: number}]",
       {"t.yaml:5: types.0.auxiliary.0.kind: got \"number\", expected one of string, integer"}},
      {"auxiliary: [{name: a, max_length: 0}]",
       {"t.yaml:5: types.0.auxiliary.0.max_length: got \"0\", expected a whole number from 1 to "
        "256"}},
      {"auxiliary: [{name: a, max_length: 257}]",
       {"t.yaml:5: types.0.auxiliary.0.max_length: got \"257\", expected a whole number from 1 to "
        "256"}},
      {Attributes("auxiliary", 10, ", max_length: 256"),
       {at + "auxiliary: its values may have 2570 bytes together, more than 2500; lower "
             "max_length"}},
      {Attributes("key", 10, ", max_length: 256") + "\n    asset: a0",
       {at + "key: its values may have 2570 bytes together, more than 2500; lower max_length"}},
      {"asset: \"\"", {at + "asset: expected either asset or asset_constant, got neither"}},
      {"asset: currency\n    asset_constant: points",
       {at + "asset: expected either asset or asset_constant, got both"}},
      {"asset: region", {at + "asset: \"region\" is not a key attribute"}},
      {"asset_constant: abcdefghijklmnopq",
       {at + "asset_constant: got \"abcdefghijklmnopq\", expected a text of 1 to 16 bytes without "
             "control characters"}},
      {"asset_constant: \"a\\tb\"",
       {at + "asset_constant: got \"a\\tb\", expected a text of 1 to 16 bytes without control "
             "characters"}},
      {"groupings: [a]", {at + "groupings.0: \"a\" is not an auxiliary attribute"}},
      {"groupings: [id]", {at + "groupings.0: \"id\" is not an auxiliary attribute"}},
      {"auxiliary: [{name: a}]\n    groupings: [\"a, a\", \"a,\"]",
       {at + "groupings.0: \"a\" is given twice",
        at + "groupings.1: \"\" is not an auxiliary attribute"}},
      {"auxiliary: [{name: a}, {name: b}]\n    groupings: [\"a, b\", \"b, a\"]",
       {at + "groupings.1: \"b, a\" is given twice"}},
      {"sharding: [id, id]", {at + "sharding: \"id\" is given twice"}},
      {"sharding: [region]", {at + "sharding: \"region\" is not a key attribute"}},
      {"scale: 19", {"t.yaml:5: types.0.scale: got \"19\", expected a whole number from 0 to 18"}},
      {"scale: -1", {"t.yaml:5: types.0.scale: got \"-1\", expected a whole number from 0 to 18"}},
      {"min_balance: 0.001",
       {at + "min_balance: 0.001 has more digits after the point than the scale of 2"}},
      {"scale: 0\n    max_balance: 0.1",
       {at + "max_balance: 0.1 has more digits after the point than the scale of 0"}},
      {"min_balance: 1\n    max_balance: 0.99", {at + "min_balance: 1 is above max_balance, 0.99"}},
      {"topic: a b",
       {at + "topic: got \"a b\", expected 1 to 249 letters, digits, '.', '_' and '-'"}},
      {"topic: ..",
       {at + "topic: got \"..\", expected 1 to 249 letters, digits, '.', '_' and '-'"}},
      {"retention_days: 0",
       {"t.yaml:5: types.0.retention_days: got \"0\", expected a whole number from 1 to 36525"}},
      {"retention_days: 36526",
       {"t.yaml:5: types.0.retention_days: got \"36526\", expected a whole number from 1 to "
        "36525"}},
      {"currency: RUB", {"t.yaml:5: types.0.currency: unknown key"}},
  };
  for (const Row& row : table) {
    CAPTURE(row.lines);
    CHECK(FaultsIn(TypeWith(row.lines)) == row.faults);
  }
}

TEST_CASE("limits that are no decimals") {
  for (const std::string limit : {"x", "1e3", "1,5", ".5", "100000000000000000000"}) {
    CAPTURE(limit);
    const Faults faults = FaultsIn(TypeWith("min_balance: \"" + limit + "\""));
    REQUIRE(faults.size() == 1);
    CHECK_THAT(faults[0],
               Catch::StartsWith("t.yaml: types.0 (wallet): min_balance: got \"" + limit + "\": "));
  }
}

TEST_CASE("faults between types and of the whole file") {
  const std::string rest = ", key: [{name: id}], asset_constant: p";
  const std::string form = ", expected a-z, 0-9 and _, first a letter, at most 63 of them";
  struct Row {
    std::string yaml;
    Faults faults;
  };
  std::string many = "types:\n";
  for (int i = 0; i < 101; ++i) absl::StrAppend(&many, "  - {name: t", i, rest, "}\n");
  const std::vector<Row> table = {
      {"types: [{name: a" + rest + "}, {name: b" + rest + "}, {name: a" + rest + "}]",
       {"t.yaml: types.2 (a): name: is that of types.0 too"}},
      {"types: [{name: a, topic: saldo-b" + rest + "}, {name: b" + rest + "}]",
       {"t.yaml: types.1 (b): topic: saldo-b is that of types.0 too, and each type has its own"}},
      {"types: [{" + rest.substr(2) + "}]", {"t.yaml: types.0: name: is missing"}},
      {"types: [{name: \"a\\nb\"" + rest + "}]", {"t.yaml: types.0: name: got \"a\\nb\"" + form}},
      {"types: [{name: saldo_wallet" + rest + "}]",
       {"t.yaml: types.0 (saldo_wallet): name: got \"saldo_wallet\", but names that begin with "
        "saldo_ are the program's own"}},
      {"types: []", {"t.yaml:1: types: got 0 items, expected 1 to 100 items"}},
      {"", {"types: got 0 items, expected 1 to 100 items"}},
      {many, {"t.yaml:1: types: got 101 items, expected 1 to 100 items"}},
      {"types: 5", {"t.yaml:1: types: got \"5\", expected a list of sections"}},
      {"type: []",
       {"t.yaml:1: type: unknown key, did you mean types?",
        "types: got 0 items, expected 1 to 100 items"}},
  };
  for (const Row& row : table) {
    CAPTURE(row.yaml);
    CHECK(FaultsIn(row.yaml) == row.faults);
  }
  CHECK(FaultsIn("types: [").size() == 1);
}

TEST_CASE("all faults of a file are named at once") {
  CHECK(FaultsIn("types:\n"
                 "  - name: Wallet\n"
                 "    key: [{name: id, kind: number}]\n"
                 "    asset: currency\n"
                 "    scale: 20\n"
                 "  - name: points\n"
                 "    key: [{name: id}]\n"
                 "    groupings: [region]\n"
                 "    topic: \"?\"\n") ==
        Faults{"t.yaml:3: types.0.key.0.kind: got \"number\", expected one of string, integer",
               "t.yaml:5: types.0.scale: got \"20\", expected a whole number from 0 to 18",
               "t.yaml: types.0: name: got \"Wallet\", expected a-z, 0-9 and _, first a letter, at "
               "most 63 of them",
               "t.yaml: types.0: asset: \"currency\" is not a key attribute",
               "t.yaml: types.1 (points): asset: expected either asset or asset_constant, got "
               "neither",
               "t.yaml: types.1 (points): groupings.0: \"region\" is not an auxiliary attribute",
               "t.yaml: types.1 (points): topic: got \"?\", expected 1 to 249 letters, digits, "
               "'.', '_' and '-'"});
}

TEST_CASE("the built-in example is valid, and so is a copy of it") {
  const std::vector<AccountType> types = Parsed(std::string(DefaultTypesYaml()));
  REQUIRE(types.size() == 3);
  CHECK(types[0].name == "taxi_commission");
  CHECK(types[0].groupings == std::vector<Grouping>{{0}, {1}, {0, 1}});
  CHECK(types[1].name == "client_wallet");
  CHECK(types[1].min_balance == Decimal());
  CHECK(types[1].keeps_balance);
  CHECK(types[2].name == "agency_reward");
  CHECK(types[2].asset_constant == "points");

  const testing::TempDir folder;
  const std::string path = folder.File("types.yaml");
  REQUIRE(devstack::WriteFile(path, std::string(DefaultTypesYaml())).ok());
  const auto read = ReadTypes(path);
  REQUIRE(read.ok());
  CHECK(read->size() == 3);
  CHECK(FaultsOf(ReadTypes(folder.path() + "/none").status()) ==
        Faults{folder.path() + "/none: cannot read the configuration file: No such file or "
                               "directory"});
}

TEST_CASE("events are kept as long as the keys that make their writing idempotent") {
  const std::vector<AccountType> types = Parsed(
      "types: [{name: a, key: [{name: id}], asset_constant: p, retention_days: 2},"
      " {name: b, key: [{name: id}], asset_constant: p, retention_days: 3}]");
  CHECK(CheckRetention(types, absl::Hours(24)).ok());
  CHECK(
      FaultsOf(CheckRetention(types, absl::Hours(25))) ==
      Faults{
          "a: retention_days: 2 is less than twice ledger.idempotency_retention, 25h, for which a "
          "request id may be kept: the answer to a repeated request is read from its events"});
  CHECK(FaultsOf(CheckRetention(types, absl::Hours(37))).size() == 2);
}

}  // namespace saldo::accounts
