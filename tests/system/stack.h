// A whole Saldo of real processes: PostgreSQL, Kafka, servers and retranslators.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/devstack/child_process.h"
#include "common/devstack/kafka_broker.h"
#include "common/devstack/postgres_cluster.h"
#include "tests/support/test_env.h"

namespace saldo::testing {

struct StackOptions {
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

  devstack::PostgresCluster& postgres() { return *postgres_; }
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

  // The answer of the first server's, or a relay's, metrics page.
  std::string ServerMetrics() const;
  std::string RelayMetrics(int index) const;

  // True when the relay's cursor has passed every batch.
  bool Drained() const;

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
  void StartServer(int index);
  void StartRelay(int index);
  std::unique_ptr<devstack::ChildProcess> Spawn(const std::string& name, const Program& program,
                                                std::vector<std::string> flags);

  const StackOptions options_;
  TempDir dir_;
  std::unique_ptr<devstack::PostgresCluster> postgres_;
  std::unique_ptr<devstack::KafkaBroker> kafka_;
  std::vector<Program> relays_;
  std::vector<Program> servers_;
};

}  // namespace saldo::testing
