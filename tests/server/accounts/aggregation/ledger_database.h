// A database with account types and accounts, into which tests write events directly.
#pragma once

#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "common/base/decimal.h"
#include "common/postgres/connection.h"
#include "common/postgres/pool.h"
#include "server/jobs/sequencer.h"
#include "tests/support/migrated_database.h"
#include "tests/support/test_env.h"

namespace saldo::accounts {

inline CallContext Soon() { return CallContext::WithTimeout(absl::Seconds(60)); }

inline void MustBeOk(const absl::Status& status) {
  if (!status.ok()) throw std::runtime_error(status.ToString());
}

inline absl::Time Utc(const char* text) {
  absl::Time time;
  std::string error;
  if (!absl::ParseTime("%Y-%m-%d %H:%M:%E*S", text, &time, &error)) throw std::runtime_error(error);
  return time;
}

inline std::string SqlTime(absl::Time time) {
  return absl::FormatTime("'%Y-%m-%d %H:%M:%E6S+00'", time, absl::UTCTimeZone());
}

struct TestEvent {
  int32_t type;
  int64_t subaccount;
  absl::Time at;
  bool credit;
  Decimal amount;
  bool balanced = false;
};

// A transaction that has taken its batch id and written its events, and stays open until told.
class OpenBatch {
 public:
  OpenBatch(const std::string& dsn, const std::vector<TestEvent>& events)
      : connection_(*postgres::Connection::Open({.dsn = dsn}, Soon())) {
    std::string sql = absl::StrCat(
        "BEGIN; SELECT pg_current_xact_id(); INSERT INTO batches VALUES (nextval('batch_id_seq'), "
        "DEFAULT, ",
        events.size(), ", 0);");
    int ordinal = 0;
    for (const TestEvent& e : events) {
      absl::StrAppend(&sql, "INSERT INTO events VALUES (currval('batch_id_seq'), ", e.subaccount,
                      ", ", SqlTime(e.at), ", ", ++ordinal, ", ", e.type, ", ",
                      e.credit ? "true" : "false", ", ", e.balanced ? "true" : "false", ", ",
                      e.amount.ToString(), ", NULL, NULL);");
    }
    MustBeOk(connection_->ExecuteScript(Soon(), sql));
    auto id = connection_->Query(Soon(), {"test.currval", "SELECT currval('batch_id_seq')"});
    MustBeOk(id.status());
    id_ = std::get<0>(std::move(*id).One<int64_t>().value());
  }
  int64_t id() const { return id_; }
  void Commit() { MustBeOk(connection_->ExecuteScript(Soon(), "COMMIT")); }
  void Rollback() { MustBeOk(connection_->ExecuteScript(Soon(), "ROLLBACK")); }

 private:
  std::unique_ptr<postgres::Connection> connection_;
  int64_t id_ = 0;
};

class LedgerDatabase {
 public:
  explicit LedgerDatabase(const std::string& zone = "UTC") {
    Query("INSERT INTO ledger (time_zone) VALUES ('" + zone + "')");
  }

  std::string dsn() const { return database_.dsn(); }
  std::string Query(const std::string& sql) const { return database_.Query(sql); }
  int64_t Number(const std::string& sql) const { return std::stoll(Query(sql)); }
  metrics::Registry& registry() { return registry_; }
  postgres::Pool& pool() { return pool_; }

  // With the auxiliary attributes product and region.
  int32_t AddType(const std::string& name, const std::string& retention = "400 days") const {
    Query(
        "INSERT INTO account_types (name, key_attributes, auxiliary_attributes, "
        "sharding_attributes, asset_constant, scale, keeps_balance, retention) VALUES ('" +
        name +
        "', '{client integer}', '{product string, region string}', '{client}', 'RUB', 2, false, '" +
        retention +
        "'); "
        "SELECT add_event_partitions(type_id) FROM account_types WHERE name = '" +
        name + "'");
    return static_cast<int32_t>(
        Number("SELECT type_id FROM account_types WHERE name = '" + name + "'"));
  }
  // The subaccount, made when it is not there.
  int64_t Subaccount(int32_t type, const std::string& key, const std::string& product = "p",
                     const std::string& region = "r", const std::string& asset = "RUB") const {
    const std::string account = absl::StrCat(
        "SELECT account_id FROM accounts WHERE type_id = ", type, " AND key = '", key, "'");
    if (Query(account).empty()) {
      Query(
          absl::StrCat("INSERT INTO accounts (account_id, type_id, key, asset) SELECT "
                       "coalesce(max(account_id), 0) + 1, ",
                       type, ", '", key, "', '", asset, "' FROM accounts"));
    }
    const std::string attributes = absl::StrCat("E'", product, "\\x1f", region, "'");
    const std::string subaccount =
        absl::StrCat("SELECT subaccount_id FROM subaccounts WHERE account_id = (", account,
                     ") AND attributes = ", attributes);
    if (Query(subaccount).empty()) {
      Query(
          absl::StrCat("INSERT INTO subaccounts (subaccount_id, account_id, attributes) SELECT "
                       "coalesce(max(subaccount_id), 0) + 1, (",
                       account, "), ", attributes, " FROM subaccounts"));
    }
    return Number(subaccount);
  }
  // Commits a batch. Answers its id.
  int64_t Write(const std::vector<TestEvent>& events) const {
    OpenBatch batch(dsn(), events);
    batch.Commit();
    return batch.id();
  }

  // Partitions of so many batch ids for the type's events, from here on, and no others.
  void Narrow(int32_t type, int64_t width) const {
    Query(absl::StrCat(
        "DO $$ DECLARE p record; BEGIN FOR p IN SELECT * FROM partitions WHERE parent = 'events_",
        type,
        "' LOOP EXECUTE format('DROP TABLE %I', p.parent || '_' || p.lower_bound); END LOOP; "
        "DELETE FROM partitions WHERE parent = 'events_",
        type, "'; UPDATE partitioned_tables SET width = ", width, " WHERE parent = 'events_", type,
        "'; PERFORM extend_partitions('events_", type, "', 0, 3); END $$"));
  }
  // As if the type's partitions had been filled so much earlier.
  void AgePartitions(int32_t type, const std::string& interval) const {
    Query(absl::StrCat("UPDATE partitions SET filled_at = filled_at - '", interval,
                       "'::interval WHERE parent = 'events_", type, "'"));
  }
  // "0-10 10-20", with a "!" after those that are known to be filled.
  std::string Bounds(int32_t type) const {
    return Query(absl::StrCat(
        "SELECT coalesce(string_agg(lower_bound || '-' || upper_bound || CASE WHEN filled_at IS "
        "NULL THEN '' ELSE '!' END, ' ' ORDER BY lower_bound), '') FROM partitions WHERE parent = "
        "'events_",
        type, "'"));
  }

  // Lets a sequencer give every committed batch its seq, and notice every rollback when there are
  // no open transactions.
  void Sequence() {
    jobs::Sequencer sequencer({.poll_interval = absl::Milliseconds(1)},
                              postgres::ConnectionOptions{.dsn = dsn()}, registry_);
    MustBeOk(sequencer.Start());
    if (!testing::Eventually(absl::Seconds(30), [&] {
          return Query(
                     "SELECT count(*) FROM batches AS b WHERE NOT EXISTS (SELECT FROM "
                     "sequenced_batches AS s WHERE s.batch_id = b.batch_id)") == "0";
        })) {
      throw std::runtime_error("the sequencer does not catch up");
    }
  }

  // What the turnovers differ in from the events of batches that are not pending. Empty: nothing.
  std::string WrongTurnovers() const {
    std::string wrong;
    for (const char* period : {"day", "month", "year"}) {
      absl::StrAppend(
          &wrong, Query(absl::StrCat(
                      "WITH sums AS (SELECT subaccount_id, date_trunc('", period,
                      "', accounting_day(occurred_at, time_zone)::timestamp)::date AS ", period,
                      ", coalesce(sum(amount) FILTER (WHERE NOT is_credit), 0) AS debit, "
                      "coalesce(sum(amount) FILTER (WHERE is_credit), 0) AS credit FROM events, "
                      "aggregation, ledger WHERE NOT pending @> batch_id GROUP BY 1, 2) SELECT '",
                      period, "', subaccount_id, ", period,
                      ", s.debit, s.credit, t.debit, t.credit FROM sums AS s FULL JOIN turnovers_",
                      period, " AS t USING (subaccount_id, ", period,
                      ") WHERE (s.debit, s.credit) IS DISTINCT FROM (t.debit, t.credit)")));
    }
    return wrong;
  }

 private:
  testing::MigratedDatabase database_;
  metrics::Registry registry_;
  postgres::Pool pool_{{.connection = {.dsn = database_.dsn()}, .max_connections = 20}, registry_};
};

}  // namespace saldo::accounts
