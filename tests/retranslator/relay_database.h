// A migrated database of its own, with batches in it that need no server.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/call_context.h"
#include "common/observability/metrics.h"
#include "common/postgres/connection.h"
#include "common/postgres/pool.h"
#include "tests/support/migrated_database.h"

namespace saldo::retranslator {

inline CallContext Soon() { return CallContext::WithTimeout(absl::Seconds(30)); }

// Check is of one thread in Catch2: others end the program's run with this.
inline void MustBeOk(const absl::Status& status) {
  if (!status.ok()) throw std::runtime_error(status.ToString());
}

class RelayDatabase {
 public:
  // All objects of a program share one database, for a copy takes half a second; it begins empty.
  RelayDatabase() {
    if (narrowed()) Narrow(1'000'000, 3);
    narrowed() = false;
    Execute(
        "UPDATE sequencer SET last_seq = 0, last_message = 0, scanned_to = 0, gaps = '{}';"
        "DELETE FROM cursors; INSERT INTO cursors (consumer, seq) VALUES ('relay', 0);"
        "DELETE FROM dead_letters; DELETE FROM batches; DELETE FROM outbox;"
        "DELETE FROM sequenced_batches");
  }

  std::string dsn() const { return database_.dsn(); }
  const std::string& name() const { return database_.name(); }
  std::string Query(const std::string& sql) const { return database_.Query(sql); }
  int64_t Number(const std::string& sql) const { return std::stoll(Query(sql)); }
  int64_t Cursor() const { return Number("SELECT seq FROM cursors WHERE consumer = 'relay'"); }

  metrics::Registry& registry() { return registry_; }
  postgres::Pool& pool() { return pool_; }

  std::unique_ptr<postgres::Connection> Connect(const std::string& name = "test") const {
    auto connection = postgres::Connection::Open({.dsn = dsn(), .application_name = name}, Soon());
    MustBeOk(connection.status());
    return *std::move(connection);
  }

  void Execute(const std::string& sql) {
    if (connection_ == nullptr) connection_ = Connect();
    MustBeOk(connection_->ExecuteScript(Soon(), sql));
  }

  // A batch as a transaction leaves it: messages "<id>.<ordinal>" of key "k<id>", `bytes` each as
  // far as limits are concerned.
  void AddBatch(int64_t id, int messages, int64_t bytes = 10) {
    Execute(
        absl::StrCat("INSERT INTO batches (batch_id, messages, message_bytes) VALUES (", id, ",",
                     messages, ",", messages * bytes, ");",
                     "INSERT INTO outbox (batch_id, ordinal, topic, key, payload, type) SELECT ",
                     id, ", n, 'topic', 'k", id, "', ('", id,
                     ".' || n)::bytea, 'type' FROM generate_series(1, ", messages, ") AS n"));
  }

  // Gives these batches the next seqs, in this order. `gaps` are ids that are still waited for.
  void Sequence(const std::vector<int64_t>& ids, const std::vector<int64_t>& gaps = {}) {
    std::string sql;
    for (const int64_t id : ids) {
      absl::StrAppend(
          &sql,
          "INSERT INTO sequenced_batches SELECT last_seq + 1, batch_id, created_at, messages,"
          " message_bytes, last_message FROM batches, sequencer WHERE batch_id = ",
          id, "; UPDATE sequencer SET last_seq = last_seq + 1, last_message = last_message +",
          " (SELECT messages FROM batches WHERE batch_id = ", id,
          "), scanned_to = greatest(scanned_to, ", id, ");");
    }
    absl::StrAppend(&sql, "UPDATE sequencer SET gaps = '{", absl::StrJoin(gaps, ","), "}'");
    Execute(sql);
  }

  // Partitions of so many ids from here on, `count` of them, instead of a million.
  void Narrow(int64_t width, int count) {
    narrowed() = true;
    Execute(
        absl::StrCat("DO $$ DECLARE p record; BEGIN FOR p IN SELECT * FROM partitions LOOP EXECUTE "
                     "format('DROP TABLE %I', p.parent || '_' || p.lower_bound); END LOOP; "
                     "DELETE FROM partitions; UPDATE partitioned_tables SET width = ",
                     width, "; PERFORM extend_partitions(parent, 0, ", count,
                     ") FROM partitioned_tables; END $$"));
  }

 private:
  static const testing::MigratedDatabase& Shared() {
    static const testing::MigratedDatabase database;
    return database;
  }

  // Whether the shared database has other partitions than a new one.
  static bool& narrowed() {
    static bool narrowed = false;
    return narrowed;
  }

  const testing::MigratedDatabase& database_ = Shared();
  metrics::Registry registry_;
  postgres::Pool pool_{{.connection = {.dsn = database_.dsn()}, .max_connections = 20}, registry_};
  std::unique_ptr<postgres::Connection> connection_;
};

}  // namespace saldo::retranslator
