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
#include "server/accounts/types/types_file.h"
#include "server/outbox/topic_name.h"

namespace saldo::accounts::internal {
namespace {

constexpr size_t kNameBytesMax = 63;
constexpr size_t kAssetBytesMax = 16;
constexpr size_t kIntegerBytesMax = 20;

bool IsName(const std::string& name) {
  return !name.empty() && name.size() <= kNameBytesMax &&
         absl::ascii_islower(static_cast<unsigned char>(name[0])) &&
         std::all_of(name.begin(), name.end(), [](char c) {
           const auto byte = static_cast<unsigned char>(c);
           return absl::ascii_islower(byte) || absl::ascii_isdigit(byte) || c == '_';
         });
}

std::string Quote(const std::string& text) {
  return absl::StrCat("\"", absl::Utf8SafeCEscape(text), "\"");
}

std::optional<size_t> IndexOf(const std::vector<Attribute>& attributes, const std::string& name) {
  for (size_t i = 0; i < attributes.size(); ++i) {
    if (attributes[i].name == name) return i;
  }
  return std::nullopt;
}

class TypeBuilder {
 public:
  TypeBuilder(const std::string& where, const TypeEntry& entry, Faults& faults)
      : where_(where), entry_(entry), faults_(faults) {}

  AccountType Build() {
    type_.name = entry_.name;
    if (!IsName(entry_.name)) AddNameFault("name", entry_.name);
    BuildAttributes();
    BuildAsset();
    BuildGroupings();
    BuildSharding();
    BuildLimits();
    BuildTopic();
    type_.retention = absl::Hours(24) * entry_.retention_days;
    return std::move(type_);
  }

 private:
  template <typename... Parts>
  void Add(const Parts&... parts) {
    faults_.push_back(absl::StrCat(where_, ": ", parts...));
  }

  void AddNameFault(const std::string& key, const std::string& name) {
    if (name.empty()) return Add(key, ": is missing");
    Add(key, ": got ", Quote(name), ", expected a-z, 0-9 and _, first a letter, at most ",
        kNameBytesMax, " of them");
  }

  void BuildAttributes() {
    type_.key = entry_.key;
    type_.auxiliary = entry_.auxiliary;
    std::set<std::string> seen;
    CheckAttributes("key", type_.key, seen);
    CheckAttributes("auxiliary", type_.auxiliary, seen);
  }

  void CheckAttributes(const std::string& list, const std::vector<Attribute>& attributes,
                       std::set<std::string>& seen) {
    size_t bytes = 0;
    for (size_t i = 0; i < attributes.size(); ++i) {
      const Attribute& attribute = attributes[i];
      const std::string path = absl::StrCat(list, ".", i, ".name");
      if (!IsName(attribute.name)) {
        AddNameFault(path, attribute.name);
      } else if (!seen.insert(attribute.name).second) {
        Add(path, ": ", Quote(attribute.name), " is the name of another attribute");
      }
      bytes +=
          1 + (attribute.kind == AttributeKind::kInteger ? kIntegerBytesMax : attribute.max_length);
    }
    if (bytes <= keys::kEncodedBytesMax) return;
    Add(list, ": its values may have ", bytes, " bytes together, more than ",
        keys::kEncodedBytesMax, "; lower max_length");
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
    type_.asset_key_index = IndexOf(type_.key, entry_.asset);
    // Without a key there is another fault already.
    if (!type_.asset_key_index.has_value() && !type_.key.empty())
      Add("asset: ", Quote(entry_.asset), " is not a key attribute");
  }

  // The indexes of names, in the order of the attributes.
  std::vector<size_t> Select(const std::string& path, const char* what,
                             const std::vector<Attribute>& attributes,
                             const std::vector<std::string>& names) {
    std::set<size_t> selected;
    for (const std::string& name : names) {
      const std::optional<size_t> index = IndexOf(attributes, name);
      if (!index.has_value()) {
        Add(path, ": ", Quote(name), " is not ", what, " attribute");
      } else if (!selected.insert(*index).second) {
        Add(path, ": ", Quote(name), " is given twice");
      }
    }
    return {selected.begin(), selected.end()};
  }

  void BuildGroupings() {
    std::set<Grouping> seen;
    for (size_t i = 0; i < entry_.groupings.size(); ++i) {
      const std::string path = absl::StrCat("groupings.", i);
      std::vector<std::string> names = absl::StrSplit(entry_.groupings[i], ',');
      for (std::string& name : names) absl::StripAsciiWhitespace(&name);
      const size_t faults_before = faults_.size();
      Grouping grouping = Select(path, "an auxiliary", type_.auxiliary, names);
      if (faults_.size() > faults_before) continue;
      if (!seen.insert(grouping).second) {
        Add(path, ": ", Quote(entry_.groupings[i]), " is given twice");
        continue;
      }
      type_.groupings.push_back(std::move(grouping));
    }
  }

  void BuildSharding() {
    type_.sharding = Select("sharding", "a key", type_.key, entry_.sharding);
    if (!entry_.sharding.empty()) return;
    for (size_t i = 0; i < type_.key.size(); ++i) type_.sharding.push_back(i);
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
    if (entry_.topic.empty() || outbox::IsTopicName(entry_.topic)) return;
    Add("topic: got ", Quote(entry_.topic),
        ", expected 1 to 249 letters, digits, '.', '_' and '-'");
  }

  const std::string& where_;
  const TypeEntry& entry_;
  Faults& faults_;
  AccountType type_;
};

// "types.yaml: types.1 (client_wallet)"
std::string PlaceOf(const std::string& name, size_t index, const TypeEntry& entry) {
  std::string place = absl::StrCat(name, ": types.", index);
  if (IsName(entry.name)) absl::StrAppend(&place, " (", entry.name, ")");
  return place;
}

}  // namespace

std::vector<AccountType> BuildTypes(const std::string& name, const std::vector<TypeEntry>& entries,
                                    Faults& faults) {
  std::vector<AccountType> types;
  std::map<std::string, size_t> names;
  std::map<std::string, size_t> topics;
  for (size_t i = 0; i < entries.size(); ++i) {
    const std::string where = PlaceOf(name, i, entries[i]);
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
