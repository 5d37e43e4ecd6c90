#include "server/accounts/types/type_rules.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "common/observability/text.h"
#include "server/keys/definition.h"

namespace saldo::accounts::internal {
namespace {

constexpr size_t kAssetBytesMax = 16;

using keys::IsName;
using keys::Quote;

class TypeBuilder {
 public:
  TypeBuilder(const std::string& where, const TypeEntry& entry, Faults& faults)
      : check_(where, faults), entry_(entry) {}

  AccountType Build() {
    type_.name = entry_.name;
    check_.CheckTypeName(entry_.name);
    BuildAttributes();
    BuildAsset();
    BuildGroupings();
    type_.sharding = check_.Sharding(type_.key, entry_.sharding);
    BuildLimits();
    BuildTopic();
    type_.retention = absl::Hours(24) * entry_.retention_days;
    return std::move(type_);
  }

 private:
  template <typename... Parts>
  void Add(const Parts&... parts) {
    check_.Add(parts...);
  }

  void BuildAttributes() {
    type_.key = entry_.key;
    type_.auxiliary = entry_.auxiliary;
    std::set<std::string> seen;
    check_.CheckAttributes("key", type_.key, seen);
    check_.CheckAttributes("auxiliary", type_.auxiliary, seen);
  }

  void BuildAsset() {
    if (entry_.asset.empty() == entry_.asset_constant.empty()) {
      Add("asset: expected either asset or asset_constant, got ",
          entry_.asset.empty() ? "neither" : "both");
      return;
    }
    if (entry_.asset.empty()) {
      type_.asset_constant = entry_.asset_constant;
      const bool printable =
          text::CountUtf8(entry_.asset_constant).has_value() &&
          std::none_of(entry_.asset_constant.begin(), entry_.asset_constant.end(),
                       [](char c) { return absl::ascii_iscntrl(static_cast<unsigned char>(c)); });
      if (entry_.asset_constant.size() > kAssetBytesMax || !printable) {
        Add("asset_constant: got ", Quote(entry_.asset_constant), ", expected a text of 1 to ",
            kAssetBytesMax, " bytes without control characters");
      }
      return;
    }
    type_.asset_key_index = keys::IndexOf(type_.key, entry_.asset);
    // Without a key there is another fault already.
    if (!type_.asset_key_index.has_value() && !type_.key.empty())
      Add("asset: ", Quote(entry_.asset), " is not a key attribute");
  }

  void BuildGroupings() {
    std::set<Grouping> seen;
    for (size_t i = 0; i < entry_.groupings.size(); ++i) {
      const std::string path = absl::StrCat("groupings.", i);
      std::vector<std::string> names = absl::StrSplit(entry_.groupings[i], ',');
      for (std::string& name : names) absl::StripAsciiWhitespace(&name);
      const size_t faults_before = check_.count();
      Grouping grouping = check_.Select(path, "an auxiliary", type_.auxiliary, names);
      if (check_.count() > faults_before) continue;
      if (!seen.insert(grouping).second) {
        Add(path, ": ", Quote(entry_.groupings[i]), " is given twice");
        continue;
      }
      type_.groupings.push_back(std::move(grouping));
    }
  }

  std::optional<Decimal> ParseLimit(const std::string& path, const std::string& text) {
    if (text.empty()) return std::nullopt;
    const absl::StatusOr<Decimal> limit = Decimal::Parse(text);
    if (!limit.ok()) {
      Add(path, ": got ", Quote(text), ": ", limit.status().message());
      return std::nullopt;
    }
    if (limit->FractionDigits() > type_.scale) {
      Add(path, ": ", text, " has more digits after the point than the scale of ", type_.scale);
    }
    return *limit;
  }

  void BuildLimits() {
    type_.scale = entry_.scale;
    type_.min_balance = ParseLimit("min_balance", entry_.min_balance);
    type_.max_balance = ParseLimit("max_balance", entry_.max_balance);
    type_.keeps_balance = type_.min_balance.has_value() || type_.max_balance.has_value();
    if (type_.min_balance.has_value() && type_.max_balance.has_value() &&
        *type_.min_balance > *type_.max_balance) {
      Add("min_balance: ", entry_.min_balance, " is above max_balance, ", entry_.max_balance);
    }
  }

  void BuildTopic() {
    type_.topic = entry_.topic;
    if (type_.topic.empty())
      type_.topic = absl::StrCat("saldo-", absl::StrReplaceAll(entry_.name, {{"_", "-"}}));
    if (!entry_.topic.empty()) check_.CheckTopic(entry_.topic);
  }

  keys::DefinitionCheck check_;
  const TypeEntry& entry_;
  AccountType type_;
};

}  // namespace

std::vector<AccountType> BuildTypes(const std::string& name, const std::vector<TypeEntry>& entries,
                                    Faults& faults) {
  std::vector<AccountType> types;
  std::map<std::string, size_t> names;
  std::map<std::string, size_t> topics;
  for (size_t i = 0; i < entries.size(); ++i) {
    const std::string where = keys::PlaceOf(name, "types", i, entries[i].name);
    types.push_back(TypeBuilder(where, entries[i], faults).Build());
    if (!IsName(types[i].name)) continue;
    if (const auto [first, fresh] = names.emplace(types[i].name, i); !fresh) {
      faults.push_back(absl::StrCat(where, ": name: is that of types.", first->second, " too"));
    } else if (const auto [other, free] = topics.emplace(types[i].topic, i); !free) {
      faults.push_back(absl::StrCat(where, ": topic: ", types[i].topic, " is that of types.",
                                    other->second, " too, and each type has its own"));
    }
  }
  return types;
}

}  // namespace saldo::accounts::internal
