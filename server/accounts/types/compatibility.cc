#include "server/accounts/types/compatibility.h"

#include "absl/strings/str_cat.h"
#include "server/keys/definition.h"

namespace saldo::accounts {
namespace {

class Comparison {
 public:
  Comparison(const StoredType& stored, const AccountType& configured)
      : stored_(stored), configured_(configured) {}

  Faults Run() {
    // An account's key must be whole.
    keys::CompareAttributes(stored_.name, "key", "accounts", stored_.key, configured_.key,
                            /*takes_new=*/false, faults_);
    keys::CompareAttributes(stored_.name, "auxiliary", "accounts", stored_.auxiliary,
                            configured_.auxiliary, /*takes_new=*/true, faults_);
    keys::CompareSharding(stored_.name, "accounts", stored_.sharding, configured_.key,
                          configured_.sharding, faults_);
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
