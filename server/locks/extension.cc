#include "server/locks/extension.h"

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/status_macros.h"
#include "common/rpc/errors.h"
#include "server/accounts/writing/fingerprint.h"

namespace saldo::locks {
namespace {

std::string OtherShard(const shards::ShardMap& map, const LockName& lock, size_t its_shard,
                       const accounts::WriteRequest& checked, size_t shard) {
  std::string events = "the request";
  if (!checked.postings.empty()) {
    const accounts::Posting& first = checked.postings.front();
    events =
        absl::StrCat(keys::Describe(first.type->name, first.type->key, first.key), " of events[0]");
  }
  return absl::StrFormat("%s is on shard \"%s\", but %s is on shard \"%s\"", lock.Describe(),
                         map.name(its_shard), events, map.name(shard));
}

}  // namespace

absl::Status LockExtension::Extend(const v1::WriteEventsRequest& request, size_t shard,
                                   accounts::WriteRequest* checked) const {
  if (request.lock_tokens().empty()) return absl::OkStatus();
  rpc::BadRequestBuilder bad;
  if (request.lock_tokens_size() > kTokensMax) {
    bad.Add("lock_tokens", absl::StrCat("must be ", kTokensMax, " at most; there are ",
                                        request.lock_tokens_size()));
    return bad.Build();
  }
  std::vector<LockTokens::Token> tokens;
  for (int i = 0; i < request.lock_tokens_size(); ++i) {
    const v1::LockToken& token = request.lock_tokens(i);
    const std::string prefix = absl::StrCat("lock_tokens[", i, "].");
    if (token.token() <= 0) bad.Add(absl::StrCat(prefix, "token"), "must be above 0");
    std::optional<keys::Located> located =
        types_.Locate(keys::KeyedKind::kLock, prefix, token.type(), token.key(), bad);
    if (!located.has_value()) {
      if (bad.ok()) return absl::UnavailableError("the types of locks are not loaded yet");
      continue;
    }
    if (located->type == nullptr) SALDO_RETURN_IF_ERROR(types_.Check(*located));
    LockName lock{
        .types = std::move(located->types), .type = located->type, .key = std::move(located->key)};
    if (located->shard != shard) {
      bad.Add(absl::StrCat(prefix, "key"),
              OtherShard(types_.shards().map(), lock, located->shard, *checked, shard));
    }
    tokens.push_back({.lock = std::move(lock), .token = token.token()});
  }
  SALDO_RETURN_IF_ERROR(bad.Build());
  accounts::Attach(std::make_shared<LockTokens>(part_, std::move(tokens)), checked);
  return absl::OkStatus();
}

}  // namespace saldo::locks
