#include "server/states/rules.h"

#include <set>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/status_macros.h"
#include "common/base/strings.h"
#include "common/observability/text.h"
#include "common/rpc/errors.h"
#include "common/rpc/field_checks.h"
#include "nlohmann/json.hpp"

namespace saldo::states {
namespace {

using rpc::BadRequestBuilder;

// Of a name that a caller made up, in an error.
constexpr size_t kShownBytesMax = 64;

std::string UnknownType(const std::string& name, const keys::KeyedTypes& types) {
  std::string known;
  for (const keys::KeyedType& type : types.all()) {
    if (type.kind == keys::KeyedKind::kState)
      absl::StrAppend(&known, known.empty() ? "; there are " : ", ", type.name);
  }
  return absl::StrCat("there is no state type '", AsAbsl(text::CutUtf8(name, kShownBytesMax)), "'",
                      known);
}

// `prefix` is the place of the fields in the request, "states[3]." or nothing.
StateName CheckName(const std::string& prefix, const std::string& type, const keys::ValueMap& key,
                    const keys::KeyedTypes& types, BadRequestBuilder& bad) {
  StateName name{.type = types.Find(keys::KeyedKind::kState, type), .key = {}};
  if (name.type == nullptr) {
    bad.Add(prefix + "type", UnknownType(type, types));
  } else {
    name.key = keys::EncodeValues(prefix + "key", name.type->key, key, bad);
  }
  return name;
}

// The parser takes a NUL for the end and skips a byte order mark; others do not.
bool IsJson(const std::string& text) {
  return text.find('\0') == std::string::npos && text.rfind("\xEF\xBB\xBF", 0) != 0 &&
         nlohmann::json::accept(text);
}

std::string CheckDocument(const std::string& prefix, const std::string& document,
                          const keys::KeyedType* type, BadRequestBuilder& bad) {
  if (type != nullptr && document.size() > static_cast<size_t>(type->max_bytes)) {
    bad.Add(prefix + "document", absl::StrCat("has ", document.size(), " bytes; at most ",
                                              type->max_bytes, " are kept"));
  } else if (!IsJson(document)) {
    bad.Add(prefix + "document", "must be a JSON value");
  }
  return document;
}

// `Message` is one of those with an optional expected_version, which is at least `lowest`.
template <typename Message>
std::optional<int64_t> CheckExpected(const std::string& prefix, const Message& message,
                                     int64_t lowest, BadRequestBuilder& bad) {
  if (!message.has_expected_version()) return std::nullopt;
  if (message.expected_version() < lowest) {
    bad.Add(prefix + "expected_version", absl::StrCat("must be at least ", lowest));
  }
  return message.expected_version();
}

template <typename Message>
Change CheckPut(const std::string& prefix, const Message& message, const keys::KeyedTypes& types,
                BadRequestBuilder& bad) {
  Change change{.name = CheckName(prefix, message.type(), message.key(), types, bad),
                .document = {},
                .expected = {}};
  change.document = CheckDocument(prefix, message.document(), change.name.type, bad);
  change.expected = CheckExpected(prefix, message, 0, bad);
  return change;
}

}  // namespace

std::string DescribeKey(const StateName& name) {
  const std::string braced = keys::Describe("", name.type->key, name.key);
  return braced.substr(1, braced.size() - 2);
}

size_t ShardOf(const shards::ShardMap& map, const StateName& name) {
  return map.size() == 1 ? 0 : map.Of(name.type->ShardingKey(name.key));
}

absl::StatusOr<StateName> Check(const v1::GetStateRequest& request, const keys::KeyedTypes& types) {
  BadRequestBuilder bad;
  StateName name = CheckName("", request.type(), request.key(), types, bad);
  SALDO_RETURN_IF_ERROR(bad.Build());
  return name;
}

absl::StatusOr<Change> Check(const v1::PutStateRequest& request, const keys::KeyedTypes& types) {
  BadRequestBuilder bad;
  rpc::CheckRequestId(request.request_id(), bad);
  Change change = CheckPut("", request, types, bad);
  SALDO_RETURN_IF_ERROR(bad.Build());
  return change;
}

absl::StatusOr<Change> Check(const v1::DeleteStateRequest& request, const keys::KeyedTypes& types) {
  BadRequestBuilder bad;
  rpc::CheckRequestId(request.request_id(), bad);
  Change change{.name = CheckName("", request.type(), request.key(), types, bad),
                .document = {},
                .expected = CheckExpected("", request, 1, bad)};
  SALDO_RETURN_IF_ERROR(bad.Build());
  return change;
}

absl::StatusOr<std::vector<Change>> CheckStates(const v1::WriteEventsRequest& request,
                                                const keys::KeyedTypes& types,
                                                const shards::ShardMap& map, size_t shard,
                                                const accounts::WriteRequest& checked) {
  BadRequestBuilder bad;
  if (request.states_size() > kStatesMax) {
    bad.Add("states",
            absl::StrCat("must be at most ", kStatesMax, "; there are ", request.states_size()));
    return bad.Build();
  }
  std::vector<Change> changes;
  changes.reserve(static_cast<size_t>(request.states_size()));
  for (int i = 0; i < request.states_size(); ++i)
    changes.push_back(CheckPut(absl::StrCat("states[", i, "]."), request.states(i), types, bad));
  SALDO_RETURN_IF_ERROR(bad.Build());
  std::set<std::pair<std::string_view, std::string_view>> seen;
  for (size_t i = 0; i < changes.size(); ++i) {
    const StateName& name = changes[i].name;
    if (!seen.emplace(name.type->name, name.key).second)
      bad.Add(absl::StrCat("states[", i, "]"), "is the same state as one before it");
    const size_t its = ShardOf(map, name);
    if (its == shard) continue;
    const accounts::Posting& event = checked.postings.front();
    bad.Add(absl::StrCat("states[", i, "]"),
            absl::StrFormat("%s is on shard \"%s\", but %s of events[0] is on shard \"%s\"; all "
                            "that a request writes must be on one shard",
                            name.type->Describe(name.key), map.name(its),
                            keys::Describe(event.type->name, event.type->key, event.key),
                            map.name(shard)));
  }
  SALDO_RETURN_IF_ERROR(bad.Build());
  return changes;
}

}  // namespace saldo::states
