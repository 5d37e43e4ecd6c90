#include "server/accounts/types/compatibility.h"

#include <catch2/catch.hpp>
#include <functional>
#include <string>
#include <vector>

#include "tests/server/accounts/types/types_test_util.h"

namespace saldo::accounts {
namespace {

AccountType Configured(const std::string& lines) {
  return Parsed("types:\n  - name: wallet\n    " + lines)[0];
}

// What the database holds after it was used with the type.
StoredType StoredAs(const AccountType& type) {
  StoredType stored;
  stored.id = 1;
  stored.name = type.name;
  for (const Attribute& attribute : type.key) stored.key.push_back(keys::DefinitionOf(attribute));
  for (const Attribute& attribute : type.auxiliary)
    stored.auxiliary.push_back(keys::DefinitionOf(attribute));
  for (const size_t index : type.sharding) stored.sharding.push_back(type.key[index].name);
  if (type.asset_key_index.has_value()) {
    stored.asset_attribute = type.key[*type.asset_key_index].name;
  } else {
    stored.asset_constant = type.asset_constant;
  }
  stored.scale = type.scale;
  stored.keeps_balance = type.keeps_balance;
  stored.has_accounts = true;
  return stored;
}

const std::string kKey = "key: [{name: id, kind: integer}, {name: currency}]\n    ";
const std::string kAuxiliary = "auxiliary: [{name: a}, {name: b}]\n    ";
const std::string kAsset = "asset: currency\n    ";

}  // namespace

TEST_CASE("changes of a type with accounts") {
  struct Row {
    std::string before;
    std::string after;
    Faults faults;
  };
  const std::string same = kKey + kAuxiliary + kAsset;
  const std::string gone = " is gone, but accounts are stored with it";
  const std::string kind = ", but values are stored as they were";
  const std::string order = ", but values are stored in the order they had";
  const std::string middle = " is new and not at the end, but values are stored in their order";
  const std::string shard = ", but accounts stay on the shard that they were written to";
  const std::string asset = ", but accounts are stored with theirs";
  const std::string limit =
      ": the type had no limits and has accounts: their balances were not stored with them, so "
      "limits cannot be kept";
  const std::string sharding = "sharding: [currency]\n    ";
  const std::vector<Row> table = {
      {same, same, {}},
      // What may change.
      {same, same + "topic: other", {}},
      {same, same + "retention_days: 1", {}},
      {same, same + "groupings: [a]", {}},
      {same + "groupings: [a]", same, {}},
      {same + "scale: 2", same + "scale: 3", {}},
      {same + "min_balance: 0", same + "min_balance: 5\n    max_balance: 6", {}},
      {same + "min_balance: 0", same + "max_balance: 6", {}},
      {same + "min_balance: 0", same, {}},
      {same, kKey + kAsset + "auxiliary: [{name: a, max_length: 1}, {name: b}]", {}},
      {same, kKey + kAsset + "auxiliary: [{name: a}, {name: b}, {name: c, kind: integer}]", {}},
      {kKey + kAsset, kKey + kAsset + "auxiliary: [{name: a}]", {}},
      {same + "sharding: [id, currency]", same + "sharding: [currency, id]", {}},
      // The key.
      {same,
       kAuxiliary + kAsset + sharding + "key: [{name: currency}]",
       {"wallet: key: id" + gone, "wallet: sharding: was id, currency and is currency" + shard}},
      {same + sharding,
       kAuxiliary + kAsset + sharding +
           "key: [{name: id, kind: integer}, {name: region}, {name: currency}]",
       {"wallet: key: region is new, but the accounts that exist have no value for it"}},
      {same + sharding,
       kAuxiliary + kAsset + sharding +
           "key: [{name: id, kind: integer}, {name: currency}, {name: region}]",
       {"wallet: key: region is new, but the accounts that exist have no value for it"}},
      {same + sharding,
       kAuxiliary + kAsset + sharding + "key: [{name: currency}, {name: id, kind: integer}]",
       {"wallet: key: the order was id, currency and is currency, id" + order}},
      {same,
       kAuxiliary + kAsset + "key: [{name: id}, {name: currency}]",
       {"wallet: key: id was of kind integer and is of kind string" + kind}},
      {same + sharding,
       kAuxiliary + kAsset + sharding + "key: [{name: client, kind: integer}, {name: currency}]",
       {"wallet: key: id" + gone,
        "wallet: key: client is new, but the accounts that exist have no value for it"}},
      // Auxiliary attributes.
      {same, kKey + kAsset + "auxiliary: [{name: a}]", {"wallet: auxiliary: b" + gone}},
      {same, kKey + kAsset, {"wallet: auxiliary: a" + gone, "wallet: auxiliary: b" + gone}},
      {same,
       kKey + kAsset + "auxiliary: [{name: b}, {name: a}]",
       {"wallet: auxiliary: the order was a, b and is b, a" + order}},
      {same,
       kKey + kAsset + "auxiliary: [{name: c}, {name: a}, {name: b}]",
       {"wallet: auxiliary: c" + middle}},
      {same,
       kKey + kAsset + "auxiliary: [{name: a}, {name: c}, {name: b}, {name: d}]",
       {"wallet: auxiliary: c" + middle}},
      {same,
       kKey + kAsset + "auxiliary: [{name: a}, {name: b, kind: integer}]",
       {"wallet: auxiliary: b was of kind string and is of kind integer" + kind}},
      // A renamed one would take over the other's values.
      {same, kKey + kAsset + "auxiliary: [{name: a}, {name: c}]", {"wallet: auxiliary: b" + gone}},
      // The rest.
      {same + sharding, same, {"wallet: sharding: was currency and is id, currency" + shard}},
      {same,
       kKey + kAuxiliary + "asset: id",
       {"wallet: asset: was the key attribute currency and is the key attribute id" + asset}},
      {same,
       kKey + kAuxiliary + "asset_constant: currency",
       {"wallet: asset: was the key attribute currency and is \"currency\"" + asset}},
      {kKey + "asset_constant: a",
       kKey + "asset_constant: b",
       {"wallet: asset: was \"a\" and is \"b\"" + asset}},
      {same + "scale: 3",
       same + "scale: 2",
       {"wallet: scale: was 3 and is 2: stored amounts may have more digits"}},
      {same, same + "min_balance: 0", {"wallet: min_balance" + limit}},
      {same, same + "max_balance: 0", {"wallet: max_balance" + limit}},
  };
  for (const Row& row : table) {
    CAPTURE(row.before, row.after);
    StoredType stored = StoredAs(Configured(row.before));
    CHECK(FaultsOfChange(stored, Configured(row.after)) == row.faults);
    stored.has_accounts = false;
    CHECK(FaultsOfChange(stored, Configured(row.after)) == Faults{});
  }
}

TEST_CASE("all faults of a change are named at once") {
  const StoredType stored = StoredAs(Configured(kKey + kAuxiliary + kAsset + "scale: 4"));
  const AccountType changed = Configured(
      "key: [{name: client}]\n    auxiliary: [{name: b, kind: integer}]\n"
      "    asset_constant: points\n    min_balance: 0");
  CHECK(FaultsOfChange(stored, changed).size() == 9);
}

TEST_CASE("a type with accounts stays configured") {
  StoredType stored = StoredAs(Configured(kKey + kAsset));
  CHECK(FaultsOfRemoval(stored) ==
        Faults{"wallet: is not among the configured types, but has accounts"});
  stored.has_accounts = false;
  CHECK(FaultsOfRemoval(stored).empty());
}

TEST_CASE("stored balances are kept as long as there are accounts") {
  struct Row {
    bool stored;
    bool has_accounts;
    bool limited;
    bool keeps;
  };
  for (const Row& row : std::vector<Row>{{false, false, false, false},
                                         {false, false, true, true},
                                         {true, false, false, false},
                                         {true, false, true, true},
                                         {false, true, false, false},
                                         {true, true, false, true},
                                         {true, true, true, true}}) {
    CAPTURE(row.stored, row.has_accounts, row.limited);
    AccountType configured = Configured(kKey + kAsset);
    StoredType stored = StoredAs(configured);
    stored.keeps_balance = row.stored;
    stored.has_accounts = row.has_accounts;
    configured.keeps_balance = row.limited;
    CHECK(KeepsBalance(stored, configured) == row.keeps);
  }
}

}  // namespace saldo::accounts
