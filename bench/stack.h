// The real servers that the benchmarks measure, in a temporary folder, on this machine's loopback.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/devstack/child_process.h"
#include "common/devstack/kafka_broker.h"
#include "common/devstack/postgres_cluster.h"
#include "common/kafka/admin.h"
#include "common/postgres/connection.h"
#include "common/runtime/stop_signal.h"
#include "tests/support/test_env.h"

namespace saldo::bench {

// One of Saldo's own binaries, run as a child and stopped with this.
struct Program {
  std::unique_ptr<devstack::ChildProcess> child;
  int grpc_port = 0;
  int status_port = 0;
  int metrics_port = 0;

  // UNAVAILABLE with the end of its log when it has ended.
  absl::Status Check() const;
  // Orderly. An error when it did not end well.
  absl::Status Stop();
};

class Stack {
 public:
  static constexpr int kPartitions = 3;

  // PostgreSQL with fsync, and Kafka. Stopping `interrupt` ends the waits.
  static absl::StatusOr<std::unique_ptr<Stack>> Start(const runtime::StopSignal& interrupt);

  devstack::PostgresCluster& postgres() { return *postgres_; }
  devstack::KafkaBroker& kafka() { return *kafka_; }
  // A path in the temporary folder.
  std::string File(const std::string& name) const { return dir_.File(name); }
  std::string brokers() const { return kafka_->bootstrap_servers(); }
  std::string dsn(const std::string& database) const { return postgres_->tcp_dsn(database); }

  // A database with Saldo's schema, empty, or with what `from` holds. Nobody may be connected to
  // `from`.
  absl::Status CreateDatabase(const std::string& name, const std::string& from = "saldo_template");
  // A connection that lets a statement take minutes.
  absl::StatusOr<std::unique_ptr<postgres::Connection>> Connect(const std::string& database) const;

  // Removes the topic first when it is there.
  absl::Status CreateTopic(const std::string& topic);

  // Starts "saldo-server" or "saldo-retranslator" on free ports and `database`.
  absl::StatusOr<Program> StartProgram(const std::string& name, const std::string& database,
                                       std::vector<std::string> arguments);
  absl::Status AwaitReady(const Program& program) const;

 private:
  explicit Stack(const runtime::StopSignal& interrupt) : interrupt_(interrupt) {}

  absl::Status StartServers();
  absl::Status MakeTemplate();

  const runtime::StopSignal& interrupt_;
  const testing::TempDir dir_;
  std::unique_ptr<devstack::PostgresCluster> postgres_;
  std::unique_ptr<devstack::KafkaBroker> kafka_;
  std::unique_ptr<kafka::Admin> admin_;
};

}  // namespace saldo::bench
