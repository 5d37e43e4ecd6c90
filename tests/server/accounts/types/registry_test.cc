#include "server/accounts/types/registry.h"

#include <catch2/catch.hpp>
#include <memory>
#include <string>
#include <vector>

#include "common/config/load.h"
#include "common/devstack/files.h"
#include "server/accounts/types/faults.h"
#include "tests/support/capture_log.h"
#include "tests/support/migrated_database.h"
#include "tests/support/test_env.h"

namespace saldo::accounts {
namespace {

struct Fixture {
  testing::TempDir folder;
  const std::string path = folder.File("types.yaml");
  testing::MigratedDatabase database;
  metrics::Registry metrics;
  postgres::Pool pool{{.connection = {.dsn = database.dsn()}}, metrics};
  AccountTypeRegistry registry{{.types_file = path}, pool, metrics};

  void Write(const std::string& types) const {
    REQUIRE(devstack::WriteFile(path, "types:\n" + types).ok());
  }
  bool HasSample(const std::string& sample) const {
    return metrics.Text().find("\n" + sample + "\n") != std::string::npos;
  }
};

const std::string kWallet = "  - {name: wallet, key: [{name: id}], asset_constant: p}\n";
const std::string kPoints = "  - {name: points, key: [{name: id}], asset_constant: p}\n";

std::vector<std::string> Load(std::vector<const char*> flags, LedgerConfig* ledger) {
  flags.insert(flags.begin(), "program");
  const char* const no_environment[] = {nullptr};
  return config::Load({.name = "program"}, static_cast<int>(flags.size()), flags.data(),
                      no_environment, [&](config::Binder& binder) { Bind(binder, *ledger); })
      .faults;
}

}  // namespace

TEST_CASE("types of the program itself come besides those of the file") {
  Fixture f;
  f.Write(kWallet);
  AccountType own;
  own.name = "saldo_own";
  own.key = {{.name = "id"}};
  own.sharding = {0};
  own.asset_constant = "p";
  own.topic = "saldo-own";
  own.built_in = own.keeps_balance = own.opened = true;
  AccountTypeRegistry registry({.types_file = f.path}, f.pool, f.metrics, {own});
  REQUIRE(registry.Start().ok());
  f.Write(kPoints);
  REQUIRE(registry.Reload().ok());
  REQUIRE(registry.current()->all().size() == 2);
  const AccountType* const stored = registry.current()->Find("saldo_own");
  REQUIRE(stored != nullptr);
  CHECK(stored->id > 0);
  CHECK((stored->built_in && stored->opened && stored->keeps_balance));
  CHECK(f.HasSample("saldo_account_types 1"));
  // Their topics are theirs, also where a type's name makes it.
  f.Write(kPoints + "  - {name: own, key: [{name: id}], asset_constant: p}\n");
  CHECK(FaultsOf(registry.Reload()) ==
        Faults{"own: topic: saldo-own is that of saldo_own, which is the program's own; give the "
               "type another topic"});
  CHECK(registry.current()->all().size() == 2);
}

TEST_CASE("a start without a file loads the example") {
  Fixture f;
  AccountTypeRegistry registry({}, f.pool, f.metrics);
  const absl::Status status = registry.Start();
  INFO(status);
  REQUIRE(status.ok());
  REQUIRE(registry.current() != nullptr);
  CHECK(registry.current()->all().size() == 3);
  const AccountType* const wallet = registry.current()->Find("client_wallet");
  REQUIRE(wallet != nullptr);
  CHECK(registry.current()->Find(wallet->id) == wallet);
  CHECK(f.database.Query("SELECT time_zone FROM ledger") == "UTC");
  CHECK(f.HasSample("saldo_account_types 3"));
}

TEST_CASE("a start fails with every fault") {
  Fixture f;
  f.Write("  - {name: Wallet, key: [{name: id}], asset: p}\n");
  CHECK(FaultsOf(f.registry.Start()).size() == 2);
  f.Write("  - {name: wallet, key: [{name: id}], asset_constant: p, retention_days: 1}\n");
  AccountTypeRegistry keeps_longer({.types_file = f.path, .idempotency_retention = absl::Hours(25)},
                                   f.pool, f.metrics);
  CHECK(keeps_longer.Start().code() == absl::StatusCode::kInvalidArgument);
  CHECK(f.database.Query("SELECT count(*) FROM account_types") == "0");
}

TEST_CASE("a start in another time zone than the first fails") {
  Fixture f;
  f.Write(kWallet);
  REQUIRE(f.registry.Start().ok());
  AccountTypeRegistry moved({.types_file = f.path, .time_zone = "Europe/Moscow"}, f.pool,
                            f.metrics);
  CHECK(moved.Start().code() == absl::StatusCode::kFailedPrecondition);
}

TEST_CASE("a good file takes the place of the old one, also while that is in use") {
  Fixture f;
  f.Write(kWallet);
  REQUIRE(f.registry.Start().ok());
  const std::shared_ptr<const AccountTypes> before = f.registry.current();
  f.Write(kPoints + kWallet);
  CHECK(f.registry.Reload().ok());
  const std::shared_ptr<const AccountTypes> after = f.registry.current();
  CHECK(before->all().size() == 1);
  CHECK(before->Find("points") == nullptr);
  REQUIRE(after->Find("points") != nullptr);
  CHECK(after->Find("wallet")->id == before->Find("wallet")->id);
  CHECK(f.HasSample("saldo_account_types_reloads_total{result=\"ok\"} 1"));
  CHECK(f.HasSample("saldo_account_types_reloads_total{result=\"refused\"} 0"));
}

TEST_CASE("a bad file leaves the old types, and its faults are logged one by one") {
  Fixture f;
  f.Write(kWallet);
  REQUIRE(f.registry.Start().ok());
  const std::shared_ptr<const AccountTypes> before = f.registry.current();
  f.database.Query(
      "INSERT INTO accounts (account_id, type_id, key, asset) VALUES (1, 1, 'k', 'p')");
  struct Row {
    std::string types;
    std::vector<std::string> faults;
  };
  const std::vector<Row> table = {
      {"  - {name: wallet, key: [{name: id}]}\n",
       {"wallet): asset: expected either asset or asset_constant, got neither"}},
      {"  - {name: wallet, key: [{name: client}], asset_constant: q}\n",
       {"wallet: key: id is gone, but accounts are stored with it", "wallet: key: client is new",
        "wallet: sharding: was id and is client", "wallet: asset: was"}},
      {kPoints, {"wallet: is not among the configured types, but has accounts"}},
  };
  for (const Row& row : table) {
    CAPTURE(row.types);
    f.Write(row.types);
    testing::CaptureLog capture;
    const absl::Status status = f.registry.Reload();
    const std::string log = capture.Text();
    CHECK_FALSE(status.ok());
    CHECK(f.registry.current() == before);
    CHECK(testing::CountOf(log, "account types not reloaded") ==
          static_cast<int>(row.faults.size()));
    for (const std::string& fault : row.faults) CHECK(testing::CountOf(log, fault) == 1);
  }
  CHECK(f.HasSample("saldo_account_types_reloads_total{result=\"refused\"} 3"));
  f.Write(kWallet);
  CHECK(f.registry.Reload().ok());
}

TEST_CASE("a reload without a database leaves the old types") {
  Fixture f;
  f.Write(kWallet);
  REQUIRE(f.registry.Start().ok());
  const std::shared_ptr<const AccountTypes> before = f.registry.current();
  f.pool.Close();
  CHECK(f.registry.Reload().code() == absl::StatusCode::kUnavailable);
  CHECK(f.registry.current() == before);
}

TEST_CASE("the keys of the ledger bind") {
  LedgerConfig ledger;
  CHECK(Load({}, &ledger).empty());
  CHECK(ledger.types_file.empty());
  CHECK(ledger.time_zone == "UTC");
  CHECK(ledger.idempotency_retention == absl::Hours(24));
  CHECK(Load({"--types_file=t.yaml", "--time_zone=America/Argentina/Buenos_Aires",
              "--idempotency_retention=48h"},
             &ledger)
            .empty());
  CHECK(ledger.types_file == "t.yaml");
  CHECK(ledger.time_zone == "America/Argentina/Buenos_Aires");
  CHECK(ledger.idempotency_retention == absl::Hours(48));
  CHECK(Load({"--time_zone=Etc/GMT-3"}, &ledger).empty());
}

TEST_CASE("keys of the ledger that are not allowed") {
  for (const char* flag : {"--time_zone=MSK", "--time_zone=+03", "--time_zone=", "--time_zone=utc",
                           "--time_zone=posix/Europe/Moscow", "--time_zone=Europe/Mos cow",
                           "--idempotency_retention=59m", "--idempotency_retention=169h"}) {
    CAPTURE(flag);
    LedgerConfig ledger;
    CHECK(Load({flag}, &ledger).size() == 1);
  }
}

}  // namespace saldo::accounts
