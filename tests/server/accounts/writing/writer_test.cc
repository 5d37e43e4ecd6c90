// The writer on a real PostgreSQL.
#include "server/accounts/writing/writer.h"

#include <catch2/catch.hpp>
#include <stdexcept>
#include <string>

#include "absl/synchronization/blocking_counter.h"
#include "common/rpc/errors.h"
#include "common/runtime/thread.h"
#include "saldo/v1/account_event.pb.h"
#include "tests/server/accounts/writing/ledger_fixture.h"
#include "tests/support/test_env.h"

namespace saldo::accounts {
namespace {

std::string Reason(const absl::Status& status) {
  google::rpc::ErrorInfo info;
  return rpc::GetDetail(status, &info) ? info.reason() : std::string();
}

TEST_CASE("events are written with accounts, balances, keys and messages in one batch") {
  const LedgerDatabase ledger;
  TestWriter writer(ledger);
  const auto first = writer.Write(
      Request("r1", {Event("wallet", 7, "10"), Event("fee", 7, "-2.5"), Event("wallet", 7, "-4")}));
  REQUIRE(first.ok());
  CHECK(first->first_ordinal == 1);
  REQUIRE(first->postings.size() == 3);
  CHECK(first->postings[0].balance_after == D("10"));
  CHECK_FALSE(first->postings[1].balance_after.has_value());
  CHECK(first->postings[2].balance_after == D("6"));
  CHECK(first->postings[0].subaccount_id == first->postings[2].subaccount_id);

  const auto& query = ledger.database;
  CHECK(query.Query("SELECT key = E'7\\x1fRUB', asset FROM accounts ORDER BY account_id") ==
        "t|RUB\nt|RUB");
  CHECK(query.Query("SELECT balance FROM account_balances") == "6");
  CHECK(query.Query("SELECT ordinal, is_credit, amount, balance_after FROM events ORDER BY 1") ==
        "1|t|10|10\n2|f|2.5|\n3|f|4|6");
  CHECK(query.Query("SELECT request_id, first_ordinal, events FROM write_requests") == "r1|1|3");
  CHECK(query.Query("SELECT messages FROM batches") == "3");
  CHECK(query.Query("SELECT ordinal, topic, convert_from(key, 'UTF8'), type FROM outbox "
                    "ORDER BY 1") ==
        "1|wallet-events|wallet/7/RUB|saldo.v1.AccountEvent\n"
        "2|fee-events|fee/7/RUB|saldo.v1.AccountEvent\n"
        "3|wallet-events|wallet/7/RUB|saldo.v1.AccountEvent");
  // The second batch knows the accounts.
  const auto second = writer.Write(Request("r2", {Event("wallet", 7, "1")}));
  REQUIRE(second.ok());
  CHECK(second->batch_id > first->batch_id);
  CHECK(second->postings[0].subaccount_id == first->postings[0].subaccount_id);
  CHECK(second->postings[0].balance_after == D("7"));
  CHECK(ledger.Number("SELECT count(*) FROM accounts") == 2);
}

TEST_CASE("a repeated request gets the first answer and writes nothing") {
  const LedgerDatabase ledger;
  TestWriter writer(ledger);
  const auto request = Request("r1", {Event("wallet", 7, "10"), Event("fee", 8, "1")});
  const auto first = writer.Write(request);
  REQUIRE(first.ok());
  REQUIRE(writer.Write(Request("r2", {Event("wallet", 7, "5")})).ok());
  // The same writer, and one that has just started.
  TestWriter other(ledger);
  for (TestWriter* one : {&writer, &other}) {
    const auto again = one->Write(request);
    REQUIRE(again.ok());
    CHECK(again->batch_id == first->batch_id);
    CHECK(again->first_ordinal == first->first_ordinal);
    REQUIRE(again->postings.size() == 2);
    CHECK(again->postings[0].subaccount_id == first->postings[0].subaccount_id);
    CHECK(again->postings[0].balance_after == D("10"));
    CHECK(again->postings[0].scale == 2);
    CHECK_FALSE(again->postings[1].balance_after.has_value());
    const auto changed = one->Write(Request("r1", {Event("wallet", 7, "11")}));
    CHECK(absl::IsAlreadyExists(changed.status()));
    CHECK(Reason(changed.status()) == "REQUEST_ID_REUSED");
  }
  CHECK(ledger.Number("SELECT count(*) FROM events") == 3);
}

TEST_CASE("a rejected request leaves nothing, not even its id") {
  const LedgerDatabase ledger;
  TestWriter writer(ledger);
  const auto request = Request("r1", {Event("fee", 1, "5"), Event("wallet", 7, "-1")});
  const auto rejected = writer.Write(request);
  CHECK(Reason(rejected.status()) == "BALANCE_BELOW_MINIMUM");
  for (const char* table : {"accounts", "subaccounts", "events", "write_requests", "batches",
                            "outbox", "account_balances"}) {
    CHECK(ledger.Number(std::string("SELECT count(*) FROM ") + table) == 0);
  }
  REQUIRE(writer.Write(Request("r2", {Event("wallet", 7, "1")})).ok());
  CHECK(writer.Write(request).ok());
  CHECK(ledger.database.Query("SELECT balance FROM account_balances") == "0");
}

TEST_CASE("a dry run answers what would happen and writes nothing") {
  const LedgerDatabase ledger;
  TestWriter writer(ledger);
  REQUIRE(writer.Write(Request("r1", {Event("wallet", 7, "10")})).ok());
  auto request = Request("r2", {Event("wallet", 7, "-4"), Event("fee", 9, "1")});
  request.set_dry_run(true);
  const auto tried = writer.Write(request);
  REQUIRE(tried.ok());
  CHECK(tried->batch_id == 0);
  CHECK(tried->postings[0].balance_after == D("6"));
  CHECK(tried->postings[1].subaccount_id == 0);
  auto too_much = Request("r3", {Event("wallet", 7, "-11")});
  too_much.set_dry_run(true);
  CHECK(Reason(writer.Write(too_much).status()) == "BALANCE_BELOW_MINIMUM");
  CHECK(ledger.Number("SELECT count(*) FROM events") == 1);
  CHECK(ledger.Number("SELECT count(*) FROM accounts") == 1);
  CHECK(ledger.Number("SELECT count(*) FROM write_requests") == 1);
}

TEST_CASE("requests that come together share a batch, and each is decided alone") {
  const LedgerDatabase ledger;
  TestWriter writer(ledger);
  REQUIRE(writer.Write(Request("start", {Event("wallet", 7, "100")})).ok());
  constexpr int kRequests = 300;
  // One after another they would take 2 each, so a third of them is one too many.
  absl::BlockingCounter answered(kRequests);
  std::vector<absl::StatusOr<Written>> answers(kRequests, absl::UnknownError(""));
  for (int i = 0; i < kRequests; ++i) {
    writer.Submit(Request("r" + std::to_string(i), {Event("wallet", 7, "-0.5")}),
                  [&, i](absl::StatusOr<Written> answer) {
                    answers[i] = std::move(answer);
                    answered.DecrementCount();
                  });
  }
  answered.Wait();
  int accepted = 0;
  for (const auto& answer : answers) {
    if (answer.ok()) ++accepted;
    if (!answer.ok()) CHECK(Reason(answer.status()) == "BALANCE_BELOW_MINIMUM");
  }
  CHECK(accepted == 200);
  CHECK(ledger.database.Query("SELECT balance FROM account_balances") == "0");
  CHECK(ledger.Number("SELECT count(*) FROM batches") < 100);
}

TEST_CASE("the same request twice in one batch is written once") {
  const LedgerDatabase ledger;
  TestWriter writer(ledger);
  constexpr int kTimes = 50;
  absl::BlockingCounter answered(kTimes);
  std::vector<absl::StatusOr<Written>> answers(kTimes, absl::UnknownError(""));
  for (int i = 0; i < kTimes; ++i) {
    writer.Submit(Request("same", {Event("wallet", 7, "3")}),
                  [&, i](absl::StatusOr<Written> answer) {
                    answers[i] = std::move(answer);
                    answered.DecrementCount();
                  });
  }
  answered.Wait();
  for (const auto& answer : answers) {
    REQUIRE(answer.ok());
    CHECK(answer->batch_id == answers[0]->batch_id);
    CHECK(answer->first_ordinal == answers[0]->first_ordinal);
    CHECK(answer->postings[0].balance_after == D("3"));
  }
  CHECK(ledger.Number("SELECT count(*) FROM events") == 1);
}

TEST_CASE("a request repeated at another server while it is being written gets its answer") {
  const LedgerDatabase ledger;
  TestWriter first(ledger);
  TestWriter second(ledger);
  for (const int client : {1, 2}) {
    const std::string id = "start" + std::to_string(client);
    REQUIRE(first.Write(Request(id, {Event("wallet", client, "5")})).ok());
  }
  metrics::Registry registry;
  postgres::Pool pool({.connection = {.dsn = ledger.database.dsn()}}, registry);
  constexpr postgres::Statement kLock{
      "test.lock",
      "SELECT balance::text FROM account_balances ORDER BY account_id DESC LIMIT 1 FOR UPDATE"};
  const auto waiting = [&ledger](int64_t writers) {
    return testing::Eventually(absl::Seconds(30), [&] {
      return ledger.Number(
                 "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' "
                 "AND datname = current_database()") == writers;
    });
  };
  // Takes all that both have, so it could not be written after itself.
  const auto request = Request("r", {Event("wallet", 1, "-5"), Event("wallet", 2, "-5")});
  absl::StatusOr<Written> answers[2] = {absl::UnknownError(""), absl::UnknownError("")};
  absl::BlockingCounter answered(2);
  const auto submit = [&](TestWriter& writer, absl::StatusOr<Written>& answer) {
    writer.Submit(request, [&](absl::StatusOr<Written> result) {
      answer = std::move(result);
      answered.DecrementCount();
    });
  };
  const absl::Status held = pool.Transact(CallContext::WithTimeout(absl::Seconds(60)),
                                          {.name = "test.hold"}, [&](postgres::Transaction& tx) {
                                            const absl::Status locked = tx.Query(kLock).status();
                                            submit(first, answers[0]);
                                            CHECK(waiting(1));
                                            submit(second, answers[1]);
                                            CHECK(waiting(2));
                                            return locked;
                                          });
  REQUIRE(held.ok());
  answered.Wait();
  for (const auto& answer : answers) {
    INFO(answer.status().ToString());
    REQUIRE(answer.ok());
    CHECK(answer->batch_id == answers[0]->batch_id);
  }
  CHECK(ledger.Number("SELECT count(*) FROM events") == 4);
}

TEST_CASE("too much that waits is refused at once, with when to try again") {
  const LedgerDatabase ledger;
  WriterOptions options;
  options.queue_requests_max = 2;
  TestWriter writer(ledger, options);
  // Someone holds the balance, so the first batch waits and the queue fills behind it.
  REQUIRE(writer.Write(Request("start", {Event("wallet", 7, "5")})).ok());
  metrics::Registry registry;
  postgres::Pool pool({.connection = {.dsn = ledger.database.dsn()}}, registry);
  constexpr postgres::Statement kLock{"test.lock",
                                      "SELECT balance::text FROM account_balances FOR UPDATE"};
  absl::BlockingCounter answered(20);
  int refused = 0;
  absl::Mutex mutex;
  const absl::Status held =
      pool.Transact(CallContext::WithTimeout(absl::Seconds(60)), {.name = "test.hold"},
                    [&](postgres::Transaction& tx) {
                      const absl::Status locked = tx.Query(kLock).status();
                      for (int i = 0; i < 20; ++i) {
                        writer.Submit(Request("r" + std::to_string(i), {Event("wallet", 7, "1")}),
                                      [&](absl::StatusOr<Written> answer) {
                                        absl::MutexLock lock(&mutex);
                                        google::rpc::RetryInfo retry;
                                        if (absl::IsResourceExhausted(answer.status()) &&
                                            rpc::GetDetail(answer.status(), &retry)) {
                                          ++refused;
                                        }
                                        answered.DecrementCount();
                                      });
                      }
                      return locked;
                    });
  REQUIRE(held.ok());
  answered.Wait();
  CHECK(refused >= 10);
  CHECK(refused < 20);
  CHECK(ledger.database.Query("SELECT balance FROM account_balances") ==
        std::to_string(5 + 20 - refused));
}

TEST_CASE("a request whose caller gave up before its turn is not written") {
  const LedgerDatabase ledger;
  TestWriter writer(ledger);
  absl::Notification answered;
  absl::Status status;
  writer.Submit(
      Request("late", {Event("fee", 7, "1")}),
      [&](absl::StatusOr<Written> answer) {
        status = answer.status();
        answered.Notify();
      },
      absl::ZeroDuration());
  answered.WaitForNotification();
  CHECK(absl::IsDeadlineExceeded(status));
  CHECK(ledger.Number("SELECT count(*) FROM events") == 0);
}

TEST_CASE("two epochs of request ids are looked through, an older one is dropped") {
  const LedgerDatabase ledger;
  TestWriter writer(ledger);
  const auto request = Request("r1", {Event("wallet", 7, "10")});
  const auto first = writer.Write(request);
  REQUIRE(first.ok());
  CHECK(ledger.database.Query("SELECT advance_write_request_epoch('1 hour')") == "f");
  CHECK(ledger.database.Query("SELECT advance_write_request_epoch('0 s')") == "t");
  const auto again = writer.Write(request);
  REQUIRE(again.ok());
  CHECK(again->batch_id == first->batch_id);
  CHECK(ledger.database.Query("SELECT advance_write_request_epoch('0 s')") == "t");
  REQUIRE(ledger.database.Query("SELECT drop_write_request_epochs()") == "2");
  CHECK(ledger.database.Query("SELECT drop_write_request_epochs()") == "0");
  // Forgotten by now: it counts as a new one.
  const auto anew = writer.Write(request);
  REQUIRE(anew.ok());
  CHECK(anew->batch_id > first->batch_id);
}

TEST_CASE("what waits is committed by a stop, what comes later is refused") {
  const LedgerDatabase ledger;
  TestWriter writer(ledger);
  std::atomic<int> written = 0;
  absl::BlockingCounter answered(100);
  for (int i = 0; i < 100; ++i) {
    writer.Submit(Request("r" + std::to_string(i), {Event("fee", i, "1")}),
                  [&](absl::StatusOr<Written> answer) {
                    written += answer.ok() ? 1 : 0;
                    answered.DecrementCount();
                  });
  }
  writer.writer.Stop();
  answered.Wait();
  CHECK(written == 100);
  CHECK(ledger.Number("SELECT count(*) FROM events") == 100);
  CHECK(absl::IsUnavailable(writer.Write(Request("late", {Event("fee", 1, "1")})).status()));
}

TEST_CASE("an account whose stored balance is missing fails alone") {
  const LedgerDatabase ledger;
  TestWriter writer(ledger);
  REQUIRE(writer.Write(Request("r1", {Event("wallet", 7, "10")})).ok());
  ledger.database.Query("DELETE FROM account_balances");
  absl::BlockingCounter answered(2);
  absl::StatusOr<Written> broken = absl::UnknownError("");
  absl::StatusOr<Written> sound = absl::UnknownError("");
  writer.Submit(Request("r2", {Event("wallet", 7, "1")}), [&](absl::StatusOr<Written> answer) {
    broken = std::move(answer);
    answered.DecrementCount();
  });
  writer.Submit(Request("r3", {Event("wallet", 8, "1")}), [&](absl::StatusOr<Written> answer) {
    sound = std::move(answer);
    answered.DecrementCount();
  });
  answered.Wait();
  CHECK(absl::IsInternal(broken.status()));
  CHECK(sound.ok());
}

TEST_CASE("a request checked by a definition that no longer holds is not written") {
  const LedgerDatabase ledger;
  TestWriter writer(ledger);
  REQUIRE(writer.Write(Request("r1", {Event("fee", 7, "1")})).ok());
  ledger.database.Query("UPDATE account_types SET redefinition = 1 WHERE name = 'fee'");
  const auto stale = writer.Write(Request("r2", {Event("fee", 7, "1")}));
  CHECK(absl::IsUnavailable(stale.status()));
  CHECK_THAT(std::string(stale.status().message()), Catch::Contains("fee was redefined"));
  CHECK(writer.Write(Request("r3", {Event("wallet", 7, "1")})).ok());
  // A repeat is answered whatever became of its type.
  CHECK(writer.Write(Request("r1", {Event("fee", 7, "1")})).ok());
}

TEST_CASE("one that the database refuses fails alone among many") {
  const LedgerDatabase ledger;
  TestWriter writer(ledger);
  ledger.database.Query(
      "ALTER TABLE events ADD CONSTRAINT poison CHECK (info IS DISTINCT FROM '{\"poison\":1}')");
  constexpr int kRequests = 64;
  absl::BlockingCounter answered(kRequests);
  std::vector<absl::StatusOr<Written>> answers(kRequests, absl::UnknownError(""));
  for (int i = 0; i < kRequests; ++i) {
    v1::NewEvent event = Event("fee", i, "1");
    if (i == 40) event.set_info("{\"poison\":1}");
    writer.Submit(Request("r" + std::to_string(i), {event}),
                  [&, i](absl::StatusOr<Written> answer) {
                    answers[i] = std::move(answer);
                    answered.DecrementCount();
                  });
  }
  answered.Wait();
  for (int i = 0; i < kRequests; ++i) CHECK(answers[i].ok() == (i != 40));
  CHECK(ledger.Number("SELECT count(*) FROM events") == kRequests - 1);
}

// A transaction of its own that holds what `sql` locks.
class Hold {
 public:
  Hold(const LedgerDatabase& ledger, const char* sql)
      : pool_({.connection = {.dsn = ledger.database.dsn()}}, registry_),
        thread_("hold", [this, sql] {
          const postgres::Statement lock{"test.hold_lock", sql};
          const absl::Status status =
              pool_.Transact(CallContext::WithTimeout(absl::Seconds(60)), {.name = "test.hold"},
                             [&](postgres::Transaction& tx) {
                               const absl::Status locked = tx.Query(lock).status();
                               held_.Notify();
                               release_.WaitForNotification();
                               return locked;
                             });
          if (!status.ok()) throw std::runtime_error(status.ToString());
        }) {
    held_.WaitForNotification();
  }
  ~Hold() { Release(); }
  void Release() {
    if (!release_.HasBeenNotified()) release_.Notify();
    thread_.Join();
  }

 private:
  metrics::Registry registry_;
  postgres::Pool pool_;
  absl::Notification held_, release_;
  runtime::Thread thread_;
};

// Whether somebody comes to wait for a lock of this kind, as pg_stat_activity names it.
bool Waits(const LedgerDatabase& ledger, const std::string& kind) {
  return testing::Eventually(absl::Seconds(30), [&] {
    return ledger.Number(
               "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
               "AND wait_event_type = 'Lock' AND wait_event = '" +
               kind + "'") == 1;
  });
}

TEST_CASE("a repeat waits for the server that is creating its account") {
  const LedgerDatabase ledger;
  TestWriter first(ledger);
  TestWriter second(ledger);
  REQUIRE(first.Write(Request("start", {Event("wallet", 1, "5")})).ok());
  const auto debit = Request("debit", {Event("wallet", 9, "-4")});
  // The first batch of the first server writes nothing but lets the next two requests queue up.
  Hold row(ledger, "SELECT FROM account_balances FOR UPDATE");
  Hold events(ledger, "LOCK TABLE events IN SHARE MODE");
  auto look = Request("look", {Event("wallet", 1, "1")});
  look.set_dry_run(true);
  absl::BlockingCounter answered(4);
  absl::StatusOr<Written> original = absl::UnknownError("");
  absl::StatusOr<Written> repeat = absl::UnknownError("");
  const auto into = [&](absl::StatusOr<Written>* answer) {
    return [&answered, answer](absl::StatusOr<Written> result) {
      if (answer != nullptr) *answer = std::move(result);
      answered.DecrementCount();
    };
  };
  first.Submit(look, into(nullptr));
  REQUIRE(Waits(ledger, "transactionid"));
  first.Submit(Request("credit", {Event("wallet", 9, "10")}), into(nullptr));
  first.Submit(debit, into(&original));
  row.Release();
  // Now it has created the account, and waits to write its events.
  REQUIRE(Waits(ledger, "relation"));
  second.Submit(debit, into(&repeat));
  REQUIRE(Waits(ledger, "advisory"));
  events.Release();
  answered.Wait();
  REQUIRE(original.ok());
  REQUIRE(repeat.ok());
  CHECK(repeat->batch_id == original->batch_id);
  CHECK(repeat->postings[0].balance_after == D("6"));
  CHECK(ledger.Number("SELECT count(*) FROM events") == 3);
}

}  // namespace
}  // namespace saldo::accounts
