#include "tests/support/test_servers.h"

#include <cstdlib>
#include <iostream>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "tests/support/test_env.h"

namespace saldo::testing {
namespace {

void CheckOk(const absl::Status& status) {
  if (status.ok()) return;
  std::cerr << "the tests cannot go on: " << status.ToString() << "\n";
  std::exit(EXIT_FAILURE);
}

// The members' order matters: the server stops before its folder goes.
struct Postgres {
  TempDir dir;
  std::unique_ptr<devstack::PostgresCluster> cluster;

  Postgres() {
    devstack::PostgresOptions options;
    options.dir = dir.File("postgres");
    options.durable = false;
    auto started = devstack::PostgresCluster::Start(std::move(options));
    CheckOk(started.status());
    cluster = *std::move(started);
  }
};

struct Kafka {
  TempDir dir;
  std::unique_ptr<devstack::KafkaBroker> broker;

  Kafka() {
    devstack::KafkaOptions options;
    options.dir = dir.File("kafka");
    auto started = devstack::KafkaBroker::Start(std::move(options));
    CheckOk(started.status());
    broker = *std::move(started);
  }
};

}  // namespace

devstack::PostgresCluster& TestPostgres() {
  static Postgres postgres;
  return *postgres.cluster;
}

devstack::KafkaBroker& TestKafka() {
  static Kafka kafka;
  return *kafka.broker;
}

TestDatabase::TestDatabase(const std::string& from) : name_(UniqueName("test")) {
  CheckOk(TestPostgres().CreateDatabase(name_, from));
}

TestDatabase::~TestDatabase() {
  // A case may have left the server stopped; its folder goes at the end anyway.
  if (TestPostgres().running()) TestPostgres().DropDatabase(name_).IgnoreError();
}

std::string TestDatabase::Query(const std::string& sql) const {
  absl::StatusOr<std::string> rows = TestPostgres().Query(name_, sql);
  CheckOk(rows.status());
  return *std::move(rows);
}

}  // namespace saldo::testing
