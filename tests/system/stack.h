// A whole Saldo of real processes: PostgreSQL, Kafka, servers and retranslators.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "common/devstack/child_process.h"
#include "common/devstack/kafka_broker.h"
#include "common/devstack/loopback.h"
#include "common/devstack/postgres_cluster.h"
#include "tests/support/test_env.h"

namespace saldo::testing {

struct StackOptions {
  // 1, or 2: "a" has the lower half of the hashes and is home, "b" the upper; each a PostgreSQL of
  // its own.
  int shards = 1;
  int servers = 1;
  int relays = 2;
  // For all of Saldo's programs.
  std::vector<std::pair<std::string, std::string>> env = {};
  std::vector<std::string> server_flags = {};
  std::string account_types = "";  // a types file's text; empty: the built-in example
};

class Stack {
 public:
  // Everything runs when this returns; a part that does not start ends the program with its reason.
  explicit Stack(StackOptions options = {});

  devstack::PostgresCluster& postgres(int shard = 0) { return *postgres_[Place(shard)]; }
  const devstack::PostgresCluster& postgres(int shard = 0) const {
    return *postgres_[Place(shard)];
  }
  devstack::KafkaBroker& kafka() { return *kafka_; }
  devstack::ChildProcess& server(int index = 0) { return *servers_[Place(index)].process; }
  devstack::ChildProcess& relay(int index) { return *relays_[Place(index)].process; }
  int servers() const { return options_.servers; }
  int relays() const { return options_.relays; }
  std::string server_address(int index = 0) const {
    return "127.0.0.1:" + std::to_string(servers_[Place(index)].grpc_port);
  }

  // SIGKILL, and a new process.
  void KillServer(int index = 0);
  void KillRelay(int index);
  // SIGKILL to all servers at once, and new processes.
  void KillServers();
  // SIGTERM, unless it has ended, and a new process.
  void RestartServer();

  int server_metrics_port() const { return servers_[0].metrics_port; }
  int relay_metrics_port(int index) const { return relays_[Place(index)].metrics_port; }
  // The answer of the first server's, or a relay's, metrics page.
  std::string ServerMetrics() const;
  // What the first server says of its readiness.
  devstack::HttpAnswer ServerReadiness() const;
  std::string RelayMetrics(int index) const;

  // True when the relay's cursors have passed every batch.
  bool Drained() const;

  // Runs `saldo` with these arguments on the databases. Its output; an error when it fails.
  absl::StatusOr<std::string> Saldo(std::vector<std::string> arguments) const;

  static constexpr const char* kDatabase = "saldo";
  static constexpr const char* kTopic = "omp-package-events";

 private:
  struct Program {
    int grpc_port = 0;  // of servers
    int metrics_port = 0;
    int status_port = 0;
    std::unique_ptr<devstack::ChildProcess> process;
  };

  static size_t Place(int index) { return static_cast<size_t>(index); }
  // Which say where the databases are; the file is made by the constructor.
  std::vector<std::string> DatabaseFlags() const;
  void StartServer(int index);
  void StartRelay(int index);
  std::unique_ptr<devstack::ChildProcess> Spawn(const std::string& name, const Program& program,
                                                std::vector<std::string> flags);

  const StackOptions options_;
  TempDir dir_;
  std::vector<std::unique_ptr<devstack::PostgresCluster>> postgres_;  // of each shard
  std::unique_ptr<devstack::KafkaBroker> kafka_;
  std::vector<Program> relays_;
  std::vector<Program> servers_;
};

}  // namespace saldo::testing
