// `saldo shard` as a user meets it, on two real databases.
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/cli/shard/two_shards.h"

namespace saldo::cli {
namespace {

using Shards = TwoShards<testing::MigratedDatabase>;
using Catch::Contains;

// As a server does at its start.
void Identify(const testing::TestDatabase& database, const std::string& name,
              const std::string& from, const std::string& to) {
  database.Query("INSERT INTO shard (name, range_first, range_last) VALUES ('" + name + "', '" +
                 from + "', '" + to + "')");
}

void AddTypes(const testing::TestDatabase& database) {
  database.Query(
      "INSERT INTO account_types (name, key_attributes, auxiliary_attributes, sharding_attributes, "
      "asset_attribute, scale, keeps_balance, retention) VALUES ('wallet', '{client_id integer, "
      "currency string}', '{}', '{client_id}', 'currency', 2, true, '1 day'), ('fee', '{city "
      "string, client_id integer}', '{}', '{city, client_id}', 'city', 2, true, '1 day')");
}

TEST_CASE("shard status shows ranges, sizes and lag of every shard") {
  const Shards shards;
  AddTypes(shards.a);
  shards.a.Query(
      "INSERT INTO accounts (account_id, type_id, key, asset) SELECT n, 1, n, 'RUB' "
      "FROM generate_series(1, 3) AS n");
  shards.a.Query(
      "UPDATE sequencer SET last_seq = 7, scanned_to = 7; UPDATE cursors SET seq = 5 "
      "WHERE consumer = 'relay'");
  shards.a.Query("INSERT INTO batches (batch_id, messages, message_bytes) VALUES (8, 0, 0)");
  shards.b.Query("DELETE FROM cursors WHERE consumer = 'aggregation'");
  Outcome outcome = shards.Run({"shard", "status"});
  INFO(outcome.text);
  CHECK(outcome.code == 0);
  CHECK_THAT(outcome.text, Contains("a      0000000000000000-7fffffffffffffff  ") &&
                               Contains(" MiB  3         7         3 batches  8 batches"));
  CHECK_THAT(outcome.text, Contains("b      8000000000000000-ffffffffffffffff  ") &&
                               Contains(" MiB  0         0         0 batches  no cursor"));
  outcome = shards.Run({"shard", "status", "--json"});
  CHECK_THAT(outcome.text,
             Contains(R"({"shard": "a", "from": "0000000000000000", "to": "7fffffffffffffff", )"
                      R"("answers": true, "error": null, "bytes": )") &&
                 Contains(R"("accounts": 3, "accounts_estimated": false, "last_seq": 7, )"
                          R"("relay_lag_batches": 3, "aggregation_lag_batches": 8})") &&
                 Contains(R"("aggregation_lag_batches": null)"));

  outcome = Saldo({"shard", "status", "--postgres.dsn=" + shards.a.dsn()});
  CHECK(outcome.code == 0);
  CHECK_THAT(outcome.text, Contains("0      0000000000000000-ffffffffffffffff  "));

  // Statistics stand in where there are very many.
  shards.a.Query("UPDATE pg_class SET reltuples = 2e6 WHERE oid = 'accounts'::regclass");
  CHECK_THAT(shards.Run({"shard", "status"}).text, Contains("about 2000000"));
}

TEST_CASE("shard status names who is away and who is somebody else") {
  const testing::MigratedDatabase there;
  const ShardsFile away(there.dsn(), kNobody);
  Outcome outcome = Saldo({"shard", "status", away.option()});
  INFO(outcome.text);
  CHECK(outcome.code == 1);
  CHECK_THAT(outcome.text, Contains("answers\n") && Contains("port 1 failed"));
  outcome = Saldo({"shard", "status", "--json", away.option()});
  CHECK(outcome.code == 1);
  CHECK_THAT(outcome.text, Contains(R"("shard": "b", )") && Contains(R"("answers": false)"));

  const testing::MigratedDatabase second;
  Identify(second, "a", "0000000000000000", "7fffffffffffffff");
  const ShardsFile swapped(there.dsn(), second.dsn());
  outcome = Saldo({"shard", "status", swapped.option()});
  CHECK(outcome.code == 1);
  CHECK_THAT(outcome.text, Contains("the database is shard \"a\""));
  // Named alone, it is what it is.
  CHECK(Saldo({"shard", "status", "--postgres.dsn=" + second.dsn()}).code == 0);
}

TEST_CASE("shard which names the shard of a key") {
  const Shards shards;
  AddTypes(shards.a);
  // The beginnings of SHA-1 of "2", "1" and "a\x1f1".
  Outcome outcome = shards.Run({"shard", "which", "wallet", "client_id=2", "currency=RUB"});
  INFO(outcome.text);
  CHECK(outcome.code == 0);
  CHECK(outcome.text == "shard b: hash da4b9237bacccdf1 of 8000000000000000-ffffffffffffffff\n");
  CHECK(shards.Run({"shard", "which", "wallet", "client_id=1"}).text ==
        "shard a: hash 356a192b7913b04c of 0000000000000000-7fffffffffffffff\n");
  CHECK(shards.Run({"shard", "which", "wallet", "client_id=01", "--json"}).text ==
        R"({"shard": "a", "hash": "356a192b7913b04c", "from": "0000000000000000", )"
        "\"to\": \"7fffffffffffffff\"}\n");
  CHECK(shards.Run({"shard", "which", "fee", "client_id=1", "city=a"}).text ==
        "shard a: hash 6aec555ea0dedb34 of 0000000000000000-7fffffffffffffff\n");

  struct Line {
    std::vector<std::string> arguments;
    std::string reason;
  };
  for (const Line& line :
       std::vector<Line>{{{"purse", "a=1"}, "there is no type 'purse'; there are fee, wallet"},
                         {{"wallet"}, "client_id is missing: wallet is sharded by client_id"},
                         {{"wallet", "client=1"}, "the key of wallet has no attribute 'client'"},
                         {{}, "which takes a TYPE"}}) {
    std::vector<std::string> arguments = {"shard", "which"};
    arguments.insert(arguments.end(), line.arguments.begin(), line.arguments.end());
    outcome = shards.Run(arguments);
    INFO(outcome.text);
    CHECK(outcome.code == 2);
    CHECK_THAT(outcome.text, Contains(line.reason));
  }
}

TEST_CASE("shard which asks the shards that answer") {
  const testing::MigratedDatabase there, empty;
  AddTypes(there);
  const auto which = [](const ShardsFile& file) {
    return Saldo({"shard", "which", "wallet", "client_id=17", file.option()});
  };
  const Outcome answer = which(ShardsFile(there.dsn(), kNobody));
  CHECK(answer.code == 0);
  for (const std::string& home : {std::string(kNobody), empty.dsn()}) {
    const Outcome outcome = which(ShardsFile(home, there.dsn()));
    INFO(outcome.text);
    CHECK(outcome.code == 0);
    CHECK(outcome.text == answer.text);
  }
  CHECK_THAT(which(ShardsFile(kNobody, empty.dsn())).text,
             Contains("saldo shard: shard a: no connection to PostgreSQL"));
}

TEST_CASE("a database that takes the connection and says nothing is given up in time") {
  const testing::MigratedDatabase there;
  // The kernel accepts for a listening socket that nobody serves.
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  socklen_t size = sizeof(address);
  REQUIRE(listen(fd, 5) == 0);
  REQUIRE(getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) == 0);
  const ShardsFile file(there.dsn(), absl::StrCat("host=127.0.0.1 port=", ntohs(address.sin_port)));
  const absl::Time begin = absl::Now();
  const Outcome outcome = Saldo({"shard", "status", "--timeout=2s", file.option()});
  const absl::Duration took = absl::Now() - begin;
  close(fd);
  INFO(outcome.text);
  CHECK(outcome.code == 1);
  CHECK_THAT(outcome.text, Contains("answers\n") && Contains("connecting took too long"));
  CHECK(took < absl::Seconds(8));  // without --timeout it is 10 s
}

TEST_CASE("shard which knows the types of locks and states") {
  const Shards shards;
  Outcome outcome = shards.Run({"shard", "which", "import", "name=x"});
  CHECK(outcome.code == 1);
  CHECK_THAT(outcome.text, Contains("no saldo-server has been started"));
  shards.a.Query(
      "INSERT INTO keyed_types (kind, name, key_attributes, sharding_attributes) VALUES "
      "('lock', 'import', '{name string}', '{name}')");
  outcome = shards.Run({"shard", "which", "lock:import", "name=1"});
  INFO(outcome.text);
  CHECK(outcome.code == 0);
  CHECK_THAT(outcome.text, Contains("hash 356a192b7913b04c"));
}

}  // namespace
}  // namespace saldo::cli
