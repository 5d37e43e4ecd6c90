#include "server/keys/definition.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_join.h"
#include "server/outbox/topic_name.h"

namespace saldo::keys {
namespace {

using Names = std::vector<std::string>;

constexpr size_t kNameBytesMax = 63;
constexpr size_t kIntegerBytesMax = 20;

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

}  // namespace

void BindAttribute(config::Binder& binder, Attribute& attribute) {
  binder.String("name", &attribute.name, kDefinitionText, "Its name in requests");
  binder.Enum("kind", &attribute.kind,
              {{"string", AttributeKind::kString}, {"integer", AttributeKind::kInteger}},
              "What its values are");
  binder.Int("max_length", &attribute.max_length, {.min = 1, .max = 256},
             "Of a string, the most bytes");
}

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

std::string PlaceOf(const std::string& file, const std::string& list, size_t index,
                    const std::string& name) {
  std::string place = absl::StrCat(file, ": ", list, ".", index);
  if (IsName(name)) absl::StrAppend(&place, " (", name, ")");
  return place;
}

void DefinitionCheck::CheckTypeName(const std::string& name) {
  if (!IsName(name)) AddNameFault("name", name);
  if (name.rfind("saldo_", 0) == 0)
    Add("name: got ", Quote(name), ", but names that begin with saldo_ are the program's own");
}

void DefinitionCheck::AddNameFault(const std::string& path, const std::string& name) {
  if (name.empty()) return Add(path, ": is missing");
  Add(path, ": got ", Quote(name), ", expected a-z, 0-9 and _, first a letter, at most ",
      kNameBytesMax, " of them");
}

void DefinitionCheck::CheckAttributes(const std::string& list,
                                      const std::vector<Attribute>& attributes,
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
  if (bytes <= kEncodedBytesMax) return;
  Add(list, ": its values may have ", bytes, " bytes together, more than ", kEncodedBytesMax,
      "; lower max_length");
}

std::vector<size_t> DefinitionCheck::Select(const std::string& path, const char* what,
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

std::vector<size_t> DefinitionCheck::Sharding(const std::vector<Attribute>& key,
                                              const std::vector<std::string>& names) {
  std::vector<size_t> sharding = Select("sharding", "a key", key, names);
  if (!names.empty()) return sharding;
  for (size_t i = 0; i < key.size(); ++i) sharding.push_back(i);
  return sharding;
}

void DefinitionCheck::CheckTopic(const std::string& topic) {
  if (outbox::IsTopicName(topic)) return;
  Add("topic: got ", Quote(topic), ", expected 1 to 249 letters, digits, '.', '_' and '-'");
}

void CompareAttributes(const std::string& type, const std::string& list, const std::string& what,
                       const Names& stored, const std::vector<Attribute>& configured,
                       bool takes_new, Faults& faults) {
  const auto add = [&](const auto&... parts) {
    faults.push_back(absl::StrCat(type, ": ", list, ": ", parts...));
  };
  Names before, after;
  for (const std::string& definition : stored) before.push_back(NameOf(definition));
  for (const Attribute& attribute : configured) after.push_back(attribute.name);
  for (const std::string& name : before) {
    if (!Contains(after, name)) add(name, " is gone, but ", what, " are stored with it");
  }
  for (const Attribute& attribute : configured) {
    for (const std::string& definition : stored) {
      if (NameOf(definition) != attribute.name || definition == DefinitionOf(attribute)) continue;
      add(attribute.name, " was of kind ", KindOf(definition), " and is of kind ",
          KindOf(DefinitionOf(attribute)), ", but values are stored as they were");
    }
  }
  const Names kept = Common(before, after);
  if (kept != Common(after, before)) {
    add("the order was ", List(kept), " and is ", List(Common(after, before)),
        ", but values are stored in the order they had");
  }
  // What is stored without a value shows an empty one, which only a last attribute can have: values
  // have no names of their own.
  size_t kept_before = 0;
  for (const std::string& name : after) {
    if (Contains(before, name)) {
      ++kept_before;
    } else if (!takes_new) {
      add(name, " is new, but the ", what, " that exist have no value for it");
    } else if (kept_before < kept.size()) {
      add(name, " is new and not at the end, but values are stored in their order");
    }
  }
}

void CompareSharding(const std::string& type, const std::string& what, const Names& stored,
                     const std::vector<Attribute>& key, const std::vector<size_t>& configured,
                     Faults& faults) {
  const Names now = NamesOf(key, configured);
  if (now == stored) return;
  faults.push_back(absl::StrCat(type, ": sharding: was ", List(stored), " and is ", List(now),
                                ", but ", what, " stay on the shard that they were written to"));
}

Names DefinitionsOf(const std::vector<Attribute>& attributes) {
  Names definitions;
  for (const Attribute& attribute : attributes) definitions.push_back(DefinitionOf(attribute));
  return definitions;
}

Names NamesOf(const std::vector<Attribute>& attributes, const std::vector<size_t>& indexes) {
  Names names;
  for (const size_t index : indexes) names.push_back(attributes[index].name);
  return names;
}

}  // namespace saldo::keys
