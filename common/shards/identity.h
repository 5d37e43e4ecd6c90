// A database knows which shard it is, so that no program takes it for another.
#pragma once

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/base/call_context.h"
#include "common/postgres/connection.h"
#include "common/shards/shard_map.h"

namespace saldo::shards {

struct Identity {
  std::string name;
  Range range;
  bool home = true;  // the first of its list: what is not sharded is there. Not stored

  // Of what is stored.
  bool operator==(const Identity& other) const {
    return name == other.name && range == other.range;
  }
};

// Of a shard as it is configured.
Identity IdentityOf(const ShardMap& map, size_t shard);

// What the database says, or nothing where no server has been started on it.
absl::StatusOr<std::optional<Identity>> ReadIdentity(postgres::Connection& connection,
                                                     const CallContext& context);

// For servers: a database without an identity gets this one. FAILED_PRECONDITION when it has
// another, or holds what was written before it could have one and cannot be of this shard: accounts
// and the like, for a part of the hashes; packages and tasks, unless this is the home.
absl::Status FixIdentity(postgres::Connection& connection, const CallContext& context,
                         const Identity& identity);

// For all other programs: FAILED_PRECONDITION when the database has another identity. None is fine.
absl::Status CheckIdentity(postgres::Connection& connection, const CallContext& context,
                           const Identity& identity);

}  // namespace saldo::shards
