#include "server/keys/sharded_types.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/base/strings.h"
#include "common/observability/text.h"

namespace saldo::keys {
namespace {

// Of a name that a caller made up, in an error.
constexpr size_t kShownBytesMax = 64;

std::vector<std::unique_ptr<KeyedTypeRegistry>> MakeRegistries(
    const TypesFile& file, const std::vector<KeyedTypeUse>& uses, shards::ShardSet& shards) {
  std::vector<std::unique_ptr<KeyedTypeRegistry>> registries;
  for (size_t i = 0; i < shards.size(); ++i) {
    registries.push_back(
        std::make_unique<KeyedTypeRegistry>(file, uses, shards.pool(i), shards.registry(i)));
    shards.Add(i, *registries.back());
  }
  return registries;
}

std::string UnknownType(KeyedKind kind, std::string_view name, const KeyedTypes& types) {
  std::string known;
  for (const KeyedType& type : types.all()) {
    if (type.kind == kind) absl::StrAppend(&known, known.empty() ? "" : ", ", type.name);
  }
  return absl::StrCat("there is no ", AsAbsl(NameOf(kind)), " type '",
                      AsAbsl(text::CutUtf8(name, kShownBytesMax)), "'; there are ",
                      known.empty() ? "none" : known);
}

}  // namespace

ShardedTypes::ShardedTypes(const TypesFile& file, const std::vector<KeyedTypeUse>& uses,
                           shards::ShardSet& shards)
    : shards_(shards), registries_(MakeRegistries(file, uses, shards)) {}

absl::Status ShardedTypes::Reload(size_t shard) {
  // A shard that starts later reads them then.
  if (of(shard) == nullptr) return absl::OkStatus();
  return shards_.Named(shard, registries_[shard]->Reload());
}

const KeyedType* ShardedTypes::FindType(std::shared_ptr<const KeyedTypes>* types, KeyedKind kind,
                                        std::string_view prefix, std::string_view type,
                                        rpc::BadRequestBuilder& bad) const {
  *types = of(shards_.AnyStarted());
  if (*types == nullptr) return nullptr;
  const KeyedType* found = (*types)->Find(kind, type);
  // A shard that was away when the types were reloaded does not know the new ones.
  for (size_t i = 0; found == nullptr && i < registries_.size(); ++i) {
    std::shared_ptr<const KeyedTypes> others = of(i);
    if (others == nullptr || (found = others->Find(kind, type)) == nullptr) continue;
    *types = std::move(others);
  }
  if (found == nullptr)
    bad.Add(absl::StrCat(AsAbsl(prefix), "type"), UnknownType(kind, type, **types));
  return found;
}

std::optional<Located> ShardedTypes::Locate(KeyedKind kind, std::string_view prefix,
                                            std::string_view type, const ValueMap& key,
                                            rpc::BadRequestBuilder& bad) const {
  Located located;
  const KeyedType* const any = FindType(&located.types, kind, prefix, type, bad);
  if (any == nullptr) return std::nullopt;
  located.key = EncodeValues(absl::StrCat(AsAbsl(prefix), "key"), any->key, key, bad);
  if (!bad.ok()) return std::nullopt;
  located.shard = shards_.map().Of(any->ShardingKey(located.key));
  const KeyedType before = *any;
  if (std::shared_ptr<const KeyedTypes> own = of(located.shard); own != nullptr) {
    located.type = own->Find(kind, type);
    located.types = std::move(own);
  }
  // What is keyed otherwise there is not the same; Check tells.
  if (located.type != nullptr &&
      (located.type->key != before.key || located.type->sharding != before.sharding))
    located.type = nullptr;
  return located;
}

absl::Status ShardedTypes::Check(const Located& located) const {
  SALDO_RETURN_IF_ERROR(shards_.Check(located.shard));
  if (located.type != nullptr) return absl::OkStatus();
  return rpc::WithRetryInfo(
      absl::UnavailableError(absl::StrCat("shard \"", shards_.name(located.shard),
                                          "\" does not know this type as the others do, yet")),
      absl::Seconds(1));
}

}  // namespace saldo::keys
