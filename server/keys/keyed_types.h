// The types of locks and of states: what account types have of key and sharding, and little else.
// They come from the types file (keyed_types_file.h), are compared with those that the database
// was used with (keyed_type_store.h) and handed out as one immutable set (keyed_type_registry.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "server/keys/attributes.h"

namespace saldo::keys {

enum class KeyedKind { kLock, kState };

// "lock", "state": in the database and in texts.
std::string_view NameOf(KeyedKind kind);

struct KeyedType {
  KeyedKind kind = KeyedKind::kLock;
  std::string name;  // unique within its kind
  std::vector<Attribute> key;
  std::vector<size_t> sharding;  // indexes into `key`
  // In the database: see the column keyed_types.redefinition.
  int32_t redefinition = 0;

  // Of a state alone.
  std::string topic;             // Kafka's, of its changes; empty: they are not told
  int64_t max_bytes = 64 << 10;  // of a document

  std::string ShardingKey(std::string_view encoded_key) const {
    return keys::ShardingKey(sharding, encoded_key);
  }
  // "client_lock{client_id=17}", for people.
  std::string Describe(std::string_view encoded_key) const {
    return keys::Describe(name, key, encoded_key);
  }
};

// All of one moment. Immutable, so that a request works with one set from start to end.
class KeyedTypes {
 public:
  // Names are unique within a kind.
  explicit KeyedTypes(std::vector<KeyedType> types);
  KeyedTypes(KeyedTypes&&) = default;
  KeyedTypes& operator=(KeyedTypes&&) = default;
  // What has been found points into this set.
  KeyedTypes(const KeyedTypes&) = delete;
  KeyedTypes& operator=(const KeyedTypes&) = delete;

  const std::vector<KeyedType>& all() const { return types_; }
  // nullptr when there is none.
  const KeyedType* Find(KeyedKind kind, std::string_view name) const;

 private:
  std::vector<KeyedType> types_;
  absl::flat_hash_map<std::pair<KeyedKind, std::string>, const KeyedType*> by_name_;
};

}  // namespace saldo::keys
