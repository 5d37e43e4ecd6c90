// The types of locks and states on all shards, and where a lock or state that a request names
// lives.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "common/rpc/errors.h"
#include "server/keys/attributes.h"
#include "server/keys/keyed_type_registry.h"
#include "server/keys/keyed_types.h"
#include "server/shards/shard_set.h"

namespace saldo::keys {

// One lock or state, and its shard.
struct Located {
  size_t shard = 0;
  std::shared_ptr<const KeyedTypes> types;  // keeps `type` alive
  const KeyedType* type = nullptr;          // as the shard's database knows it
  std::string key;                          // encoded
};

// Thread-safe.
class ShardedTypes {
 public:
  // Adds its parts to the shards, which start them. `shards` outlives this.
  ShardedTypes(const TypesFile& file, const std::vector<KeyedTypeUse>& uses,
               shards::ShardSet& shards);

  // Whether the file could be loaded anew, by itself; see KeyedTypeRegistry::CheckFile.
  absl::Status CheckFile() const { return registries_.front()->CheckFile(); }
  // Reads the types of a shard again, once it has started.
  absl::Status Reload(size_t shard);

  // Null until the shard has started.
  std::shared_ptr<const KeyedTypes> of(size_t shard) const { return registries_[shard]->current(); }

  // UNAVAILABLE until a shard has started: before, no type is known.
  absl::Status CheckAny() const { return shards_.Check(shards_.AnyStarted()); }
  // The type of this name, on the first shard that knows it. Null, with the reason in `bad`,
  // when there is none. `prefix` stands before the fields "type" and "key" in faults.
  const KeyedType* FindType(std::shared_ptr<const KeyedTypes>* types, KeyedKind kind,
                            std::string_view prefix, std::string_view type,
                            rpc::BadRequestBuilder& bad) const;
  // Where it lives. Nothing when `bad` has faults, of this or of earlier fields, or, for CheckAny
  // to tell, while no shard has started.
  std::optional<Located> Locate(KeyedKind kind, std::string_view prefix, std::string_view type,
                                const ValueMap& key, rpc::BadRequestBuilder& bad) const;
  // UNAVAILABLE while the shard is away, or does not know the type like the others.
  absl::Status Check(const Located& located) const;

  shards::ShardSet& shards() const { return shards_; }

 private:
  shards::ShardSet& shards_;
  const std::vector<std::unique_ptr<KeyedTypeRegistry>> registries_;  // in the order of shards
};

}  // namespace saldo::keys
