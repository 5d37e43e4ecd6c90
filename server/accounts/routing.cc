#include "server/accounts/routing.h"

#include <map>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/rpc/errors.h"
#include "server/accounts/reading/reader.h"
#include "server/keys/attributes.h"

namespace saldo::accounts {
namespace {

std::string Show(const Posting& posting) {
  return keys::Describe(posting.type->name, posting.type->key, posting.key);
}

}  // namespace

size_t ShardOf(const shards::ShardMap& map, const AccountType& type, std::string_view key) {
  return map.size() == 1 ? 0 : map.Of(keys::ShardingKey(type.sharding, key));
}

std::optional<size_t> ShardOf(const shards::ShardMap& map, const AccountTypes& types,
                              const v1::AccountKey& account) {
  const AccountType* type = types.Find(account.type());
  if (type == nullptr) return std::nullopt;
  rpc::BadRequestBuilder bad;
  const std::string key = keys::EncodeValues("account.key", type->key, account.key(), bad);
  if (!bad.ok()) return std::nullopt;
  return ShardOf(map, *type, key);
}

absl::Status CheckOneShard(const shards::ShardMap& map, const WriteRequest& request) {
  if (map.size() == 1 || request.postings.empty()) return absl::OkStatus();
  const Posting& first = request.postings.front();
  const size_t shard = ShardOf(map, *first.type, first.key);
  rpc::BadRequestBuilder bad;
  for (size_t i = 1; i < request.postings.size(); ++i) {
    const Posting& posting = request.postings[i];
    const size_t other = ShardOf(map, *posting.type, posting.key);
    if (other == shard) continue;
    bad.Add(absl::StrCat("events[", i, "].account"),
            absl::StrFormat("%s is on shard \"%s\", but %s of events[0] is on shard \"%s\"; all "
                            "events of a request must be on one shard",
                            Show(posting), map.name(other), Show(first), map.name(shard)));
  }
  return bad.Build();
}

std::vector<BalancesPart> PartByShard(const shards::ShardMap& map, const AccountTypes& types,
                                      const v1::BatchGetBalancesRequest& request) {
  if (request.accounts_size() > BalanceReader::kAccountsMax) return {};
  std::map<size_t, BalancesPart> parts;
  for (int i = 0; i < request.accounts_size(); ++i) {
    const v1::AccountKey& account = request.accounts(i);
    if (account.type() != request.accounts(0).type()) return {};
    const std::optional<size_t> shard = ShardOf(map, types, account);
    if (!shard.has_value()) return {};
    BalancesPart& part = parts[*shard];
    part.shard = *shard;
    *part.request.add_accounts() = account;
    part.places.push_back(i);
  }
  std::vector<BalancesPart> result;
  if (parts.size() < 2) return result;
  for (auto& [shard, part] : parts) {
    *part.request.mutable_selection() = request.selection();
    if (request.has_at()) *part.request.mutable_at() = request.at();
    result.push_back(std::move(part));
  }
  return result;
}

}  // namespace saldo::accounts
