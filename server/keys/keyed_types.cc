#include "server/keys/keyed_types.h"

namespace saldo::keys {

std::string_view NameOf(KeyedKind kind) { return kind == KeyedKind::kLock ? "lock" : "state"; }

KeyedTypes::KeyedTypes(std::vector<KeyedType> types) : types_(std::move(types)) {
  for (const KeyedType& type : types_) by_name_.emplace(std::pair(type.kind, type.name), &type);
}

const KeyedType* KeyedTypes::Find(KeyedKind kind, std::string_view name) const {
  const auto found = by_name_.find(std::pair(kind, std::string(name)));
  return found == by_name_.end() ? nullptr : found->second;
}

}  // namespace saldo::keys
