#include "server/keys/keyed_type_store.h"

#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "common/devstack/files.h"
#include "common/runtime/thread.h"
#include "google/rpc/error_details.pb.h"
#include "server/keys/faults.h"
#include "server/keys/keyed_type_registry.h"
#include "server/keys/keyed_types_file.h"
#include "tests/support/capture_log.h"
#include "tests/support/migrated_database.h"
#include "tests/support/test_env.h"

namespace saldo::keys {
namespace {

const std::string kLock =
    "  - {name: a, key: [{name: id, kind: integer}, {name: b}], sharding: [id]}\n";
constexpr const char* kRows =
    "SELECT kind, name, key_attributes, sharding_attributes, redefinition FROM keyed_types "
    "ORDER BY kind, name";

// What stands for the locks and states of the other slices.
constexpr postgres::Statement kUsedLocks{"test.used_locks",
                                         "SELECT name FROM test_used WHERE kind = 'lock'"};
constexpr postgres::Statement kUsedStates{"test.used_states",
                                          "SELECT name FROM test_used WHERE kind = 'state'"};
std::vector<KeyedTypeUse> Uses() {
  return {{KeyedKind::kLock, "locks", kUsedLocks}, {KeyedKind::kState, "states", kUsedStates}};
}

struct Fixture {
  testing::MigratedDatabase database;
  metrics::Registry registry;
  postgres::Pool pool{{.connection = {.dsn = database.dsn()}}, registry};
  KeyedTypeStore store{pool, Uses()};

  Fixture() { database.Query("CREATE TABLE test_used (kind text, name text)"); }

  absl::StatusOr<std::vector<KeyedType>> Sync(const std::string& yaml) {
    const auto types = ParseKeyedTypes("t.yaml", yaml);
    REQUIRE(types.ok());
    return store.Sync(CallContext::WithTimeout(absl::Seconds(30)), *types);
  }
  void Use(const std::string& kind, const std::string& name) const {
    database.Query("INSERT INTO test_used VALUES ('" + kind + "', '" + name + "')");
  }
};

}  // namespace

TEST_CASE("new types get a row, and the same again change nothing") {
  Fixture f;
  const std::string yaml = "locks:\n" + kLock + "states: [{name: a, key: [{name: s}]}]\n";
  const auto types = f.Sync(yaml);
  REQUIRE(types.ok());
  CHECK(types->size() == 2);
  CHECK(f.database.Query(kRows) ==
        "lock|a|{\"id integer\",\"b string\"}|{id}|0\n"
        "state|a|{\"s string\"}|{s}|0");
  f.Use("lock", "a");
  f.Use("state", "a");
  const std::string before = f.database.Query("SELECT * FROM keyed_types ORDER BY kind");
  CHECK(f.Sync(yaml).ok());
  CHECK(f.database.Query("SELECT * FROM keyed_types ORDER BY kind") == before);
}

TEST_CASE("an unused type may change and go, and each change counts") {
  Fixture f;
  REQUIRE(f.Sync("locks:\n" + kLock).ok());
  const auto changed = f.Sync("locks: [{name: a, key: [{name: b}]}]\n");
  REQUIRE(changed.ok());
  CHECK((*changed)[0].redefinition == 1);
  CHECK(f.database.Query(kRows) == "lock|a|{\"b string\"}|{b}|1");
  CHECK(f.Sync("locks: []\n").ok());
  const auto again = f.Sync("locks: [{name: a, key: [{name: b}]}]\n");
  REQUIRE(again.ok());
  CHECK((*again)[0].redefinition == 1);
  const auto stale = CheckCurrent((*again)[0], 0);
  CHECK(stale.code() == absl::StatusCode::kUnavailable);
  google::rpc::RetryInfo retry;
  CHECK(rpc::GetDetail(stale, &retry));
  CHECK(CheckCurrent((*again)[0], std::nullopt).code() == absl::StatusCode::kUnavailable);
  CHECK(CheckCurrent((*again)[0], 1).ok());
}

TEST_CASE("what is stored forbids another key, another sharding and removal") {
  Fixture f;
  REQUIRE(f.Sync("locks:\n" + kLock + "states: [{name: s, key: [{name: id}]}]\n").ok());
  f.Use("lock", "a");
  f.Use("state", "s");
  const auto refused =
      f.Sync("locks: [{name: a, key: [{name: c}, {name: b}, {name: id}], sharding: [b]}]\n");
  CHECK(refused.status().code() == absl::StatusCode::kFailedPrecondition);
  CHECK(FaultsOf(refused.status()) ==
        Faults{"a: key: id was of kind integer and is of kind string, but values are stored as "
               "they were",
               "a: key: the order was id, b and is b, id, but values are stored in the order they "
               "had",
               "a: key: c is new, but the locks that exist have no value for it",
               "a: sharding: was id and is b, but locks stay on the shard that they were written "
               "to",
               "s: is not among the configured types of states, but has states"});
  CHECK(f.database.Query("SELECT name, redefinition FROM keyed_types ORDER BY name") == "a|0\ns|0");
}

TEST_CASE("a change waits for transactions that hold the types") {
  Fixture f;
  REQUIRE(f.Sync("locks:\n" + kLock).ok());
  absl::Status change;
  runtime::Thread changer;
  const absl::Status held = f.pool.Transact(
      CallContext::WithTimeout(absl::Seconds(30)), {.name = "test.hold"},
      [&](postgres::Transaction& tx) -> absl::Status {
        if (auto hold = tx.Query(kHoldTypes); !hold.ok()) return hold.status();
        changer = runtime::Thread(
            "changer", [&] { change = f.Sync("locks: [{name: a, key: [{name: x}]}]\n").status(); });
        REQUIRE(testing::Eventually(absl::Seconds(20), [&] {
          return f.database.Query("SELECT count(*) FROM pg_locks WHERE NOT granted") == "1";
        }));
        constexpr postgres::Statement kUse{"test.use",
                                           "INSERT INTO test_used VALUES ('lock', 'a')"};
        return tx.Query(kUse).status();
      });
  changer.Join();
  CHECK(held.ok());
  CHECK(change.code() == absl::StatusCode::kFailedPrecondition);
}

TEST_CASE("a registry hands out what the file says, and keeps it when that is wrong") {
  Fixture f;
  const testing::TempDir folder;
  const std::string path = folder.File("types.yaml");
  const auto write = [&](const std::string& yaml) {
    REQUIRE(devstack::WriteFile(path, yaml).ok());
  };
  write("types: []\nlocks:\n" + kLock);
  KeyedTypeRegistry registry({.path = path}, Uses(), f.pool, f.registry);
  CHECK(registry.current() == nullptr);
  REQUIRE(registry.Start().ok());
  REQUIRE(registry.current() != nullptr);
  CHECK(registry.current()->Find(KeyedKind::kLock, "a") != nullptr);
  testing::CaptureLog log;
  write("locks: [{name: A, key: [{name: x}]}]\n");
  CHECK_FALSE(registry.CheckFile().ok());
  CHECK_FALSE(registry.Reload().ok());
  CHECK(testing::CountOf(log.Text(), "types of locks and states not reloaded") == 2);
  CHECK(registry.current()->all().size() == 1);
  f.Use("lock", "a");
  write("locks: [{name: b, key: [{name: x}]}]\n");
  CHECK(registry.CheckFile().ok());
  CHECK(registry.Reload().code() == absl::StatusCode::kFailedPrecondition);
  CHECK(registry.current()->Find(KeyedKind::kLock, "b") == nullptr);
  write("locks:\n" + kLock + "  - {name: b, key: [{name: x}]}\n");
  CHECK(registry.Reload().ok());
  CHECK(registry.current()->all().size() == 2);
  CHECK(f.registry.Text().find("saldo_keyed_types_reloads_total{result=\"refused\"} 3") !=
        std::string::npos);
}

}  // namespace saldo::keys
