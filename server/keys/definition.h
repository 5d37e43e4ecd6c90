// What a types file says of every kind of type alike: its name, its attributes, what chooses the
// shard. Checked here, so that all kinds are refused for the same reasons and in the same words.
#pragma once

#include <cstddef>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/config/binder.h"
#include "server/keys/attributes.h"
#include "server/keys/faults.h"

namespace saldo::keys {

// Of each kind, in a file.
inline constexpr int kTypesMax = 100;
// For what a binder leaves open, such as the form of names: then a file has all its faults named at
// once, by DefinitionCheck.
inline constexpr config::LengthRange kDefinitionText = {.min = 0, .max = 1024};

// One attribute of a types file.
void BindAttribute(config::Binder& binder, Attribute& attribute);

// 1 to 63 of a-z, 0-9 and _, first a letter.
bool IsName(const std::string& name);

// In quotes, with what cannot be printed escaped.
std::string Quote(const std::string& text);

std::optional<size_t> IndexOf(const std::vector<Attribute>& attributes, const std::string& name);

// "types.yaml: locks.1 (client_lock)": where the entry `index` of a list is.
std::string PlaceOf(const std::string& file, const std::string& list, size_t index,
                    const std::string& name);

// Checks one type; adds what is wrong to the faults, each after the type's place.
class DefinitionCheck {
 public:
  // `faults` outlives it.
  DefinitionCheck(std::string where, Faults& faults) : where_(std::move(where)), faults_(faults) {}

  template <typename... Parts>
  void Add(const Parts&... parts) {
    faults_.push_back(absl::StrCat(where_, ": ", parts...));
  }
  size_t count() const { return faults_.size(); }

  void CheckTypeName(const std::string& name);
  // `list` is their place, such as "key". `seen` holds the names of the type's other attributes and
  // gets these.
  void CheckAttributes(const std::string& list, const std::vector<Attribute>& attributes,
                       std::set<std::string>& seen);
  // The indexes of `names`, in the order of the attributes; `what` they are: "a key".
  std::vector<size_t> Select(const std::string& path, const char* what,
                             const std::vector<Attribute>& attributes,
                             const std::vector<std::string>& names);
  // The key attributes that choose the shard: all when `names` has none.
  std::vector<size_t> Sharding(const std::vector<Attribute>& key,
                               const std::vector<std::string>& names);
  void CheckTopic(const std::string& topic);

 private:
  void AddNameFault(const std::string& path, const std::string& name);

  const std::string where_;
  Faults& faults_;
};

// Adds what forbids that things of a type, which are stored by `stored` (see DefinitionOf), are
// used by the attributes `configured`. `what` they are: "accounts"; `list` as above. Only where
// `takes_new`, an attribute may be added, behind the others.
void CompareAttributes(const std::string& type, const std::string& list, const std::string& what,
                       const std::vector<std::string>& stored,
                       const std::vector<Attribute>& configured, bool takes_new, Faults& faults);
// The same for what chooses the shard, `stored` by name.
void CompareSharding(const std::string& type, const std::string& what,
                     const std::vector<std::string>& stored, const std::vector<Attribute>& key,
                     const std::vector<size_t>& configured, Faults& faults);

// Definitions and names, as the database keeps them.
std::vector<std::string> DefinitionsOf(const std::vector<Attribute>& attributes);
std::vector<std::string> NamesOf(const std::vector<Attribute>& attributes,
                                 const std::vector<size_t>& indexes);

}  // namespace saldo::keys
