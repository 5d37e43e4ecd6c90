#include "server/keys/attributes.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <system_error>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "common/base/strings.h"
#include "common/observability/text.h"

namespace saldo::keys {
namespace {

// Of a name that a caller made up, in an error.
constexpr size_t kShownBytesMax = 64;

// Of well-formed UTF-8: U+0000 to U+001F, U+007F, and U+0080 to U+009F as two bytes each.
bool HoldsControlCharacter(std::string_view text) {
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if (byte < 0x20 || byte == 0x7f) return true;
    if (byte == 0xc2 && i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) < 0xa0)
      return true;
  }
  return false;
}

bool EncodeInteger(std::string_view value, std::string* encoded) {
  int64_t number = 0;
  const char* const end = value.data() + value.size();
  const auto [rest, error] = std::from_chars(value.data(), end, number);
  if (error != std::errc() || rest != end) return false;
  absl::StrAppend(encoded, number);
  return true;
}

// What is wrong with a string, or "".
std::string FaultOf(const Attribute& attribute, std::string_view value) {
  if (value.size() > attribute.max_length) {
    return absl::StrCat("must have at most ", attribute.max_length, " bytes, has ", value.size());
  }
  if (!text::CountUtf8(value).has_value()) return "must be valid UTF-8";
  if (HoldsControlCharacter(value)) return "must not contain a control character";
  return "";
}

std::string PathOf(std::string_view field, const Attribute& attribute) {
  return absl::StrCat(AsAbsl(field), ".", attribute.name);
}

// False, with the reason in `bad` under the path that `path` makes, when the value is none.
template <typename Path>
bool Append(const Path& path, const Attribute& attribute, std::string_view value,
            std::string* encoded, rpc::BadRequestBuilder& bad) {
  if (attribute.kind == AttributeKind::kInteger) {
    if (EncodeInteger(value, encoded)) return true;
    bad.Add(path(), "must be a whole number of 64 bits, such as 17");
    return false;
  }
  const std::string fault = FaultOf(attribute, value);
  if (fault.empty()) {
    encoded->append(value);
    return true;
  }
  bad.Add(path(), fault);
  return false;
}

void AddUnknown(std::string_view field, const std::vector<Attribute>& attributes,
                const ValueMap& values, rpc::BadRequestBuilder& bad) {
  std::vector<std::string_view> unknown;
  for (const auto& entry : values) {
    const bool known =
        std::any_of(attributes.begin(), attributes.end(),
                    [&](const Attribute& attribute) { return attribute.name == entry.first; });
    if (!known) unknown.push_back(entry.first);
  }
  // A map has no order, and an error should be the same each time.
  std::sort(unknown.begin(), unknown.end());
  for (const std::string_view name : unknown) {
    bad.Add(field,
            absl::StrCat("there is no attribute \"",
                         absl::Utf8SafeCEscape(AsAbsl(text::CutUtf8(name, kShownBytesMax))), "\""));
  }
}

}  // namespace

std::string EncodeValues(std::string_view field, const std::vector<Attribute>& attributes,
                         const ValueMap& values, rpc::BadRequestBuilder& bad) {
  std::string encoded;
  size_t found = 0;
  for (size_t i = 0; i < attributes.size(); ++i) {
    if (i > 0) encoded += kSeparator;
    const auto value = values.find(attributes[i].name);
    if (value == values.end()) {
      bad.Add(PathOf(field, attributes[i]), "is missing");
      continue;
    }
    ++found;
    Append([&] { return PathOf(field, attributes[i]); }, attributes[i], value->second, &encoded,
           bad);
  }
  if (found != values.size()) AddUnknown(field, attributes, values, bad);
  return encoded;
}

std::vector<std::string_view> SplitValues(std::string_view encoded) {
  std::vector<std::string_view> values;
  size_t begin = 0;
  while (true) {
    const size_t end = encoded.find(kSeparator, begin);
    values.push_back(encoded.substr(begin, end - begin));
    if (end == std::string_view::npos) return values;
    begin = end + 1;
  }
}

void DecodeValues(const std::vector<Attribute>& attributes, std::string_view encoded,
                  ValueMap* values) {
  const std::vector<std::string_view> split = SplitValues(encoded);
  for (size_t i = 0; i < attributes.size(); ++i) {
    (*values)[attributes[i].name] = std::string(i < split.size() ? split[i] : std::string_view());
  }
}

std::optional<std::string> EncodeValue(std::string_view field, const Attribute& attribute,
                                       std::string_view value, rpc::BadRequestBuilder& bad) {
  std::string encoded;
  if (!Append([&] { return std::string(field); }, attribute, value, &encoded, bad))
    return std::nullopt;
  return encoded;
}

std::string DefinitionOf(const Attribute& attribute) {
  return absl::StrCat(attribute.name,
                      attribute.kind == AttributeKind::kInteger ? " integer" : " string");
}

std::string Describe(std::string_view type, const std::vector<Attribute>& attributes,
                     std::string_view encoded) {
  const std::vector<std::string_view> values = SplitValues(encoded);
  std::string text = absl::StrCat(AsAbsl(type), "{");
  for (size_t i = 0; i < attributes.size(); ++i) {
    if (i > 0) text += ", ";
    absl::StrAppend(&text, attributes[i].name, "=");
    if (i < values.size()) text.append(values[i]);
  }
  return text + "}";
}

std::string ShardingKey(const std::vector<size_t>& sharding, std::string_view encoded) {
  const std::vector<std::string_view> values = SplitValues(encoded);
  std::string key;
  for (const size_t index : sharding) {
    if (!key.empty() || index != sharding.front()) key += kSeparator;
    if (index < values.size()) key.append(values[index]);
  }
  return key;
}

}  // namespace saldo::keys
