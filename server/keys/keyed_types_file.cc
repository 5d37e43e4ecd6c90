#include "server/keys/keyed_types_file.h"

#include <cstdint>
#include <map>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/base/strings.h"
#include "common/config/load.h"
#include "server/keys/definition.h"
#include "server/keys/faults.h"

namespace saldo::keys {
namespace {

// An outbox message has to hold it.
constexpr int64_t kMaxBytes = 512 << 10;

// A type as the file gives it.
struct Entry {
  std::string name;
  std::vector<Attribute> key;
  std::vector<std::string> sharding;
  std::string topic;
  int64_t max_bytes = KeyedType().max_bytes;
};

struct Entries {
  std::vector<Entry> locks;
  std::vector<Entry> states;
};

void BindCommon(config::Binder& binder, Entry& entry) {
  binder.String("name", &entry.name, kDefinitionText, "Its name in requests");
  binder.List("key", &entry.key, {.min = 1, .max = kAttributesMax}, BindAttribute,
              "What tells one from another");
  binder.StringList("sharding", &entry.sharding, {.min = 0, .max = kAttributesMax},
                    "The key attributes that choose the shard; all by default");
}

void BindState(config::Binder& binder, Entry& entry) {
  BindCommon(binder, entry);
  binder.String("topic", &entry.topic, kDefinitionText,
                "Kafka topic of its changes; none for none");
  binder.Bytes("max_bytes", &entry.max_bytes, {.min = 1, .max = kMaxBytes}, "The largest document");
}

auto BindLists(Entries& entries) {
  return [&entries](config::Binder& binder) {
    binder.List(kKeyedLists[0], &entries.locks, {.min = 0, .max = kTypesMax}, BindCommon,
                "The types of locks");
    binder.List(kKeyedLists[1], &entries.states, {.min = 0, .max = kTypesMax}, BindState,
                "The types of states");
    binder.Ignore(kAccountList);
  };
}

KeyedType Build(KeyedKind kind, const Entry& entry, DefinitionCheck& check) {
  KeyedType type{.kind = kind,
                 .name = entry.name,
                 .key = entry.key,
                 .sharding = {},
                 .redefinition = 0,
                 .topic = entry.topic,
                 .max_bytes = entry.max_bytes};
  check.CheckTypeName(entry.name);
  std::set<std::string> seen;
  check.CheckAttributes("key", type.key, seen);
  type.sharding = check.Sharding(type.key, entry.sharding);
  if (!type.topic.empty()) check.CheckTopic(type.topic);
  return type;
}

void AddAll(const std::string& file, std::string_view list, KeyedKind kind,
            const std::vector<Entry>& entries, std::vector<KeyedType>* types, Faults& faults) {
  const std::string list_name(list);
  std::map<std::string, size_t> names;
  std::map<std::string, size_t> topics;
  for (size_t i = 0; i < entries.size(); ++i) {
    DefinitionCheck check(PlaceOf(file, list_name, i, entries[i].name), faults);
    types->push_back(Build(kind, entries[i], check));
    const KeyedType& type = types->back();
    if (!IsName(type.name)) continue;
    if (const auto [first, fresh] = names.emplace(type.name, i); !fresh)
      check.Add("name: is that of ", list_name, ".", first->second, " too");
    if (type.topic.empty()) continue;
    if (const auto [other, free] = topics.emplace(type.topic, i); !free) {
      check.Add("topic: ", type.topic, " is that of ", list_name, ".", other->second,
                " too, and each type has its own");
    }
  }
}

absl::StatusOr<std::vector<KeyedType>> Finish(const std::string& file, const Entries& entries,
                                              Faults faults) {
  std::vector<KeyedType> types;
  AddAll(file, kKeyedLists[0], KeyedKind::kLock, entries.locks, &types, faults);
  AddAll(file, kKeyedLists[1], KeyedKind::kState, entries.states, &types, faults);
  SALDO_RETURN_IF_ERROR(ToStatus(absl::StatusCode::kInvalidArgument, faults));
  return types;
}

}  // namespace

absl::StatusOr<std::vector<KeyedType>> ReadKeyedTypes(const TypesFile& file) {
  if (file.path.empty()) return ParseKeyedTypes("built-in types", std::string(file.built_in));
  Entries entries;
  Faults faults = config::LoadFile(file.path, BindLists(entries));
  return Finish(file.path, entries, std::move(faults));
}

absl::StatusOr<std::vector<KeyedType>> ParseKeyedTypes(const std::string& name,
                                                       const std::string& yaml) {
  Entries entries;
  Faults faults = config::LoadText(name, yaml, BindLists(entries));
  return Finish(name, entries, std::move(faults));
}

}  // namespace saldo::keys
