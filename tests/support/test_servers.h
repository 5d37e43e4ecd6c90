// The real servers that a test program shares among its cases: started on first use, stopped when
// the program ends (and killed by the kernel when it is killed).
#pragma once

#include <string>

#include "common/devstack/kafka_broker.h"
#include "common/devstack/postgres_cluster.h"

namespace saldo::testing {

// This program's PostgreSQL. It does not wait for the disk (fsync off). A case that needs other
// settings, or that kills the server, starts a PostgresCluster of its own in a TempDir.
// A server that does not start ends the program with the reason: no test here can go on.
devstack::PostgresCluster& TestPostgres();

// This program's Kafka. Topics are shared by all cases: use UniqueName for them.
devstack::KafkaBroker& TestKafka();

// An empty database of its own in TestPostgres, dropped by the destructor.
class TestDatabase {
 public:
  TestDatabase() : TestDatabase("template1") {}
  TestDatabase(const TestDatabase&) = delete;
  TestDatabase& operator=(const TestDatabase&) = delete;
  ~TestDatabase();

  const std::string& name() const { return name_; }
  // libpq's connection string.
  std::string dsn() const { return TestPostgres().dsn(name_); }
  // Runs one command and returns its rows, one a line, columns parted by '|'. Ends the program
  // when the command fails, so it is for preparing and looking, not for what is tested.
  std::string Query(const std::string& sql) const;

 protected:
  explicit TestDatabase(const std::string& from);

 private:
  std::string name_;
};

}  // namespace saldo::testing
