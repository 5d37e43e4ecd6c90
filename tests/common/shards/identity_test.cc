// A database is the shard that it was first started as.
#include "common/shards/identity.h"

#include <catch2/catch.hpp>
#include <memory>

#include "tests/support/migrated_database.h"

namespace saldo::shards {
namespace {

struct Fixture {
  testing::MigratedDatabase database;
  std::unique_ptr<postgres::Connection> connection;

  Fixture() {
    auto opened = postgres::Connection::Open({.dsn = database.dsn()}, Soon());
    REQUIRE(opened.ok());
    connection = *std::move(opened);
  }
  static CallContext Soon() { return CallContext::WithTimeout(absl::Seconds(30)); }

  absl::Status Fix(const Identity& identity) { return FixIdentity(*connection, Soon(), identity); }
  absl::Status Check(const Identity& identity) {
    return CheckIdentity(*connection, Soon(), identity);
  }
  void AddAccount() {
    database.Query(
        "INSERT INTO accounts (account_id, type_id, key, asset) VALUES (1, 1, 'k', 'p')");
  }
};

const Identity kWhole{.name = "0", .range = {}};
const Identity kLower{.name = "south", .range = {.first = 0, .last = 0x7fffffffffffffff}};

void CheckRefused(const absl::Status& status, const std::string& text) {
  CHECK(status.code() == absl::StatusCode::kFailedPrecondition);
  CHECK(status.message() == text);
}

}  // namespace

TEST_CASE("The first start gives a database its identity, for ever") {
  Fixture fixture;
  REQUIRE(fixture.Check(kLower).ok());
  CHECK(ReadIdentity(*fixture.connection, Fixture::Soon()).value() == std::nullopt);
  REQUIRE(fixture.Fix(kLower).ok());
  CHECK(fixture.Fix(kLower).ok());
  CHECK(fixture.Check(kLower).ok());
  CHECK(ReadIdentity(*fixture.connection, Fixture::Soon()).value() == kLower);

  Identity other = kLower;
  other.name = "north";
  const std::string refusal =
      "the database is shard \"south\" with the hashes 0000000000000000-7fffffffffffffff, but is "
      "configured as shard \"north\" with the hashes 0000000000000000-7fffffffffffffff; a database "
      "keeps the name and range that it was first started with";
  CheckRefused(fixture.Fix(other), refusal);
  CheckRefused(fixture.Check(other), refusal);
  other = kLower;
  other.range.last = 0x8000000000000000;
  CHECK(absl::IsFailedPrecondition(fixture.Check(other)));
  other = kLower;
  other.range.first = 1;
  CHECK(absl::IsFailedPrecondition(fixture.Check(other)));
}

TEST_CASE("An unsharded ledger is no part of a sharded one") {
  Fixture fixture;
  REQUIRE(fixture.Fix(kWhole).ok());
  CheckRefused(
      fixture.Fix(kLower),
      "the database holds a whole, unsharded ledger (shard \"0\" with all hashes), but is "
      "configured as shard \"south\" with the hashes 0000000000000000-7fffffffffffffff; a database "
      "keeps the name and range that it was first started with");
  CHECK(absl::IsFailedPrecondition(fixture.Fix({.name = "all", .range = {}})));
}

TEST_CASE("A ledger from before there were shards has all hashes, under any name") {
  Fixture fixture;
  fixture.AddAccount();
  CheckRefused(
      fixture.Fix(kLower),
      "the database holds accounts of a whole, unsharded ledger, but is configured as shard "
      "\"south\" with the hashes 0000000000000000-7fffffffffffffff; only a database with all "
      "hashes can take it over");
  CHECK(fixture.Fix({.name = "all", .range = {}}).ok());
}

TEST_CASE("Packages and tasks from before there were shards are at home") {
  Fixture fixture;
  const bool package = GENERATE(true, false);
  fixture.database.Query(
      package ? "INSERT INTO packages (title, material, maximum_volume, reusable) "
                "VALUES ('box', 'wood', 1, false)"
              : "INSERT INTO task_kinds (kind, about, schedule, max_attempts, timeout_seconds) "
                "VALUES ('k', '', '', 1, 1); "
                "INSERT INTO tasks (kind, key, payload, run_at, max_attempts) "
                "VALUES ('k', '', '', now(), 1)");
  Identity other = kLower;
  other.home = false;
  CheckRefused(
      fixture.Fix(other),
      "the database holds packages or tasks, but is configured as shard \"south\" with the "
      "hashes 0000000000000000-7fffffffffffffff, which is not the home; only the first "
      "shard of the list has them");
  CHECK(fixture.Fix(kLower).ok());
  // It has its identity now; which one is the home is not stored.
  CHECK(fixture.Fix(other).ok());
}

TEST_CASE("States, locks and wallets belong to their hashes as accounts do") {
  Fixture fixture;
  fixture.database.Query(
      GENERATE("INSERT INTO states (type, key, version, document) VALUES ('t', 'k', 1, '{}')",
               "INSERT INTO locks (type, key) VALUES ('t', 'k')",
               "INSERT INTO wallets (wallet_id, currency, overdraft_limit, created_at) "
               "VALUES ('w', 'RUB', 0, now())"));
  CHECK(absl::IsFailedPrecondition(fixture.Fix(kLower)));
  CHECK(fixture.Fix(kWhole).ok());
}

TEST_CASE("Of two servers that start at once as different shards one is refused") {
  Fixture first;
  auto second = postgres::Connection::Open({.dsn = first.database.dsn()}, Fixture::Soon());
  REQUIRE(second.ok());
  // The second has seen no identity when the first stores its own.
  first.database.Query(
      "CREATE FUNCTION other_first() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
      "IF NEW.name = 'south' THEN INSERT INTO shard (name, range_first, range_last) "
      "VALUES ('north', '8000000000000000', 'ffffffffffffffff'); END IF; RETURN NEW; END $$;"
      "CREATE TRIGGER other_first BEFORE INSERT ON shard FOR EACH ROW "
      "EXECUTE FUNCTION other_first()");
  const absl::Status status = FixIdentity(**second, Fixture::Soon(), kLower);
  CHECK(absl::IsFailedPrecondition(status));
  CHECK(first.database.Query("SELECT name FROM shard") == "north");
}

}  // namespace saldo::shards
