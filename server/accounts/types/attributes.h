// The values of attributes, as requests give them and as the database keeps them: one text, in the
// order of the definition, joined by U+001F. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/rpc/errors.h"
#include "google/protobuf/map.h"
#include "server/accounts/types/account_type.h"

namespace saldo::accounts {

using ValueMap = google::protobuf::Map<std::string, std::string>;

inline constexpr char kSeparator = '\x1f';

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

// What the account's amounts are counted in.
std::string AssetOf(const AccountType& type, std::string_view encoded_key);

// "taxi_commission{client_id=17, currency=RUB}", for people.
std::string DescribeAccount(const AccountType& type, std::string_view encoded_key);

}  // namespace saldo::accounts
