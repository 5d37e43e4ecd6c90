#include "bench/ledger_fill.h"

#include <algorithm>
#include <array>
#include <memory>
#include <utility>

#include "absl/functional/function_ref.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/substitute.h"
#include "absl/time/time.h"
#include "bench/ledger.h"
#include "bench/stack.h"
#include "common/base/call_context.h"
#include "common/base/status_macros.h"
#include "common/postgres/connection.h"
#include "common/runtime/thread.h"

namespace saldo::bench {
namespace {

constexpr absl::Duration kTimeout = absl::Minutes(5);
constexpr int kEventsOfBatch = 1000;
constexpr int kPartitions = 10;
// The width of a partition, in ids of batches. Ids between those used are as if rolled back.
constexpr int64_t kWidth = 1'000'000;
// An account has at most so many events on a day on which it has any, all on one subaccount.
constexpr int64_t kEventsOfDayMax = 4;

// $0 type, $1 width, $2 partitions, $3 accounts
constexpr const char* kPrepare =
    "SELECT extend_partitions('events_$0', $1::bigint * $2, 3);"
    "INSERT INTO accounts (account_id, type_id, key, asset) SELECT n + 1, $0, n || E'\\x1fRUB', "
    "'RUB' FROM generate_series(0, $3 - 1) AS n;";
// A table without indexes in the place of a partition. $0 type, $1 lower bound
constexpr const char* kReplace =
    "DROP TABLE events_$0_$1; CREATE TABLE events_$0_$1 (LIKE events_$0 INCLUDING DEFAULTS "
    "INCLUDING CONSTRAINTS) WITH (autovacuum_enabled = off);";
// Events count from 0: round by round through all accounts, those of a day at a time.
// $0 type, $1 lower bound, $2 first event, $3 last event, $4 accounts, $5 events of a day,
// $6 days of a round, $7 ids from batch to batch, $8 events of a batch, $9 days
constexpr const char* kInsert =
    "INSERT INTO events_$0_$1 (batch_id, ordinal, type_id, subaccount_id, occurred_at, is_credit, "
    "is_balanced, amount) "
    "SELECT n / $8 * $7 + 1, n % $8 + 1, $0, account * 6 + (hash >> 40 & 1023) % 6 + 1,"
    " date_trunc('day', now(), 'UTC') + (round * $6 + (hash & 65535) % $6 - $9) * interval '1 day'"
    "  + (hashint8extended(n, 2) & 1073741823) % 86400000 * interval '1 ms',"
    " n % 3 <> 0, false, ((hashint8extended(n, 3) & 65535) + 1) * 0.01 "
    "FROM (SELECT n, round, account, hashint8extended(visit, 1) & 9223372036854775807 AS hash FROM "
    "(SELECT n, n / $5 AS visit, n / $5 / $4 AS round, n / $5 % $4 AS account FROM "
    "generate_series($2::bigint, $3::bigint) AS n) AS v) AS e";
constexpr const char* kIndex =
    "ALTER TABLE events_$0_$1 ADD PRIMARY KEY (batch_id, ordinal, type_id);"
    "CREATE INDEX ON events_$0_$1 (subaccount_id, occurred_at);"
    "ALTER TABLE events_$0_$1 RESET (autovacuum_enabled); ANALYZE events_$0_$1;";
constexpr const char* kAttach =
    "ALTER TABLE events_$0 ATTACH PARTITION events_$0_$1 FOR VALUES FROM ($1) TO ($2);";

// What the aggregation would have made of a partition; the day of an account lies in one.
constexpr const char* kDays =
    "INSERT INTO turnovers_day SELECT subaccount_id, (occurred_at AT TIME ZONE 'UTC')::date, "
    "coalesce(sum(amount) FILTER (WHERE NOT is_credit), 0), "
    "coalesce(sum(amount) FILTER (WHERE is_credit), 0) FROM events_$0_$1 GROUP BY 1, 2;";
constexpr const char* kMonths =
    "INSERT INTO turnovers_month SELECT subaccount_id, date_trunc('month', day::timestamp)::date, "
    "sum(debit), sum(credit) FROM turnovers_day GROUP BY 1, 2 ORDER BY 2, 1;"
    "INSERT INTO turnovers_year SELECT subaccount_id, date_trunc('year', month::timestamp)::date, "
    "sum(debit), sum(credit) FROM turnovers_month GROUP BY 1, 2 ORDER BY 2, 1;"
    "ALTER TABLE turnovers_month ADD PRIMARY KEY (subaccount_id, month);"
    "ALTER TABLE turnovers_year ADD PRIMARY KEY (subaccount_id, year);"
    "INSERT INTO subaccounts (subaccount_id, account_id, attributes) "
    "SELECT id, (id - 1) / 6 + 1, (ARRAY['taxi', 'food', 'rent'])[(id - 1) % 3 + 1] || E'\\x1f' || "
    "(ARRAY['north', 'south'])[(id - 1) % 6 / 3 + 1] "
    "FROM (SELECT DISTINCT subaccount_id AS id FROM turnovers_year) AS s;";
constexpr const char* kDayIndex = "ALTER TABLE turnovers_day ADD PRIMARY KEY (subaccount_id, day)";
constexpr const char* kWithoutIndexes =
    "ALTER TABLE turnovers_day DROP CONSTRAINT turnovers_day_pkey;"
    "ALTER TABLE turnovers_month DROP CONSTRAINT turnovers_month_pkey;"
    "ALTER TABLE turnovers_year DROP CONSTRAINT turnovers_year_pkey;";
// $0 batches, $1 ids from batch to batch, $2 events of a batch
constexpr const char* kBatches =
    "SELECT extend_partitions(parent, $0::bigint * $1, 3) FROM partitioned_tables "
    "WHERE parent = 'batches' OR parent = 'outbox';"
    "INSERT INTO batches SELECT n * $1 + 1, now(), $2, 100 * $2 FROM generate_series(0, $0 - 1) AS "
    "n;"
    "INSERT INTO sequenced_batches SELECT n + 1, n * $1 + 1, now(), $2, 100 * $2, n * $2 "
    "FROM generate_series(0, $0 - 1) AS n;"
    "SELECT setval('batch_id_seq', $0::bigint * $1);"
    "UPDATE sequencer SET last_seq = $0, last_message = $0::bigint * $2, "
    "scanned_to = $0::bigint * $1, gaps = '{}';"
    "UPDATE cursors SET seq = $0;"
    "UPDATE aggregation SET pending = int8multirange(int8range($0::bigint * $1 + 1, NULL));"
    "SELECT setval('account_id_blocks', (SELECT max(account_id) FROM accounts) + 1000), "
    "setval('subaccount_id_blocks', (SELECT max(subaccount_id) FROM subaccounts) + 1000);";
// Not the partitions of events, which autovacuum leaves alone until they freeze.
constexpr const char* kVacuum[] = {"turnovers_day", "turnovers_month", "turnovers_year", "accounts",
                                   "subaccounts"};

class Filler {
 public:
  Filler(const Context& context, const LedgerFill& fill) : context_(context), fill_(fill) {}

  absl::Status Run() {
    for (auto& connection : connections_) {
      SALDO_ASSIGN_OR_RETURN(connection, context_.stack.Connect(fill_.database));
      SALDO_RETURN_IF_ERROR(Script(*connection,
                                   "SET synchronous_commit = off; SET work_mem = '512MB';"
                                   "SET maintenance_work_mem = '512MB'"));
    }
    SALDO_ASSIGN_OR_RETURN(
        type_, context_.stack.postgres().Query(
                   fill_.database,
                   absl::StrCat("SELECT type_id FROM account_types WHERE name = '", kFee, "'")));
    postgres::Connection& first = *connections_[0];
    SALDO_RETURN_IF_ERROR(
        Script(first, absl::Substitute(kPrepare, type_, kWidth, kPartitions, fill_.accounts)));
    std::string replace = kWithoutIndexes, attach;
    for (int64_t low = 0; low < kPartitions * kWidth; low += kWidth) {
      absl::StrAppend(&replace, absl::Substitute(kReplace, type_, low));
      absl::StrAppend(&attach, absl::Substitute(kAttach, type_, low, low + kWidth));
    }
    SALDO_RETURN_IF_ERROR(Script(first, replace));
    SALDO_RETURN_IF_ERROR(InParallel([this](int i) { return FillPartitions(i); }));
    SALDO_RETURN_IF_ERROR(Script(first, attach));
    SALDO_RETURN_IF_ERROR(InParallel([this](int i) {
      return Script(*connections_[static_cast<size_t>(i)], i == 0 ? kDayIndex : kMonths);
    }));
    SALDO_RETURN_IF_ERROR(
        Script(first, absl::Substitute(kBatches, Batches(), IdsOfBatch(), kEventsOfBatch)));
    for (const char* table : kVacuum)
      SALDO_RETURN_IF_ERROR(Script(first, absl::StrCat("VACUUM (ANALYZE) ", table)));
    return Script(first, "CHECKPOINT");
  }

 private:
  static constexpr int kThreads = 2;

  int64_t Batches() const { return fill_.events / kEventsOfBatch; }
  int64_t IdsOfBatch() const { return kPartitions * kWidth / Batches(); }

  absl::Status FillPartitions(int thread) {
    const int64_t of_partition = fill_.events / kPartitions;
    const int64_t of_day = std::min(fill_.events / fill_.accounts, kEventsOfDayMax);
    const int64_t of_round = fill_.accounts * of_day;
    const int64_t rounds = (fill_.events + of_round - 1) / of_round;
    for (int i = thread; i < kPartitions; i += kThreads) {
      const int64_t low = i * kWidth;
      postgres::Connection& connection = *connections_[static_cast<size_t>(thread)];
      const std::string insert = absl::Substitute(
          kInsert, type_, low, i * of_partition, (i + 1) * of_partition - 1, fill_.accounts, of_day,
          kFilledDays / rounds, IdsOfBatch(), kEventsOfBatch, kFilledDays);
      SALDO_RETURN_IF_ERROR(Wait(context_, absl::ZeroDuration()));
      SALDO_RETURN_IF_ERROR(Script(connection, insert));
      SALDO_RETURN_IF_ERROR(Script(connection, absl::Substitute(kDays, type_, low)));
      SALDO_RETURN_IF_ERROR(Script(connection, absl::Substitute(kIndex, type_, low)));
    }
    return absl::OkStatus();
  }

  static absl::Status InParallel(absl::FunctionRef<absl::Status(int)> work) {
    std::array<absl::Status, kThreads> statuses;
    {
      std::array<runtime::Thread, kThreads> threads;
      for (size_t i = 0; i < kThreads; ++i) {
        threads[i] = runtime::Thread(
            "fill", [&statuses, work, i] { statuses[i] = work(static_cast<int>(i)); });
      }
    }
    absl::Status all;
    for (const absl::Status& status : statuses) all.Update(status);
    return all;
  }

  static absl::Status Script(postgres::Connection& connection, const std::string& sql) {
    return connection.ExecuteScript(CallContext::WithTimeout(kTimeout), sql);
  }

  const Context& context_;
  const LedgerFill& fill_;
  std::array<std::unique_ptr<postgres::Connection>, kThreads> connections_;
  std::string type_;
};

}  // namespace

absl::Status FillLedger(const Context& context, const LedgerFill& fill) {
  return Filler(context, fill).Run();
}

}  // namespace saldo::bench
