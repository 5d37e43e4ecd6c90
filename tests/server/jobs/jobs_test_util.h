// A migrated database of its own, and writers for it.
#pragma once

#include <stdexcept>
#include <string>

#include "common/postgres/pool.h"
#include "server/outbox/outbox.h"
#include "tests/support/migrated_database.h"

namespace saldo::jobs {

inline CallContext Soon() { return CallContext::WithTimeout(absl::Seconds(30)); }

// Check is of one thread in Catch2: others end the program's run with this.
inline void MustBeOk(const absl::Status& status) {
  if (!status.ok()) throw std::runtime_error(status.ToString());
}

class Database {
 public:
  std::string dsn() const { return database_.dsn(); }
  std::string Query(const std::string& sql) const { return database_.Query(sql); }
  int64_t Number(const std::string& sql) const { return std::stoll(Query(sql)); }

  // Partitions of so many ids from here on, instead of a million.
  void Narrow(int64_t width) const {
    Query(
        "DO $$ DECLARE p record; BEGIN FOR p IN SELECT * FROM partitions LOOP EXECUTE "
        "format('DROP TABLE %I', p.parent || '_' || p.lower_bound); END LOOP; "
        "DELETE FROM partitions; UPDATE partitioned_tables SET width = " +
        std::to_string(width) +
        "; PERFORM extend_partitions(parent, 0, 3) FROM partitioned_tables; END $$");
  }

  metrics::Registry& registry() { return registry_; }
  postgres::Pool& pool() { return pool_; }
  // One batch of one message.
  absl::Status Append(const std::string& key = "k", const std::string& payload = "p") {
    return pool_.Transact(Soon(), {.name = "test.append"}, [&](postgres::Transaction& tx) {
      return outbox::Outbox().Append(tx, {{{"topic", key, payload, "type"}}});
    });
  }

 private:
  testing::MigratedDatabase database_;
  metrics::Registry registry_;
  postgres::Pool pool_{{.connection = {.dsn = database_.dsn()}, .max_connections = 20}, registry_};
};

}  // namespace saldo::jobs
