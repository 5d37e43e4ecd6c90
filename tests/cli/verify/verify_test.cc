// `saldo verify` as a user meets it, on a ledger that was written by a real writer.
#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "common/runtime/stop_signal.h"
#include "common/runtime/thread.h"
#include "tests/cli/verify/verify_test_util.h"

namespace saldo::cli::verify {

TEST_CASE("an empty ledger agrees") {
  TestLedger ledger;
  const Outcome outcome = ledger.Check();
  INFO(outcome.text);
  CHECK(outcome.code == 0);
  CHECK(outcome.Has("all 24 checks agree\n"));
}

TEST_CASE("a ledger agrees at every stage") {
  TestLedger ledger;
  ledger.Fill();
  REQUIRE(ledger.Number("SELECT count(*) FROM sequenced_batches, cursors WHERE consumer = "
                        "'aggregation' AND sequenced_batches.seq > cursors.seq") > 0);
  REQUIRE(ledger.Number("SELECT count(*) FROM batches") >
          ledger.Number("SELECT count(*) FROM sequenced_batches"));
  const Outcome outcome = ledger.Check();
  INFO(outcome.text);
  CHECK(outcome.code == 0);
  CHECK(outcome.Has("with days of America/New_York\n"));
  CHECK(outcome.Has("events of wallet             93 events"));
  CHECK(outcome.Has("balance chain of wallet      93 events"));
  CHECK(outcome.Has("balances of wallet           5 balances"));
  CHECK(outcome.Has("requests                     93 requests"));
  CHECK(outcome.Has("imbalances                   1 assets"));
  CHECK(outcome.Has("all 24 checks agree\n"));
  CHECK_FALSE(outcome.Has("WRONG"));
  // What has turnovers is compared.
  const std::string days = ledger.Query(
      "SELECT count(*) FROM turnovers_day JOIN subaccounts USING (subaccount_id) JOIN accounts "
      "USING (account_id) WHERE type_id = 2");
  CHECK(outcome.Has("days of wallet               " + days.substr(0, days.find('\n')) + " days"));

  ledger.Sequence();
  ledger.Aggregate();
  CHECK(ledger.Check().code == 0);
}

// Each damage is done, found and undone.
TEST_CASE("every kind of damage is named") {
  TestLedger ledger;
  ledger.Fill();
  struct Line {
    std::string damage;
    std::string undo;
    std::string check;  // the one that finds it
    std::string text;   // what it says, from the beginning or within
  };
  const std::string first_event = " WHERE (batch_id, ordinal) = (1, 1)";
  const std::string wallet0 =
      "(SELECT account_id FROM accounts WHERE type_id = 2 AND key = E'0\\x1fRUB')";
  const std::string wallet0_sub =
      "(SELECT subaccount_id FROM subaccounts WHERE account_id = " + wallet0 + ")";
  const std::string taken = "CREATE TABLE taken AS SELECT * FROM ";
  const std::vector<Line> lines = {
      // The first request is of client 0: 1.50 at 2024-11-02 04:00 UTC, which is its day's start.
      {"UPDATE events SET amount = amount + 0.25" + first_event,
       "UPDATE events SET amount = amount - 0.25" + first_event, "days of wallet",
       "wallet{client_id=0, currency=RUB}: on 2024-11-02 turnovers_day has debit 0.00, credit "},
      {"UPDATE events SET amount = amount + 0.25" + first_event,
       "UPDATE events SET amount = amount - 0.25" + first_event, "balance chain of wallet",
       "wallet{client_id=0, currency=RUB}: batch 1, ordinal 1: balance_after is 1.50; it was 0.00 "
       "before, and the event changes it by 1.75"},
      {"UPDATE events SET amount = amount + 0.25" + first_event,
       "UPDATE events SET amount = amount - 0.25" + first_event, "balanced",
       "batch 1: its balanced events in RUB make 0.25, not 0"},
      {"UPDATE events SET occurred_at = occurred_at - interval '1 second'" + first_event,
       "UPDATE events SET occurred_at = occurred_at + interval '1 second'" + first_event,
       "days of wallet",
       "on 2024-11-01 turnovers_day has debit 0.00, credit 0.00; its events make debit 0.00, "
       "credit 1.50"},
      {"UPDATE turnovers_day SET debit = debit + 1 WHERE day = '2024-11-03' AND subaccount_id = " +
           wallet0_sub,
       "UPDATE turnovers_day SET debit = debit - 1 WHERE day = '2024-11-03' AND subaccount_id = " +
           wallet0_sub,
       "days of wallet",
       "wallet{client_id=0, currency=RUB}: on 2024-11-03 turnovers_day has debit 1.00, credit "},
      {taken + "turnovers_day WHERE day = '2024-11-03'; DELETE FROM turnovers_day WHERE day = "
               "'2024-11-03'",
       "INSERT INTO turnovers_day SELECT * FROM taken; DROP TABLE taken", "days of fee",
       "} product=taxi, region=msk: on 2024-11-03 turnovers_day has debit 0.00, credit 0.00; its"},
      {"UPDATE turnovers_month SET credit = credit + 1 WHERE subaccount_id = " + wallet0_sub,
       "UPDATE turnovers_month SET credit = credit - 1 WHERE subaccount_id = " + wallet0_sub,
       "months of wallet",
       "wallet{client_id=0, currency=RUB}: in the month of 2024-11-01 turnovers_month has debit "
       "0.00, credit "},
      {"UPDATE turnovers_year SET credit = credit + 1 WHERE subaccount_id = " + wallet0_sub,
       "UPDATE turnovers_year SET credit = credit - 1 WHERE subaccount_id = " + wallet0_sub,
       "years of wallet", "in the year of 2024-01-01 turnovers_year has debit 0.00, credit "},
      {"UPDATE turnovers_year SET credit = credit + 1 WHERE subaccount_id = " + wallet0_sub,
       "UPDATE turnovers_year SET credit = credit - 1 WHERE subaccount_id = " + wallet0_sub,
       "balances of wallet", "wallet{client_id=0, currency=RUB}: the stored balance is "},
      {"UPDATE account_balances SET balance = balance + 0.001 WHERE account_id = " + wallet0,
       "UPDATE account_balances SET balance = balance - 0.001 WHERE account_id = " + wallet0,
       "balances of wallet", "wallet{client_id=0, currency=RUB}: the stored balance is "},
      {"UPDATE account_balances SET balance = balance + 0.001 WHERE account_id = " + wallet0,
       "UPDATE account_balances SET balance = balance - 0.001 WHERE account_id = " + wallet0,
       "balance chain of wallet", "wallet{client_id=0, currency=RUB}: the stored balance is "},
      {"UPDATE events SET balance_after = NULL" + first_event,
       "UPDATE events SET balance_after = 1.5" + first_event, "balance chain of wallet",
       "batch 1, ordinal 1: the event has no balance_after"},
      {taken + "account_balances WHERE account_id = " + wallet0 +
           "; DELETE FROM account_balances WHERE account_id = " + wallet0,
       "INSERT INTO account_balances SELECT * FROM taken; DROP TABLE taken",
       "stored balances of wallet",
       "wallet{client_id=0, currency=RUB}: no balance is stored for it"},
      {taken + "sequenced_batches WHERE seq = 2; DELETE FROM sequenced_batches WHERE seq = 2",
       "INSERT INTO sequenced_batches SELECT * FROM taken; DROP TABLE taken", "sequence",
       "comes after seq 1"},
      {taken + "sequenced_batches WHERE seq = 2; DELETE FROM sequenced_batches WHERE seq = 2",
       "INSERT INTO sequenced_batches SELECT * FROM taken; DROP TABLE taken", "batches",
       "batch 2 is committed and has no seq, though the sequencer is past it"},
      {taken + "sequenced_batches WHERE seq = 1; DELETE FROM sequenced_batches WHERE seq = 1",
       "INSERT INTO sequenced_batches SELECT * FROM taken; DROP TABLE taken", "sequence",
       "the first seq that is kept is 2, not 1"},
      {taken + "sequenced_batches; DELETE FROM sequenced_batches",
       "INSERT INTO sequenced_batches SELECT * FROM taken; DROP TABLE taken", "sequence",
       ", and no batch is there"},
      {"UPDATE sequenced_batches SET messages_before = messages_before + 1 WHERE seq = 2",
       "UPDATE sequenced_batches SET messages_before = messages_before - 1 WHERE seq = 2",
       "sequence", "seq 2, batch 2: messages_before is "},
      {"UPDATE sequencer SET last_message = last_message + 1",
       "UPDATE sequencer SET last_message = last_message - 1", "sequence",
       "the sequencer says seq "},
      {"UPDATE sequenced_batches SET batch_id = 1 WHERE seq = 2",
       "UPDATE sequenced_batches SET batch_id = 2 WHERE seq = 2", "batches", "batch 1 has 2 seqs"},
      {taken + "outbox WHERE (batch_id, ordinal) = (1, 1); DELETE FROM outbox" + first_event,
       "INSERT INTO outbox SELECT * FROM taken; DROP TABLE taken", "outbox",
       "batch 1 says 2 messages, and has 1, numbered up to 2"},
      {"UPDATE aggregation SET pending = pending + int8multirange(int8range(2, 3))",
       "UPDATE aggregation SET pending = pending - int8multirange(int8range(2, 3))", "pending",
       "batch 2, seq 2, is pending; the aggregation has come to seq "},
      {"UPDATE aggregation SET pending = '{}'",
       "UPDATE aggregation SET pending = int8multirange(int8range((SELECT batch_id + 1 FROM "
       "sequenced_batches, cursors WHERE consumer = 'aggregation' AND sequenced_batches.seq = "
       "cursors.seq), NULL))",
       "pending", ", is not pending; the aggregation has come to seq "},
      {taken + "cursors WHERE consumer = 'aggregation'; DELETE FROM cursors WHERE consumer = "
               "'aggregation'",
       "INSERT INTO cursors SELECT * FROM taken; DROP TABLE taken", "pending",
       "the aggregation has come to seq none"},
      {"INSERT INTO imbalances VALUES ('AAA', -0.5)", "DELETE FROM imbalances WHERE asset = 'AAA'",
       "imbalances", "the aggregation has found an imbalance of -0.5 in AAA"},
      {taken + "subaccounts WHERE subaccount_id = " + wallet0_sub +
           "; DELETE FROM subaccounts WHERE subaccount_id = " + wallet0_sub,
       "INSERT INTO subaccounts SELECT * FROM taken; DROP TABLE taken", "events of wallet",
       "batch 1, ordinal 1: subaccount "},
      {taken + "subaccounts WHERE subaccount_id = " + wallet0_sub +
           "; DELETE FROM subaccounts WHERE subaccount_id = " + wallet0_sub,
       "INSERT INTO subaccounts SELECT * FROM taken; DROP TABLE taken", "turnover subaccounts",
       "there are turnovers of subaccount "},
      {"UPDATE accounts SET type_id = 77 WHERE account_id = " + wallet0,
       "UPDATE accounts SET type_id = 2 WHERE type_id = 77", "accounts",
       " is of type 77, which is not there"},
      {taken + "accounts WHERE account_id = " + wallet0 +
           "; SET session_replication_role = replica; DELETE FROM accounts WHERE account_id = " +
           wallet0,
       "INSERT INTO accounts SELECT * FROM taken; DROP TABLE taken", "accounts",
       ", which is not there"},
      {"UPDATE accounts SET type_id = 1, key = 'x' WHERE account_id = " + wallet0,
       "UPDATE accounts SET type_id = 2, key = E'0\\x1fRUB' WHERE key = 'x'", "events of wallet",
       " is of type 1"},
      {"UPDATE write_requests SET events = events + 1 WHERE request_id = 'first'",
       "UPDATE write_requests SET events = events - 1 WHERE request_id = 'first'", "requests",
       " has 1 events; its requests, up to ordinal 1, have 2"},
      {"UPDATE write_requests SET first_ordinal = 2 WHERE request_id = 'first'",
       "UPDATE write_requests SET first_ordinal = 1 WHERE request_id = 'first'", "requests",
       " a request begins at ordinal 2, not 1"},
      {"UPDATE write_requests SET batch_id = batch_id + 900000 WHERE request_id = 'first'",
       "UPDATE write_requests SET batch_id = batch_id - 900000 WHERE request_id = 'first'",
       "requests", "a request has 1 events in batch 9000"},
      {taken + "events" + first_event + "; DELETE FROM events" + first_event,
       "INSERT INTO events SELECT * FROM taken; DROP TABLE taken", "requests",
       "batch 1 has 1 events, with ordinals from 2 to 2"},
  };
  for (const Line& line : lines) {
    ledger.Query(line.damage);
    const Outcome outcome = ledger.Check();
    ledger.Query(line.undo);
    INFO(line.damage << "\n" << outcome.text);
    CHECK(outcome.code == 1);
    const size_t at = outcome.text.find("WRONG  " + line.check + " ");
    REQUIRE(at != std::string::npos);
    const size_t first = outcome.text.find('\n', at) + 1;
    CHECK_THAT(outcome.text.substr(first, outcome.text.find('\n', first) - first),
               Catch::Contains(line.text));
  }
  const Outcome after = ledger.Check();
  INFO(after.text);
  CHECK(after.code == 0);
}

TEST_CASE("requests without events and batches without anything agree") {
  TestLedger ledger;
  ledger.Fill();
  const std::string add =
      "INSERT INTO write_requests (batch_id, first_ordinal, events, epoch, fingerprint, request_id)"
      " VALUES ";
  // Before, between and after those of batch 1, which has one request of two events.
  ledger.Query(add + "(1, 1, 0, 1, '', 'e1'), (1, 1, 0, 1, '', 'e2'), (1, 3, 0, 1, '', 'e3')");
  const std::string batch = ledger.Query(
      "INSERT INTO batches (batch_id, messages, message_bytes) VALUES (nextval('batch_id_seq'), 0, "
      "0) RETURNING batch_id");
  const std::string id = batch.substr(0, batch.find('\n'));
  ledger.Query(add + "(" + id + ", 1, 0, 1, '', 'e4'), (" + id + ", 1, 0, 1, '', 'e5')");
  Outcome outcome = ledger.Check();
  INFO(outcome.text);
  CHECK(outcome.code == 0);
  CHECK(outcome.Has("requests                     98 requests"));
  ledger.Sequence();
  ledger.Aggregate();
  outcome = ledger.Check();
  INFO(outcome.text);
  CHECK(outcome.code == 0);

  struct Line {
    std::string change;
    std::string text;
  };
  for (const Line& line :
       std::vector<Line>{{"first_ordinal = 2 WHERE request_id = 'e2'",
                          "in batch 1 a request begins at ordinal 2, not 3"},
                         {"first_ordinal = 4 WHERE request_id = 'e3'",
                          "in batch 1 a request begins at ordinal 4, not 3"},
                         {"first_ordinal = 2 WHERE request_id = 'e5'",
                          "in batch " + id + " a request begins at ordinal 2, not 1"},
                         {"events = 1 WHERE request_id = 'e5'",
                          "a request has 1 events in batch " + id + ", which has none"}}) {
    ledger.Query("CREATE TABLE taken AS SELECT * FROM write_requests");
    ledger.Query("UPDATE write_requests SET " + line.change);
    const Outcome found = ledger.Check();
    ledger.Query("DELETE FROM write_requests; INSERT INTO write_requests SELECT * FROM taken");
    ledger.Query("DROP TABLE taken");
    INFO(found.text);
    CHECK(found.code == 1);
    CHECK(found.Has("WRONG  requests "));
    CHECK(found.Has(line.text));
  }
  CHECK(ledger.Check().code == 0);
}

TEST_CASE("the options narrow what is checked and how it is told") {
  TestLedger ledger;
  ledger.Fill();
  ledger.Query("UPDATE turnovers_day SET credit = credit + 1 WHERE day = '2024-11-02'");

  const Outcome all = ledger.Check();
  INFO(all.text);
  CHECK(all.code == 1);
  CHECK(all.Has("\n4 of 24 checks found differences\n"));
  const Outcome fast = ledger.Check({"--fail-fast"});
  CHECK(fast.code == 1);
  CHECK(fast.Has("WRONG  days of fee"));
  CHECK(fast.Has("\nstopped at the first difference\n"));
  CHECK_FALSE(fast.Has("days of wallet"));
  const Outcome wallet = ledger.Check({"--type=wallet"});
  CHECK(wallet.code == 1);
  CHECK(wallet.Has("WRONG  days of wallet"));
  CHECK_FALSE(wallet.Has("of fee"));
  CHECK_FALSE(wallet.Has("requests "));

  const Outcome since = ledger.Check({"--since=2024-11-03"});
  CHECK(since.code == 1);
  CHECK(since.Has("ok     days of wallet"));
  CHECK(since.Has("WRONG  months of wallet"));

  const Outcome json = ledger.Check({"--json", "--type=wallet"});
  CHECK(json.code == 1);
  CHECK_THAT(json.text,
             Catch::StartsWith("{\"snapshot_at\": \"20") &&
                 Catch::Contains("\"agrees\": false, \"stopped\": false") &&
                 Catch::Contains("{\"check\": \"days\", \"type\": \"wallet\", \"unit\": "
                                 "\"days\", \"checked\": ") &&
                 Catch::Contains("\"first\": \"wallet{client_id=0, currency=RUB}: on ") &&
                 Catch::Contains("{\"check\": \"sequence\", \"type\": null, "));
  CHECK_FALSE(json.Has("WRONG"));
}

TEST_CASE("what saldo verify does not take, or cannot reach, ends with 2") {
  TestLedger ledger;
  struct Line {
    std::vector<std::string> arguments;
    std::string reason;
  };
  const std::vector<Line> lines = {
      {{"--type=purse"}, "there is no account type 'purse'; there are fee, wallet"},
      {{"--since=2024-13-01"}, "'2024-13-01' is not a day such as 2026-03-01"},
      {{"--since=2024-3-1"}, "'2024-3-1' is not a day such as 2026-03-01"},
      {{"--since="}, "'' is not a day such as 2026-03-01"},
      {{"now"}, "'now' is one too many"},
  };
  for (const Line& line : lines) {
    const Outcome outcome = ledger.Check(line.arguments);
    INFO(outcome.text);
    CHECK(outcome.code == 2);
    CHECK(outcome.Has(line.reason));
  }
  const Outcome nobody = Verify({"--postgres.dsn=host=127.0.0.1 port=1"});
  CHECK(nobody.code == 2);
  CHECK(nobody.Has("saldo verify: "));
  const testing::TestDatabase empty;
  CHECK(Verify({"--postgres.dsn=" + empty.dsn()}).code == 2);
}

TEST_CASE("days whose events were dropped are not compared with events") {
  TestLedger ledger;
  ledger.Query(
      "DO $$ DECLARE p record; BEGIN FOR p IN SELECT * FROM partitions WHERE parent LIKE "
      "'events\\_%' LOOP EXECUTE format('DROP TABLE %I', p.parent || '_' || p.lower_bound); END "
      "LOOP; DELETE FROM partitions WHERE parent LIKE 'events\\_%'; UPDATE partitioned_tables SET "
      "width = 3 WHERE parent LIKE 'events\\_%'; PERFORM extend_partitions('events_1', 0, 300), "
      "extend_partitions('events_2', 0, 300); END $$");
  ledger.Fill();
  ledger.Sequence();
  ledger.Aggregate();
  REQUIRE(ledger.Check().code == 0);
  ledger.Query("SELECT drop_partitions('events_2', 3)");
  REQUIRE(ledger.Number("SELECT min(batch_id) FROM events WHERE type_id = 2") == 3);
  const Outcome lost = ledger.Check();
  INFO(lost.text);
  CHECK(lost.code == 1);
  CHECK(lost.Has("WRONG  days of wallet"));

  ledger.Query("UPDATE account_types SET kept_since = now() WHERE name = 'wallet'");
  const Outcome dropped = ledger.Check();
  INFO(dropped.text);
  CHECK(dropped.code == 0);

  // They cannot be less than the events that are there.
  ledger.Query(
      "UPDATE turnovers_day SET credit = 0 WHERE subaccount_id = (SELECT max(subaccount_id) FROM "
      "events WHERE type_id = 2 AND balance_after IS NOT NULL)");
  const Outcome less = ledger.Check();
  INFO(less.text);
  CHECK(less.code == 1);
  CHECK(less.Has("WRONG  days of wallet"));
}

TEST_CASE("a ledger agrees while it is written to") {
  TestLedger ledger;
  metrics::Registry registry;
  jobs::Sequencer sequencer({.poll_interval = absl::Milliseconds(1)},
                            postgres::ConnectionOptions{.dsn = ledger.dsn()}, registry);
  accounts::Aggregation aggregation({.interval = absl::Milliseconds(1), .batch_limit = 3},
                                    ledger.writer.pool, registry);
  REQUIRE(sequencer.Start().ok());
  REQUIRE(aggregation.Start().ok());
  runtime::StopSignal stop;
  int rounds = 0;
  runtime::Thread load("load", [&] {
    while (!stop.stopped() && rounds < 1000) {
      const auto written = ledger.writer.Write(accounts::Request(
          absl::StrCat("round", rounds),
          {accounts::Event("wallet", rounds % 3, "1"), accounts::Event("fee", rounds % 3, "-1")}));
      if (!written.ok()) return;
      ++rounds;
    }
  });
  for (int i = 0; i < 5; ++i) {
    const Outcome outcome = ledger.Check();
    INFO(outcome.text);
    CHECK(outcome.code == 0);
  }
  stop.Stop();
  load.Join();
  INFO("rounds " << rounds);
  CHECK(rounds > 10);
  CHECK(ledger.Number("SELECT count(*) FROM events") == 2 * rounds);
}

TEST_CASE("Ctrl-C ends it, here and in the database") {
  TestLedger ledger;
  const auto locker = *postgres::Connection::Open({.dsn = ledger.dsn()},
                                                  CallContext::WithTimeout(absl::Seconds(10)));
  REQUIRE(locker
              ->ExecuteScript(CallContext::WithTimeout(absl::Seconds(10)),
                              "BEGIN; LOCK TABLE turnovers_year IN ACCESS EXCLUSIVE MODE")
              .ok());
  testing::TempDir dir;
  const auto child = StartVerify(dir.File("log"), {ledger.dsn_option()});
  const std::string waiting =
      "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'saldo-cli' AND "
      "wait_event_type = 'Lock' AND datname = current_database()";
  REQUIRE(testing::Eventually(absl::Seconds(30), [&] { return ledger.Number(waiting) == 1; }));
  REQUIRE(child->Signal(SIGINT).ok());
  const auto ended = child->Wait(absl::Seconds(10));
  REQUIRE(ended.ok());
  CHECK(ended->signal == SIGINT);
  CHECK(testing::Eventually(absl::Seconds(30), [&] { return ledger.Number(waiting) == 0; }));
}

}  // namespace saldo::cli::verify
