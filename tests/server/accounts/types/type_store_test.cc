#include "server/accounts/types/type_store.h"

#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "common/runtime/thread.h"
#include "server/accounts/types/faults.h"
#include "tests/server/accounts/types/types_test_util.h"
#include "tests/support/migrated_database.h"

namespace saldo::accounts {
namespace {

const std::string kWallet =
    "  - name: wallet\n"
    "    key: [{name: id, kind: integer}, {name: currency}]\n"
    "    auxiliary: [{name: product}]\n"
    "    asset: currency\n"
    "    sharding: [id]\n";
const std::string kPoints =
    "  - {name: points, key: [{name: id}], asset_constant: pts, scale: 0, min_balance: 0}\n";
constexpr const char* kRows =
    "SELECT name, key_attributes, auxiliary_attributes, sharding_attributes, asset_attribute, "
    "asset_constant, scale, keeps_balance, retention FROM account_types ORDER BY type_id";

struct Fixture {
  testing::MigratedDatabase database;
  metrics::Registry registry;
  postgres::Pool pool{{.connection = {.dsn = database.dsn()}}, registry};
  TypeStore store{pool};

  absl::StatusOr<std::vector<AccountType>> Sync(const std::string& types) {
    return store.Sync(CallContext::WithTimeout(absl::Seconds(30)), Parsed("types:\n" + types));
  }
  absl::Status FixTimeZone(const std::string& zone) {
    return store.FixTimeZone(CallContext::WithTimeout(absl::Seconds(30)), zone);
  }
  void AddAccount(int type_id) const {
    database.Query("INSERT INTO accounts (account_id, type_id, key, asset) VALUES (" +
                   std::to_string(type_id) + ", " + std::to_string(type_id) + ", 'k', 'RUB')");
  }
};

}  // namespace

TEST_CASE("new types get a row, an id and partitions that take events") {
  Fixture f;
  const auto types = f.Sync(kWallet + kPoints);
  REQUIRE(types.ok());
  REQUIRE(types->size() == 2);
  CHECK((*types)[0].id == 1);
  CHECK((*types)[1].id == 2);
  CHECK((*types)[1].keeps_balance);
  CHECK(f.database.Query(kRows) ==
        "wallet|{\"id integer\",\"currency string\"}|{\"product string\"}|{id}|currency||2|f|"
        "9600:00:00\n"
        "points|{\"id string\"}|{}|{id}||pts|0|t|9600:00:00");
  CHECK(f.database.Query("SELECT parent, count(*) FROM partitions WHERE parent LIKE 'events%' "
                         "GROUP BY parent ORDER BY parent") == "events_1|4\nevents_2|4");
  for (const AccountType& type : *types) {
    CHECK(f.database.Query("INSERT INTO events (batch_id, subaccount_id, occurred_at, ordinal, "
                           "type_id, is_credit, is_balanced, amount) VALUES (1, 1, now(), 1, " +
                           std::to_string(type.id) +
                           ", true, false, 1) RETURNING tableoid::regclass") ==
          "events_" + std::to_string(type.id) + "_0");
  }
}

TEST_CASE("the same types again change nothing") {
  Fixture f;
  REQUIRE(f.Sync(kWallet + kPoints).ok());
  const std::string all = "SELECT * FROM account_types ORDER BY type_id";
  const std::string before = f.database.Query(all);
  const auto types = f.Sync(kPoints + kWallet);
  REQUIRE(types.ok());
  CHECK((*types)[0].id == 2);
  CHECK((*types)[1].id == 1);
  CHECK(f.database.Query(all) == before);
}

TEST_CASE("a change that fits is stored") {
  Fixture f;
  REQUIRE(f.Sync(kWallet + kPoints).ok());
  f.AddAccount(1);
  f.AddAccount(2);
  const auto types = f.Sync(
      "  - name: wallet\n"
      "    key: [{name: id, kind: integer}, {name: currency}]\n"
      "    auxiliary: [{name: product}, {name: region, kind: integer}]\n"
      "    asset: currency\n"
      "    sharding: [id]\n"
      "    scale: 6\n"
      "    retention_days: 10\n"
      "  - {name: points, key: [{name: id}], asset_constant: pts, scale: 0}\n");
  REQUIRE(types.ok());
  CHECK((*types)[1].keeps_balance);
  CHECK_FALSE((*types)[1].min_balance.has_value());
  CHECK(f.database.Query(kRows) ==
        "wallet|{\"id integer\",\"currency string\"}|{\"product string\",\"region integer\"}|{id}|"
        "currency||6|f|240:00:00\n"
        "points|{\"id string\"}|{}|{id}||pts|0|t|9600:00:00");
  CHECK(f.database.Query("SELECT bool_and(updated_at > created_at) FROM account_types "
                         "WHERE name = 'wallet'") == "t");
}

TEST_CASE("a change that does not fit is refused as a whole, with every fault") {
  Fixture f;
  REQUIRE(f.Sync(kWallet + kPoints).ok());
  f.AddAccount(1);
  f.AddAccount(2);
  const std::string before = f.database.Query(kRows);
  const auto types = f.Sync(
      "  - {name: fresh, key: [{name: id}], asset_constant: pts}\n"
      "  - name: wallet\n"
      "    key: [{name: id, kind: integer}, {name: currency}]\n"
      "    asset: currency\n"
      "    sharding: [id]\n"
      "    scale: 1\n");
  CHECK(types.status().code() == absl::StatusCode::kFailedPrecondition);
  CHECK(FaultsOf(types.status()) ==
        Faults{"wallet: auxiliary: product is gone, but accounts are stored with it",
               "wallet: scale: was 2 and is 1: stored amounts may have more digits",
               "points: is not among the configured types, but has accounts"});
  CHECK(f.database.Query(kRows) == before);
}

TEST_CASE("a type without accounts may change and go, and come back under its id") {
  Fixture f;
  REQUIRE(f.Sync(kWallet + kPoints).ok());
  const auto without = f.Sync("  - {name: wallet, key: [{name: client}], asset: client}\n");
  REQUIRE(without.ok());
  REQUIRE(without->size() == 1);
  CHECK((*without)[0].id == 1);
  CHECK(f.database.Query("SELECT key_attributes FROM account_types WHERE name = 'wallet'") ==
        "{\"client string\"}");
  // Who still has the old definition must not write by it.
  CHECK((*without)[0].redefinition == 1);
  const auto back = f.Sync(kWallet + kPoints);
  REQUIRE(back.ok());
  CHECK((*back)[0].redefinition == 2);
  CHECK((*back)[1].id == 2);
  CHECK((*back)[1].redefinition == 0);
  const auto harmless = f.Sync(kWallet + "    scale: 4\n" + kPoints);
  REQUIRE(harmless.ok());
  CHECK((*harmless)[0].redefinition == 2);
}

TEST_CASE("servers that start together agree on the types") {
  constexpr int kServers = 4;
  Fixture f;
  std::vector<absl::Status> statuses(kServers);
  std::vector<std::vector<AccountType>> types(kServers);
  {
    std::vector<runtime::Thread> servers;
    for (size_t i = 0; i < kServers; ++i) {
      servers.emplace_back("server", [&f, &statuses, &types, i] {
        statuses[i] = f.FixTimeZone("Europe/Moscow");
        auto synced = f.Sync(i % 2 == 0 ? kWallet + kPoints : kPoints + kWallet);
        if (!synced.ok()) statuses[i] = synced.status();
        if (synced.ok()) types[i] = *std::move(synced);
      });
    }
  }
  for (size_t i = 0; i < kServers; ++i) {
    CAPTURE(i);
    REQUIRE(statuses[i].ok());
    REQUIRE(types[i].size() == 2);
    CHECK(AccountTypes(types[i]).Find("wallet")->id == AccountTypes(types[0]).Find("wallet")->id);
  }
  CHECK(f.database.Query("SELECT count(*) FROM account_types") == "2");
  CHECK(f.database.Query("SELECT time_zone FROM ledger") == "Europe/Moscow");
}

TEST_CASE("the time zone is fixed at the first start") {
  Fixture f;
  const absl::Status unknown = f.FixTimeZone("Europe/Atlantis");
  CHECK(unknown == absl::InvalidArgumentError("ledger.time_zone: PostgreSQL does not know the "
                                              "time zone Europe/Atlantis"));
  CHECK(f.database.Query("SELECT count(*) FROM ledger") == "0");
  CHECK(f.FixTimeZone("Europe/Moscow").ok());
  CHECK(f.FixTimeZone("Europe/Moscow").ok());
  CHECK(f.FixTimeZone("UTC") ==
        absl::FailedPreconditionError(
            "ledger.time_zone is UTC, but the ledger's days begin in Europe/Moscow since its first "
            "start, and turnovers are stored by day"));
  CHECK(f.database.Query("SELECT time_zone FROM ledger") == "Europe/Moscow");
}

}  // namespace saldo::accounts
