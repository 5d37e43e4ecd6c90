// The parts of the development stack: started in the order in which they need each other, stopped
// in the reverse.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/devstack/child_process.h"
#include "common/devstack/files.h"
#include "common/devstack/jaeger.h"
#include "common/devstack/kafka_broker.h"
#include "common/devstack/postgres_cluster.h"
#include "common/devstack/prometheus.h"
#include "common/runtime/stop_signal.h"
#include "common/shards/config.h"

namespace saldo::cli {

// Where events are published: those of packages, and those of each account type that a server has
// which is told of no others.
inline constexpr const char* kPackageTopic = "omp-package-events";
inline constexpr const char* kWalletTopic = "saldo-client-wallet";
inline constexpr const char* kTopics[] = {kPackageTopic, kWalletTopic, "saldo-taxi-commission",
                                          "saldo-agency-reward", "saldo-wallets"};

struct StackOptions {
  std::string dir = "var";
  bool embedded_broker = false;
  bool free_ports = false;    // Saldo's own ports: free ones instead of the usual
  std::string kafka = "";     // an existing one's host:port; empty: start one
  std::string postgres = "";  // an existing one's connection string; empty: start one
  int shards = 1;             // more than one only without `postgres`
  std::string rules = "";     // a folder of Prometheus' rules; empty: no Prometheus
  bool jaeger = false;        // start one, and send traces to it
};

// Used by one thread; `interrupt` may be stopped by another to end whatever is waited for.
class Stack {
 public:
  Stack(StackOptions options, const runtime::StopSignal* interrupt)
      : options_(std::move(options)), interrupt_(interrupt) {}
  Stack(const Stack&) = delete;
  Stack& operator=(const Stack&) = delete;
  ~Stack() { Stop(); }

  // Returns once everything serves. An error names the part that failed, its log and the log's
  // end; what was started before it runs on until Stop. CANCELLED when interrupted.
  absl::Status Start();

  // OK while every part runs; else which one ended, how, and the end of its log.
  absl::Status Check() const;

  // Stops what runs: Prometheus, server, retranslator, Jaeger, Kafka, PostgreSQL. Idempotent.
  void Stop();

  // Where things are and what to try; only after Start.
  std::string Summary() const;

 private:
  // Saldo's own ports on 127.0.0.1.
  struct Ports {
    int grpc = 8082;
    int server_status = 8000;
    int server_metrics = 9100;
    int retranslator_status = 8001;
    int retranslator_metrics = 9101;
  };
  struct Program {
    const char* name;
    std::vector<std::string> arguments;
    int status_port;
    std::unique_ptr<devstack::ChildProcess> child;
  };

  absl::Status TakeFolder();
  absl::Status StartPostgres();
  absl::Status CreateDatabases();
  // Where Saldo's programs find their databases.
  std::string DatabaseFlag() const;
  absl::Status StartKafka();
  absl::Status StartMockBroker();
  absl::Status ChoosePorts();
  void AddPrograms();
  absl::Status CreateTopics() const;
  absl::Status Migrate();
  absl::Status StartProgram(Program& program);
  absl::Status StartJaeger();
  absl::Status StartPrometheus();
  absl::Status AwaitAnswer(const Program& program) const;

  // Commands to paste, one a line.
  std::string FirstCalls() const;
  std::string OperatorCalls(const std::string& self) const;
  std::string ShardCalls(const std::string& self, const std::string& call,
                         const std::string& now) const;
  std::string TraceCalls() const;
  // A line for each database.
  std::string DatabaseLines() const;
  // A line for each of those that observe.
  std::string ObserverLines() const;

  std::string LogFile(const std::string& name) const;
  // Says what begins, does it, and says how long it took.
  absl::Status Step(const std::string& what, absl::FunctionRef<absl::Status()> work) const;

  const StackOptions options_;
  const runtime::StopSignal* const interrupt_;

  std::optional<devstack::FolderLock> lock_;
  std::unique_ptr<devstack::PostgresCluster> postgres_;
  std::unique_ptr<devstack::KafkaBroker> kafka_;
  std::unique_ptr<devstack::ChildProcess> mock_broker_;
  std::string dsn_;              // of the only database
  shards::ShardsConfig shards_;  // of several
  std::string shards_file_;      // which lists them
  std::string brokers_;
  Ports ports_;
  std::unique_ptr<devstack::JaegerServer> jaeger_;
  std::vector<Program> programs_;  // in the order of their start
  std::unique_ptr<devstack::PrometheusServer> prometheus_;
};

}  // namespace saldo::cli
