// A whole Saldo of real processes: PostgreSQL, Kafka, one server and two retranslators.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/devstack/child_process.h"
#include "common/devstack/kafka_broker.h"
#include "common/devstack/postgres_cluster.h"
#include "tests/support/test_env.h"

namespace saldo::testing {

class Stack {
 public:
  static constexpr int kRelays = 2;

  // Everything runs when this returns; a part that does not start ends the program with its reason.
  // `env` goes to Saldo's programs.
  explicit Stack(std::vector<std::pair<std::string, std::string>> env = {});

  devstack::PostgresCluster& postgres() { return *postgres_; }
  devstack::KafkaBroker& kafka() { return *kafka_; }
  devstack::ChildProcess& server() { return *server_; }
  devstack::ChildProcess& relay(int index) { return *relays_[index]; }
  std::string server_address() const { return "127.0.0.1:" + std::to_string(grpc_port_); }

  // SIGKILL, and a new process.
  void KillServer();
  void KillRelay(int index);
  // SIGTERM, unless it has ended, and a new process.
  void RestartServer();

  // The answer of the server's, or a relay's, metrics page.
  std::string ServerMetrics() const;
  std::string RelayMetrics(int index) const;

  // True when the relay's cursor has passed every batch.
  bool Drained() const;

  static constexpr const char* kDatabase = "saldo";
  static constexpr const char* kTopic = "omp-package-events";

 private:
  void StartServer();
  void StartRelay(int index);
  std::unique_ptr<devstack::ChildProcess> Spawn(const std::string& name,
                                                std::vector<std::string> flags);

  const std::vector<std::pair<std::string, std::string>> env_;
  TempDir dir_;
  int grpc_port_, server_metrics_port_, server_status_port_;
  int relay_metrics_ports_[kRelays], relay_status_ports_[kRelays];
  std::unique_ptr<devstack::PostgresCluster> postgres_;
  std::unique_ptr<devstack::KafkaBroker> kafka_;
  std::unique_ptr<devstack::ChildProcess> relays_[kRelays];
  std::unique_ptr<devstack::ChildProcess> server_;
};

}  // namespace saldo::testing
