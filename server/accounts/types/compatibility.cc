#include "server/accounts/types/compatibility.h"

#include <algorithm>
#include <cstddef>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/accounts/types/types_file.h"

namespace saldo::accounts {
namespace {

using Names = std::vector<std::string>;

std::string NameOf(const std::string& definition) {
  return definition.substr(0, definition.find(' '));
}

std::string KindOf(const std::string& definition) {
  return definition.substr(definition.find(' ') + 1);
}

bool Contains(const Names& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

Names Common(const Names& of, const Names& with) {
  Names common;
  for (const std::string& name : of) {
    if (Contains(with, name)) common.push_back(name);
  }
  return common;
}

std::string List(const Names& names) { return absl::StrJoin(names, ", "); }

class Comparison {
 public:
  Comparison(const StoredType& stored, const AccountType& configured)
      : stored_(stored), configured_(configured) {}

  Faults Run() {
    CompareAttributes("key", stored_.key, configured_.key);
    CompareAttributes("auxiliary", stored_.auxiliary, configured_.auxiliary);
    CompareSharding();
    CompareAsset();
    if (configured_.scale < stored_.scale) {
      Add("scale: was ", stored_.scale, " and is ", configured_.scale,
          ": stored amounts may have more digits");
    }
    if (!stored_.keeps_balance && configured_.keeps_balance) {
      Add(configured_.min_balance.has_value() ? "min_balance" : "max_balance",
          ": the type had no limits and has accounts: their balances were not stored with them, "
          "so limits cannot be kept");
    }
    return std::move(faults_);
  }

 private:
  template <typename... Parts>
  void Add(const Parts&... parts) {
    faults_.push_back(absl::StrCat(stored_.name, ": ", parts...));
  }

  void CompareAttributes(const std::string& list, const Names& stored,
                         const std::vector<Attribute>& configured) {
    Names before, after;
    for (const std::string& definition : stored) before.push_back(NameOf(definition));
    for (const Attribute& attribute : configured) after.push_back(attribute.name);
    for (const std::string& definition : stored) {
      if (!Contains(after, NameOf(definition)))
        Add(list, ": ", NameOf(definition), " is gone, but accounts are stored with it");
    }
    for (const Attribute& attribute : configured) {
      for (const std::string& definition : stored) {
        if (NameOf(definition) != attribute.name || definition == keys::DefinitionOf(attribute))
          continue;
        Add(list, ": ", attribute.name, " was of kind ", KindOf(definition), " and is of kind ",
            KindOf(keys::DefinitionOf(attribute)), ", but values are stored as they were");
      }
    }
    const Names kept = Common(before, after);
    if (kept != Common(after, before)) {
      Add(list, ": the order was ", List(kept), " and is ", List(Common(after, before)),
          ", but values are stored in the order they had");
    }
    CheckAdded(list, kept, before, after);
  }

  // What is stored without a value shows an empty one, which only a last attribute can have: values
  // have no names of their own. An account's key must be whole.
  void CheckAdded(const std::string& list, const Names& kept, const Names& before,
                  const Names& after) {
    size_t kept_before = 0;
    for (const std::string& name : after) {
      if (Contains(before, name)) {
        ++kept_before;
      } else if (list == "key") {
        Add(list, ": ", name, " is new, but the accounts that exist have no value for it");
      } else if (kept_before < kept.size()) {
        Add(list, ": ", name, " is new and not at the end, but values are stored in their order");
      }
    }
  }

  void CompareSharding() {
    Names now;
    for (const size_t index : configured_.sharding) now.push_back(configured_.key[index].name);
    if (now == stored_.sharding) return;
    Add("sharding: was ", List(stored_.sharding), " and is ", List(now),
        ", but accounts stay on the shard that they were written to");
  }

  void CompareAsset() {
    const std::string before = stored_.asset_attribute.has_value()
                                   ? absl::StrCat("the key attribute ", *stored_.asset_attribute)
                                   : absl::StrCat("\"", stored_.asset_constant.value_or(""), "\"");
    const std::string now =
        configured_.asset_key_index.has_value()
            ? absl::StrCat("the key attribute ", configured_.key[*configured_.asset_key_index].name)
            : absl::StrCat("\"", configured_.asset_constant, "\"");
    if (before == now) return;
    Add("asset: was ", before, " and is ", now, ", but accounts are stored with theirs");
  }

  const StoredType& stored_;
  const AccountType& configured_;
  Faults faults_;
};

}  // namespace

Faults FaultsOfChange(const StoredType& stored, const AccountType& configured) {
  if (!stored.has_accounts) return {};
  return Comparison(stored, configured).Run();
}

bool IsRedefinition(const StoredType& stored, const AccountType& configured) {
  return !Comparison(stored, configured).Run().empty();
}

Faults FaultsOfRemoval(const StoredType& stored) {
  if (!stored.has_accounts) return {};
  return {absl::StrCat(stored.name, ": is not among the configured types, but has accounts")};
}

bool KeepsBalance(const StoredType& stored, const AccountType& configured) {
  return configured.keeps_balance || (stored.keeps_balance && stored.has_accounts);
}

}  // namespace saldo::accounts
