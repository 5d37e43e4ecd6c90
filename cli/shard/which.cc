#include "cli/shard/which.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "cli/args.h"
#include "common/base/status_macros.h"

namespace saldo::cli::shard {
namespace {

std::string NameOf(const std::string& attribute) {
  return attribute.substr(0, attribute.find(' '));
}

std::string KeyOf(const KeyedType& type) {
  return absl::StrJoin(type.key, ", ", [](std::string* out, const std::string& attribute) {
    out->append(NameOf(attribute));
  });
}

std::string List(const std::vector<KeyedType>& types) {
  return absl::StrJoin(types, ", ", [](std::string* out, const KeyedType& type) {
    absl::StrAppend(out, type.kind == "account" ? "" : type.kind + ":", type.name);
  });
}

absl::StatusOr<std::string> ShortestInteger(const std::string& name, const std::string& value) {
  int64_t number = 0;
  const char* const end = value.data() + value.size();
  const auto [rest, error] = std::from_chars(value.data(), end, number);
  if (error != std::errc() || rest != end) {
    return UsageError(
        absl::StrCat(name, "=", value, ": must be a whole number of 64 bits, such as 17"));
  }
  return absl::StrCat(number);
}

absl::StatusOr<std::map<std::string, std::string>> Parse(const KeyedType& type,
                                                         absl::Span<const std::string> pairs) {
  std::map<std::string, std::string> values;
  for (const std::string& pair : pairs) {
    const size_t equals = pair.find('=');
    if (equals == std::string::npos)
      return UsageError(absl::StrCat("'", pair, "' is not of the form KEY=VALUE"));
    const std::string name = pair.substr(0, equals);
    const auto attribute =
        std::find_if(type.key.begin(), type.key.end(),
                     [&](const std::string& one) { return NameOf(one) == name; });
    if (attribute == type.key.end()) {
      return UsageError(absl::StrCat("the key of ", type.name, " has no attribute '", name,
                                     "'; it has ", KeyOf(type)));
    }
    std::string value = pair.substr(equals + 1);
    if (attribute->ends_with(" integer")) {
      SALDO_ASSIGN_OR_RETURN(value, ShortestInteger(name, value));
    }
    if (!values.emplace(name, std::move(value)).second)
      return UsageError(absl::StrCat(name, " is given twice"));
  }
  return values;
}

}  // namespace

absl::StatusOr<KeyedType> FindType(const std::vector<KeyedType>& types, const std::string& wanted) {
  if (types.empty()) {
    return absl::FailedPreconditionError(
        "no types are known: no saldo-server has been started on this database");
  }
  std::vector<KeyedType> found;
  for (const KeyedType& type : types) {
    if (type.name == wanted || absl::StrCat(type.kind, ":", type.name) == wanted)
      found.push_back(type);
  }
  if (found.size() == 1) return found[0];
  if (found.empty()) {
    return UsageError(absl::StrCat("there is no type '", wanted, "'; there are ", List(types)));
  }
  return UsageError(
      absl::StrCat("'", wanted, "' is the name of several types: say ",
                   absl::StrJoin(found, " or ", [](std::string* out, const KeyedType& type) {
                     absl::StrAppend(out, type.kind, ":", type.name);
                   })));
}

absl::StatusOr<std::vector<std::string>> ShardingValues(const KeyedType& type,
                                                        absl::Span<const std::string> pairs) {
  SALDO_ASSIGN_OR_RETURN(const auto given, Parse(type, pairs));
  std::vector<std::string> values, missing;
  for (const std::string& name : type.sharding) {
    const auto value = given.find(name);
    if (value == given.end()) {
      missing.push_back(name);
    } else {
      values.push_back(value->second);
    }
  }
  if (missing.empty()) return values;
  return UsageError(absl::StrCat(absl::StrJoin(missing, ", "),
                                 missing.size() == 1 ? " is missing" : " are missing", ": ",
                                 type.name, " is sharded by ", absl::StrJoin(type.sharding, ", ")));
}

}  // namespace saldo::cli::shard
