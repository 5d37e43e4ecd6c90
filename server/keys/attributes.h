// Attributes: what tells one account, lock or state from another of its type. Their values, as
// requests give them and as the database keeps them: one text, in the order of the definition,
// joined by U+001F. Pure.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/rpc/errors.h"
#include "google/protobuf/map.h"

namespace saldo::keys {

enum class AttributeKind { kString, kInteger };

struct Attribute {
  std::string name;
  AttributeKind kind = AttributeKind::kString;
  // Of a string, in bytes. An integer is any int64.
  size_t max_length = 64;

  bool operator==(const Attribute&) const = default;
};

using ValueMap = google::protobuf::Map<std::string, std::string>;

inline constexpr char kSeparator = '\x1f';
inline constexpr int kAttributesMax = 16;
// Of the encoded values of a key, or of auxiliary attributes: an index must hold them.
inline constexpr size_t kEncodedBytesMax = 2500;

// The encoded values of all of `attributes`; integers in their shortest form. Adds to `bad`, under
// `field` ("events[3].account.key"), what is missing, unknown, too long, not UTF-8, or holds a
// control character; the result is then meaningless. An empty string is a value.
std::string EncodeValues(std::string_view field, const std::vector<Attribute>& attributes,
                         const ValueMap& values, rpc::BadRequestBuilder& bad);

// The values one by one, which point into `encoded`; of "" it is one empty value.
std::vector<std::string_view> SplitValues(std::string_view encoded);

// What requests and messages show: name -> value. What was encoded when the type had fewer
// attributes shows "" for the new ones.
void DecodeValues(const std::vector<Attribute>& attributes, std::string_view encoded,
                  ValueMap* values);

// One value of a filter, as EncodeValues would take it, or nothing, with the reason in `bad`.
std::optional<std::string> EncodeValue(std::string_view field, const Attribute& attribute,
                                       std::string_view value, rpc::BadRequestBuilder& bad);

// "client_id integer", as the database keeps an attribute's definition.
std::string DefinitionOf(const Attribute& attribute);

// "taxi_commission{client_id=17, currency=RUB}", for people.
std::string Describe(std::string_view type, const std::vector<Attribute>& attributes,
                     std::string_view encoded);

// What chooses the shard: the values at the indexes `sharding` of an encoded key, joined as in it.
std::string ShardingKey(const std::vector<size_t>& sharding, std::string_view encoded);

}  // namespace saldo::keys
