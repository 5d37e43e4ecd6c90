// The store of locks over a database of its own, with one type: l{id}.
#pragma once

#include <catch2/catch.hpp>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/base/call_context.h"
#include "common/observability/metrics.h"
#include "common/postgres/pool.h"
#include "common/rpc/errors.h"
#include "google/rpc/error_details.pb.h"
#include "server/keys/keyed_type_store.h"
#include "server/keys/keyed_types_file.h"
#include "server/locks/store.h"
#include "tests/support/migrated_database.h"

namespace saldo::locks {

inline constexpr absl::Duration kTtl = absl::Hours(1);
inline constexpr absl::Duration kWait = absl::Minutes(30);

inline CallContext Soon() { return CallContext::WithTimeout(absl::Seconds(60)); }

struct Fixture {
  testing::MigratedDatabase database;
  metrics::Registry metrics;
  postgres::Pool pool{{.connection = {.dsn = database.dsn()}}, metrics};
  LockStore store{pool};
  std::shared_ptr<const keys::KeyedTypes> types;

  Fixture() { Define("locks: [{name: l, key: [{name: id}]}]"); }

  void Define(const std::string& yaml) {
    const auto parsed = keys::ParseKeyedTypes("t", yaml);
    REQUIRE(parsed.ok());
    auto synced = keys::KeyedTypeStore(pool, {LockTypeUse()}).Sync(Soon(), *parsed);
    INFO(synced.status());
    REQUIRE(synced.ok());
    types = std::make_shared<const keys::KeyedTypes>(*std::move(synced));
  }
  LockName Name(const std::string& key = "1") const {
    return {.types = types, .type = types->Find(keys::KeyedKind::kLock, "l"), .key = key};
  }
  Claim ClaimOf(const std::string& owner, bool exclusive) const {
    return {.lock = Name(), .owner = owner, .exclusive = exclusive, .ttl = kTtl};
  }
};

inline std::string ReasonOf(const absl::Status& status) {
  google::rpc::ErrorInfo info;
  return rpc::GetDetail(status, &info) ? info.reason() : status.ToString();
}

}  // namespace saldo::locks
