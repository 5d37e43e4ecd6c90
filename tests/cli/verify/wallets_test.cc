// `saldo verify` on the wallets of two shards, written by a real server.
#include <catch2/catch.hpp>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "tests/cli/shard/two_shards.h"
#include "tests/server/wallets/wallet_server.h"

namespace saldo::cli {
namespace {

// A settled, a refunded and a debited transfer, an open hold, and an overdraft.
struct World {
  static wallets::WalletServerOptions Quiet() {
    wallets::WalletServerOptions options;
    options.wallets.transfers.enabled = false;
    return options;
  }
  wallets::Databases databases{2};
  wallets::WalletServer server{databases, Quiet()};
  ShardsFile file{databases.of(0).dsn(), databases.of(1).dsn()};
  std::string payer = server.CreateOn(0, "payer", "RUB", "50");
  std::string payee = server.CreateOn(1, "payee");
  std::string closed = server.CreateOn(1, "closed");

  World() {
    REQUIRE(server.Close("close", closed).ok());
    REQUIRE(server.Transfer("settled", payer, payee, "30").ok());
    REQUIRE(server.Transfer("refunded", payer, closed, "5").ok());
    REQUIRE(server.Hold("hold", payee, "7").ok());
    absl::Notification debited;
    const wallets::TransferOrder order{"debited", payer, payee, *Decimal::Parse("3"), ""};
    server.wallets.core().Write(
        0, {CallContext::WithTimeout(wallets::kPatience), {}},
        [&](const wallets::MovementContext& context) {
          return wallets::Send(context, order, "RUB");
        },
        [&](const absl::StatusOr<accounts::Written>& written) {
          if (written.ok()) debited.Notify();
        });
    REQUIRE(debited.WaitForNotificationWithTimeout(wallets::kPatience));
  }
  Outcome Verify() const { return Saldo({"verify", file.option()}); }
};

TEST_CASE("wallets and transfers between shards agree, also one that is under way") {
  const World w;
  const Outcome outcome = w.Verify();
  INFO(outcome.text);
  CHECK(outcome.code == 0);
  std::string text = outcome.text;
  absl::RemoveExtraAsciiWhitespace(&text);
  for (const char* line :
       {"ok wallets 1 wallets", "ok wallets 2 wallets", "ok in transit 1 accounts",
        "ok held 1 accounts", "ok transfer credits 1 transfers", "ok transfer ends 2 transfers"})
    CHECK_THAT(text, Catch::Contains(line));
}

TEST_CASE("what is wrong with wallets is found") {
  struct Row {
    size_t shard;
    const char* sql;
    const char* said;
  };
  const Row rows[] = {
      {0, "UPDATE wallets SET overdraft_limit = 51", "its limit is -50"},
      {1, "UPDATE wallets SET closed_at = NULL", "do not agree whether it is closed"},
      {1, "DELETE FROM wallets WHERE closed_at IS NOT NULL", "the account is of no wallet"},
      {1,
       "UPDATE wallets SET closed_at = now();"
       "UPDATE account_balances SET closed = true, balance = 0",
       "it is closed, with a balance of 0 and 1 holds and transfers open"},
      {1, "UPDATE account_balances SET balance = 1 WHERE closed",
       "it is closed, with a balance of 1"},
      {1, "UPDATE wallet_holds SET amount = 8", "its balance is 7, and it should be 8"},
      {0,
       "UPDATE wallet_transfers_out SET state = 'settled', ended_at = now() "
       "WHERE state = 'debited'",
       "its balance is 3, and it should be 0"},
      {0,
       "UPDATE wallet_transfers_out SET state = 'settled', ended_at = now() "
       "WHERE state = 'debited'",
       "debited is settled, and was never credited"},
      {1, "DELETE FROM wallet_transfers_in WHERE refused_reason IS NULL",
       "settled is settled, and was never credited"},
      {0, "DELETE FROM wallet_transfers_out WHERE state = 'settled'",
       "settled is credited, and was never debited"},
      {0, "UPDATE wallet_transfers_out SET amount = 29 WHERE state = 'settled'",
       "settled credits 30 RUB, and debited 29 RUB"},
      {0,
       "UPDATE wallet_transfers_out SET state = 'refunded', refund_reason = 'X' "
       "WHERE state = 'settled'",
       "settled is credited, and was refunded as well"},
      {1, "UPDATE wallet_transfers_in SET refused_reason = NULL",
       "refunded is refunded, and was credited"},
  };
  const World w;
  REQUIRE(w.Verify().code == 0);
  for (const Row& row : rows) {
    CAPTURE(row.sql);
    // Undone by copies of the tables, for the next row.
    const char* const tables[] = {"wallets", "wallet_holds", "wallet_transfers_out",
                                  "wallet_transfers_in", "account_balances"};
    const auto& database = w.databases.of(row.shard);
    for (const char* table : tables)
      database.Query(absl::StrCat("CREATE TABLE copy_", table, " AS TABLE ", table));
    database.Query(row.sql);
    const Outcome outcome = w.Verify();
    INFO(outcome.text);
    CHECK(outcome.code == 1);
    CHECK_THAT(outcome.text, Catch::Contains(row.said));
    for (const char* table : tables) {
      database.Query(absl::StrCat("DELETE FROM ", table, "; INSERT INTO ", table,
                                  " SELECT * FROM copy_", table, "; DROP TABLE copy_", table));
    }
  }
}

}  // namespace
}  // namespace saldo::cli
