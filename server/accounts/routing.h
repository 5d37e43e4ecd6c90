// Which shard an account is on, and whether a request stays within one. Pure.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "common/shards/shard_map.h"
#include "saldo/v1/account_service.pb.h"
#include "server/accounts/types/account_type.h"
#include "server/accounts/writing/request.h"

namespace saldo::accounts {

// Of an account by its encoded key.
size_t ShardOf(const shards::ShardMap& map, const AccountType& type, std::string_view key);

// Of an account as a request names it; nothing where it names none.
std::optional<size_t> ShardOf(const shards::ShardMap& map, const AccountTypes& types,
                              const v1::AccountKey& account);

// INVALID_ARGUMENT with a BadRequest that names each event's account that is not on the shard of
// the first one's, with both accounts and shards.
absl::Status CheckOneShard(const shards::ShardMap& map, const WriteRequest& request);

// The part of a request that one shard answers.
struct BalancesPart {
  size_t shard;
  v1::BatchGetBalancesRequest request;
  std::vector<int> places;  // of its accounts in the whole
};

// A request whose accounts are on several shards, parted. Nothing where one shard answers it as it
// is, or where it is at fault: then any shard tells what is wrong with the whole.
std::vector<BalancesPart> PartByShard(const shards::ShardMap& map, const AccountTypes& types,
                                      const v1::BatchGetBalancesRequest& request);

}  // namespace saldo::accounts
