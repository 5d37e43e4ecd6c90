// The ledger while its programs and its database are killed.
#include <algorithm>
#include <catch2/catch.hpp>
#include <csignal>
#include <cstdlib>
#include <iterator>
#include <random>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/kafka/consumer.h"
#include "google/protobuf/util/time_util.h"
#include "tests/system/ledger_load.h"
#include "tests/system/stack.h"

namespace saldo::testing {
namespace {

constexpr absl::Duration kCatchUpTimeout = absl::Seconds(90);

// What must be empty or zero at any moment, whatever is going on: each reads one snapshot.
struct Invariant {
  const char* what;
  const char* sql;  // counts what breaks it
};
constexpr Invariant kInvariants[] = {
    {"stored balances are the sums of events",
     "SELECT count(*) FROM (SELECT account_id, sum(CASE WHEN is_credit THEN amount ELSE -amount "
     "END) AS total FROM events JOIN account_types USING (type_id) JOIN subaccounts USING "
     "(subaccount_id) WHERE keeps_balance GROUP BY account_id) AS e FULL JOIN account_balances AS "
     "b USING (account_id) WHERE e.total IS DISTINCT FROM b.balance"},
    {"stored balances are within their limits",
     "SELECT count(*) FROM account_balances JOIN accounts USING (account_id) JOIN account_types "
     "USING (type_id) WHERE (name = 'wallet' AND balance NOT BETWEEN 0 AND 5000) OR (name = "
     "'points' AND balance < -50)"},
    {"turnovers of days and pending events are the sums of events",
     "WITH dated AS (SELECT subaccount_id, (occurred_at AT TIME ZONE time_zone)::date AS day, "
     "amount * (NOT is_credit)::int AS debit, amount * is_credit::int AS credit, batch_id FROM "
     "events, ledger), naive AS (SELECT subaccount_id, day, sum(debit) AS debit, sum(credit) AS "
     "credit FROM dated GROUP BY 1, 2), kept AS (SELECT subaccount_id, day, sum(debit) AS debit, "
     "sum(credit) AS credit FROM (SELECT subaccount_id, day, debit, credit FROM turnovers_day "
     "UNION ALL SELECT subaccount_id, day, debit, credit FROM dated, aggregation WHERE pending @> "
     "batch_id) AS parts GROUP BY 1, 2) SELECT count(*) FROM naive FULL JOIN kept USING "
     "(subaccount_id, day) WHERE (naive.debit, naive.credit) IS DISTINCT FROM (kept.debit, "
     "kept.credit)"},
    {"turnovers of months are those of their days",
     "SELECT count(*) FROM (SELECT subaccount_id, date_trunc('month', day)::date AS month, "
     "sum(debit) AS debit, sum(credit) AS credit FROM turnovers_day GROUP BY 1, 2) AS d FULL JOIN "
     "turnovers_month AS m USING (subaccount_id, month) WHERE (d.debit, d.credit) IS DISTINCT "
     "FROM (m.debit, m.credit)"},
    {"turnovers of years are those of their days",
     "SELECT count(*) FROM (SELECT subaccount_id, date_trunc('year', day)::date AS year, "
     "sum(debit) AS debit, sum(credit) AS credit FROM turnovers_day GROUP BY 1, 2) AS d FULL JOIN "
     "turnovers_year AS y USING (subaccount_id, year) WHERE (d.debit, d.credit) IS DISTINCT FROM "
     "(y.debit, y.credit)"},
    {"balanced requests leave no imbalance", "SELECT count(*) FROM imbalances WHERE amount <> 0"},
    {"seq has no gaps and no repeats",
     "SELECT count(*) - coalesce(max(seq), 0) + count(*) - count(DISTINCT batch_id) FROM "
     "sequenced_batches"},
    {"requests are made of whole events",
     "SELECT count(*) FROM write_requests AS w WHERE (SELECT count(*) FROM events AS e WHERE "
     "e.batch_id = w.batch_id AND e.ordinal >= w.first_ordinal AND e.ordinal < w.first_ordinal + "
     "w.events) <> w.events"},
    {"each event has its message in the outbox",
     "SELECT count(*) FROM events AS e FULL JOIN outbox AS o USING (batch_id, ordinal) WHERE "
     "e.batch_id IS NULL OR o.batch_id IS NULL"},
    {"no message is given up", "SELECT count(*) FROM dead_letters"},
};

std::string Ask(const Stack& stack, const std::string& sql) {
  auto& postgres = const_cast<Stack&>(stack).postgres();
  std::string answer;
  // PostgreSQL may be on its way back.
  const bool answered = Eventually(absl::Seconds(60), [&] {
    const auto result = postgres.Query(Stack::kDatabase, sql);
    answer = result.value_or(result.status().ToString());
    return result.ok();
  });
  INFO(sql << ": " << answer);
  REQUIRE(answered);
  return answer;
}

void Check(const Stack& stack, const Invariant& invariant) {
  INFO(invariant.what);
  CHECK(Ask(stack, invariant.sql) == "0");
}

// The ledger's events, by SQL.
LedgerContent ReadLedger(const Stack& stack) {
  LedgerContent content{.events = {}, .seq_of_batch = {}, .limits = LedgerLimits()};
  const std::string events = Ask(
      stack,
      "SELECT e.batch_id, e.ordinal, t.name, t.scale, translate(a.key, E'\\x1f', '/'), "
      "translate(s.attributes, E'\\x1f', '/'), e.is_credit, e.amount, "
      "(extract(epoch FROM e.occurred_at) * 1000000)::bigint, e.balance_after, e.subaccount_id, "
      "w.request_id, e.info FROM events AS e JOIN account_types AS t USING (type_id) "
      "JOIN subaccounts AS s USING (subaccount_id) JOIN accounts AS a USING (account_id) "
      "LEFT JOIN write_requests AS w ON w.batch_id = e.batch_id AND e.ordinal >= w.first_ordinal "
      "AND e.ordinal < w.first_ordinal + w.events ORDER BY 1, 2");
  for (const absl::string_view line : absl::StrSplit(events, '\n', absl::SkipEmpty())) {
    const std::vector<std::string> columns = absl::StrSplit(line, '|');
    if (columns.size() != 13) FAIL("a row of events: " << std::string(line));
    const auto number = [&columns](size_t column) { return std::stoll(columns[column]); };
    const auto decimal = [&](size_t column) {
      return Decimal::Parse(columns[column])->ToString(static_cast<int>(number(3)));
    };
    v1::AccountEvent& event = content.events.emplace_back();
    event.set_batch_id(number(0));
    event.set_ordinal(static_cast<int32_t>(number(1)));
    event.mutable_account()->set_type(columns[2]);
    const std::vector<std::string> key = absl::StrSplit(columns[4], '/');
    (*event.mutable_account()->mutable_key())["client_id"] = key[0];
    if (key.size() > 1) (*event.mutable_account()->mutable_key())["currency"] = key[1];
    const std::vector<std::string> attributes = absl::StrSplit(columns[5], '/');
    if (attributes.size() == 2) {
      (*event.mutable_attributes())["product"] = attributes[0];
      (*event.mutable_attributes())["region"] = attributes[1];
    }
    event.set_side(columns[6] == "t" ? v1::SIDE_CREDIT : v1::SIDE_DEBIT);
    event.set_amount(decimal(7));
    *event.mutable_occurred_at() =
        google::protobuf::util::TimeUtil::MicrosecondsToTimestamp(number(8));
    if (!columns[9].empty()) event.set_balance_after(decimal(9));
    event.set_subaccount_id(number(10));
    event.set_request_id(columns[11]);
    event.set_info(columns[12]);
  }
  const std::string seqs = Ask(stack, "SELECT batch_id, seq FROM sequenced_batches");
  for (const absl::string_view line : absl::StrSplit(seqs, '\n', absl::SkipEmpty())) {
    const std::pair<std::string, std::string> row = absl::StrSplit(line, '|');
    content.seq_of_batch[std::stoll(row.first)] = std::stoll(row.second);
  }
  return content;
}

// By consumers of their own, from the beginning.
std::vector<PublishedEvent> ReadTopics(Stack& stack) {
  std::vector<PublishedEvent> events;
  for (const char* topic : {"saldo-fee", "saldo-wallet", "saldo-points"}) {
    auto consumer =
        kafka::Consumer::Create({.connection = {.brokers = stack.kafka().bootstrap_servers()}});
    REQUIRE(consumer.ok());
    int bad = 0;
    const absl::Status status = (*consumer)->ReadToEnd(
        topic, CallContext::WithTimeout(absl::Seconds(60)),
        [&](const kafka::ReceivedMessage& message) {
          PublishedEvent& event = events.emplace_back();
          event.key = message.key.value_or("");
          if (const std::string* id = message.FindHeader("ce_id")) event.id = *id;
          bad += event.event.ParseFromString(message.value.value_or("")) ? 0 : 1;
        });
    INFO(topic << ": " << status.ToString());
    REQUIRE(status.ok());
    CHECK(bad == 0);
  }
  return events;
}

enum class Blow { kServer, kServers, kRelay, kBackend, kBackends, kPostgres };

const char* NameOf(Blow blow) {
  switch (blow) {
    case Blow::kServer:
      return "server";
    case Blow::kServers:
      return "both servers";
    case Blow::kRelay:
      return "retranslator";
    case Blow::kBackend:
      return "PostgreSQL backend: crash recovery";
    case Blow::kBackends:
      return "all PostgreSQL backends, orderly";
    case Blow::kPostgres:
      return "PostgreSQL as a whole";
  }
  return "";
}

// Each kind in turn, in an order that changes.
class Blows {
 public:
  explicit Blows(std::mt19937_64& random) : random_(random) {}

  Blow Next() {
    if (left_.empty()) {
      left_ = {Blow::kServer,  Blow::kServer,   Blow::kServers, Blow::kRelay,
               Blow::kBackend, Blow::kBackends, Blow::kPostgres};
      std::shuffle(left_.begin(), left_.end(), random_);
    }
    const Blow blow = left_.back();
    left_.pop_back();
    return blow;
  }

 private:
  std::mt19937_64& random_;
  std::vector<Blow> left_;
};

void Strike(Stack& stack, Blow blow, std::mt19937_64& random) {
  switch (blow) {
    case Blow::kServer:
      return stack.KillServer(static_cast<int>(random() % 2));
    case Blow::kServers:
      return stack.KillServers();
    case Blow::kRelay:
      return stack.KillRelay(0);
    case Blow::kBackend: {
      const std::vector<pid_t> backends = stack.postgres().BackendPids(Stack::kDatabase);
      if (!backends.empty()) kill(backends[random() % backends.size()], SIGKILL);
      return;
    }
    case Blow::kBackends:
      return stack.postgres()
          .Query("postgres",
                 "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'saldo'")
          .status()
          .IgnoreError();
    case Blow::kPostgres:
      stack.postgres().Kill();
      REQUIRE(stack.postgres().Restart().ok());
  }
}

absl::Duration CrashTime() {
  int64_t seconds = 18;
  if (const char* given = std::getenv("SALDO_TEST_CRASH_SECONDS"))
    (void)absl::SimpleAtoi(given, &seconds);
  return absl::Seconds(seconds);
}

}  // namespace

TEST_CASE("whatever is killed, every acknowledged request is in the ledger and its topics once") {
  const uint64_t seed = Seed();
  INFO("SALDO_TEST_SEED=" << seed);
  std::mt19937_64 random(seed);
  // A zone whose days differ from those of UTC.
  Stack stack({.servers = 2,
               .relays = 1,
               .server_flags = {"--ledger.time_zone=America/New_York"},
               .account_types = kLedgerTypes});
  LedgerLoad load(
      {.addresses = {stack.server_address(0), stack.server_address(1)}, .seed = random()});
  const absl::Time until = absl::Now() + CrashTime();
  Blows blows(random);
  std::map<std::string, int> struck;
  while (absl::Now() < until) {
    const int64_t before = load.acknowledged();
    // Nothing falls by itself.
    CHECK(stack.server(0).running());
    CHECK(stack.server(1).running());
    CHECK(stack.relay(0).running());
    const Blow blow = blows.Next();
    Strike(stack, blow, random);
    ++struck[NameOf(blow)];
    // Between blows the system works again.
    const int64_t enough = before + 50 + static_cast<int64_t>(random() % 1000);
    REQUIRE(Eventually(absl::Seconds(60), [&] { return load.acknowledged() > enough; }));
    Check(stack, kInvariants[random() % std::size(kInvariants)]);
  }
  load.Stop();
  const LedgerHistory history = load.Resolve();
  for (const auto& [part, times] : struck) UNSCOPED_INFO(part << ": " << times);
  UNSCOPED_INFO("requests: " << history.requests.size() << ", acknowledged: " << load.acknowledged()
                             << ", rejected: " << load.rejected() << ", tries without an outcome: "
                             << load.unanswered() << ", repeats: " << load.repeated());
  CHECK(load.acknowledged() > 500);
  CHECK(load.rejected() > 50);
  CHECK(load.unanswered() > 0);
  CHECK(load.repeated() > 20);
  REQUIRE(Eventually(kCatchUpTimeout, [&] { return stack.Drained(); }));
  REQUIRE(Eventually(kCatchUpTimeout, [&] {
    return Ask(stack, "SELECT count(*) FROM events, aggregation WHERE pending @> batch_id") == "0";
  }));
  for (const Invariant& invariant : kInvariants) Check(stack, invariant);
  CHECK(Ask(stack, "SELECT count(*) > 0 FROM imbalances") == "t");
  const LedgerContent content = ReadLedger(stack);
  const std::vector<std::string> faults = FindFaults(history, content, ReadTopics(stack));
  for (size_t i = 0; i < faults.size() && i < 10; ++i) UNSCOPED_INFO(faults[i]);
  CHECK(faults.empty());
}

}  // namespace saldo::testing
