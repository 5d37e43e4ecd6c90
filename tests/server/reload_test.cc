// saldo-server in a process of its own, told to read its account types again.
#include <catch2/catch.hpp>
#include <csignal>
#include <memory>
#include <string>

#include "common/devstack/child_process.h"
#include "common/devstack/files.h"
#include "tests/support/capture_log.h"
#include "tests/support/migrated_database.h"
#include "tests/support/test_env.h"

namespace saldo::server {
namespace {

constexpr absl::Duration kPatience = absl::Seconds(60);

struct ServerProcess {
  testing::MigratedDatabase database;
  testing::TempDir folder;
  const std::string types_file = folder.File("types.yaml");
  std::unique_ptr<devstack::ChildProcess> child;

  void Start() {
    auto started = devstack::ChildProcess::Start(
        {.argv = {*devstack::SiblingProgram("saldo-server"), "--postgres.dsn=" + database.dsn(),
                  "--ledger.types_file=" + types_file, "--grpc.address=127.0.0.1", "--grpc.port=0",
                  "--metrics.address=127.0.0.1", "--metrics.port=0", "--status.address=127.0.0.1",
                  "--status.port=0"},
         .log_file = folder.File("log")});
    REQUIRE(started.ok());
    child = *std::move(started);
  }
  void Write(const std::string& types) const {
    REQUIRE(devstack::WriteFile(types_file, "types:\n" + types).ok());
  }
  bool Logs(const std::string& part) const {
    return testing::Eventually(kPatience, [&] {
      const auto text = devstack::ReadFile(folder.File("log"));
      return text.ok() && testing::CountOf(*text, part) == 1;
    });
  }
};

const std::string kWallet = "  - {name: wallet, key: [{name: id}], asset_constant: p}\n";
const std::string kPoints = "  - {name: points, key: [{name: id}], asset_constant: p}\n";

}  // namespace

TEST_CASE("a server takes a new types file on SIGHUP, refuses a bad one, and goes on") {
  ServerProcess server;
  server.Write(kWallet);
  server.Start();
  REQUIRE(server.Logs("saldo-server serves"));
  server.Write(kWallet + kPoints);
  REQUIRE(server.child->Signal(SIGHUP).ok());
  REQUIRE(server.Logs("account types reloaded"));
  CHECK(server.database.Query("SELECT name FROM account_types WHERE name NOT LIKE 'saldo%' "
                              "ORDER BY type_id") == "wallet\npoints");
  server.Write("  - {name: wallet, key: []}\n");
  REQUIRE(server.child->Signal(SIGHUP).ok());
  CHECK(server.Logs("types.0.key: got 0 items"));
  CHECK(server.Logs("asset: expected either asset or asset_constant, got neither"));
  REQUIRE(server.child->Signal(SIGTERM).ok());
  const auto ended = server.child->Wait(kPatience);
  REQUIRE(ended.ok());
  CHECK(ended->ok());
}

TEST_CASE("a server with a bad types file does not start, and says every reason") {
  ServerProcess server;
  server.Write("  - {name: Wallet, key: [{name: id}]}\n");
  server.Start();
  const auto ended = server.child->Wait(kPatience);
  REQUIRE(ended.ok());
  CHECK(ended->code == 1);
  const std::string log = *devstack::ReadFile(server.folder.File("log"));
  CHECK(testing::CountOf(log, "account types not loaded") == 2);
  CHECK_THAT(log, Catch::Contains("first a letter") && Catch::Contains("got neither"));
}

}  // namespace saldo::server
