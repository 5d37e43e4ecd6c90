#include "server/keys/attributes.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <string>
#include <utility>
#include <vector>

namespace saldo::keys {
namespace {

using Values = std::vector<std::pair<std::string, std::string>>;
using Faults = std::vector<std::string>;  // "field: description"

ValueMap ToMap(const Values& values) {
  ValueMap map;
  for (const auto& [name, value] : values) map[name] = value;
  return map;
}

Faults FaultsOf(const rpc::BadRequestBuilder& bad) {
  Faults faults;
  google::rpc::BadRequest detail;
  rpc::GetDetail(bad.Build(), &detail);
  for (const auto& violation : detail.field_violations())
    faults.push_back(violation.field() + ": " + violation.description());
  return faults;
}

Attribute Integer(const std::string& name) {
  return {.name = name, .kind = AttributeKind::kInteger, .max_length = 64};
}
Attribute Text(const std::string& name, size_t max_length = 64) {
  return {.name = name, .kind = AttributeKind::kString, .max_length = max_length};
}

}  // namespace

TEST_CASE("values of one attribute") {
  struct Case {
    Attribute attribute;
    std::string value;
    std::string encoded;
    std::string fault;
  };
  const std::string number = "f: must be a whole number of 64 bits, such as 17";
  const std::string control = "f: must not contain a control character";
  const std::string utf8 = "f: must be valid UTF-8";
  const std::vector<Case> cases = {
      {Text("a"), "RUB", "RUB", ""},
      {Text("a"), "", "", ""},
      {Text("a"), " a\"b ", " a\"b ", ""},
      {Text("a", 4), "жж", "жж", ""},
      {Text("a", 3), "жж", "", "f: must have at most 3 bytes, has 4"},
      {Text("a"), std::string(65, 'x'), "", "f: must have at most 64 bytes, has 65"},
      {Text("a"),
       "a\x1f"
       "b",
       "", control},
      {Text("a"), std::string("a\0b", 3), "", control},
      {Text("a"), "a\n", "", control},
      {Text("a"), "\x7f", "", control},
      {Text("a"), "\u0080", "", control},
      {Text("a"), "\u009f", "", control},
      {Text("a"), "\u00a0", "\u00a0", ""},
      {Text("a"), "\xff", "", utf8},
      {Text("a"), "\xc2", "", utf8},
      {Integer("a"), "17", "17", ""},
      {Integer("a"), "0017", "17", ""},
      {Integer("a"), "-0", "0", ""},
      {Integer("a"), "-9223372036854775808", "-9223372036854775808", ""},
      {Integer("a"), "9223372036854775807", "9223372036854775807", ""},
      {Integer("a"), "9223372036854775808", "", number},
      {Integer("a"), "", "", number},
      {Integer("a"), "+1", "", number},
      {Integer("a"), " 1", "", number},
      {Integer("a"), "1 ", "", number},
      {Integer("a"), "1.0", "", number},
      {Integer("a"), "0x1", "", number},
      {Integer("a"), "one", "", number},
  };
  for (const Case& c : cases) {
    CAPTURE(c.value);
    rpc::BadRequestBuilder bad;
    const std::optional<std::string> encoded = EncodeValue("f", c.attribute, c.value, bad);
    CHECK(FaultsOf(bad) == (c.fault.empty() ? Faults{} : Faults{c.fault}));
    REQUIRE(encoded.has_value() == c.fault.empty());
    if (encoded.has_value()) CHECK(*encoded == c.encoded);
  }
}

TEST_CASE("values of a key") {
  const std::vector<Attribute> key = {Integer("client_id"), Text("currency", 3)};
  struct Case {
    Values values;
    std::string encoded;
    Faults faults;
  };
  const std::string unknown = "key: there is no attribute ";
  const std::vector<Case> cases = {
      {{{"client_id", "017"}, {"currency", "RUB"}}, "17\x1fRUB", {}},
      {{{"currency", ""}, {"client_id", "1"}}, "1\x1f", {}},
      {{}, "", {"key.client_id: is missing", "key.currency: is missing"}},
      {{{"client_id", "1"}}, "", {"key.currency: is missing"}},
      {{{"client_id", "x"}, {"currency", "RUBLE"}},
       "",
       {"key.client_id: must be a whole number of 64 bits, such as 17",
        "key.currency: must have at most 3 bytes, has 5"}},
      {{{"client_id", "1"}, {"currency", "RUB"}, {"b", ""}, {"a\n", ""}},
       "",
       {unknown + "\"a\\n\"", unknown + "\"b\""}},
      {{{"client_id", "1"}, {"Currency", "RUB"}},
       "",
       {"key.currency: is missing", unknown + "\"Currency\""}},
      {{{"client_id", "1"}, {"currency", "RUB"}, {std::string(1000, 'x'), ""}},
       "",
       {unknown + "\"" + std::string(64, 'x') + "\""}},
  };
  for (const Case& c : cases) {
    CAPTURE(c.encoded, c.faults);
    rpc::BadRequestBuilder bad;
    const std::string encoded = EncodeValues("key", key, ToMap(c.values), bad);
    CHECK(FaultsOf(bad) == c.faults);
    if (c.faults.empty()) CHECK(encoded == c.encoded);
  }
}

TEST_CASE("no attributes take no values") {
  rpc::BadRequestBuilder bad;
  CHECK(EncodeValues("attributes", {}, {}, bad).empty());
  CHECK(FaultsOf(bad).empty());
  EncodeValues("attributes", {}, ToMap({{"a", "1"}}), bad);
  CHECK(FaultsOf(bad) == Faults{"attributes: there is no attribute \"a\""});
}

TEST_CASE("encoded values come apart again") {
  using Split = std::vector<std::string_view>;
  CHECK(SplitValues("") == Split{""});
  CHECK(SplitValues("a") == Split{"a"});
  CHECK(SplitValues("a\x1f") == Split{"a", ""});
  CHECK(SplitValues("\x1f\x1f"
                    "b") == Split{"", "", "b"});
}

TEST_CASE("decoded values have a name each, also those that came later") {
  struct Case {
    std::string encoded;
    std::vector<Attribute> attributes;
    Values values;
  };
  const std::vector<Case> cases = {
      {"", {}, {}},
      {"", {Text("a")}, {{"a", ""}}},
      {"x", {Text("a")}, {{"a", "x"}}},
      {"", {Text("a"), Integer("b")}, {{"a", ""}, {"b", ""}}},
      {"x", {Text("a"), Integer("b")}, {{"a", "x"}, {"b", ""}}},
      {"x\x1f"
       "5",
       {Text("a"), Integer("b")},
       {{"a", "x"}, {"b", "5"}}},
  };
  for (const Case& c : cases) {
    CAPTURE(c.encoded, c.attributes.size());
    ValueMap decoded;
    DecodeValues(c.attributes, c.encoded, &decoded);
    Values sorted(decoded.begin(), decoded.end());
    std::sort(sorted.begin(), sorted.end());
    CHECK(sorted == c.values);
  }
}

TEST_CASE("the sharding key is made of the chosen values alone") {
  CHECK(ShardingKey({0}, "17\x1fRUB") == "17");
  CHECK(ShardingKey({1}, "17\x1fRUB") == "RUB");
  CHECK(ShardingKey({0, 1}, "17\x1fRUB") == "17\x1fRUB");
  CHECK(ShardingKey({0, 2}, "\x1fRUB\x1fx") == "\x1fx");
  CHECK(ShardingKey({0}, "") == "");
}

}  // namespace saldo::keys
