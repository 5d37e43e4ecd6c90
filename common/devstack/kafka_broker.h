// A private single-node Apache Kafka 3.9.1 (KRaft) in a folder of its own, for development, tests
// and benchmarks.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/devstack/child_process.h"
#include "common/runtime/stop_signal.h"

namespace saldo::devstack {

struct KafkaOptions {
  std::string dir = "";   // made when it does not exist; topics that are in it already are kept
  std::string libs = "";  // the folder of the broker's jars; empty: DefaultKafkaLibs()
  int port = 0;           // on 127.0.0.1; 0 takes a free one
  bool auto_create_topics = true;
  int default_partitions = 3;
  int heap_mb = 512;
  std::map<std::string, std::string> properties = {};  // on top of those made here
  std::string log_file = "";                           // empty: kafka.log in `dir`
  absl::Duration start_timeout = absl::Seconds(90);
  const runtime::StopSignal* interrupt = nullptr;  // stopping it ends a wait for the start
};

// $SALDO_KAFKA_LIBS, else saldo/kafka-3.9.1 in $XDG_CACHE_HOME or ~/.cache.
std::string DefaultKafkaLibs();

// OK when java and the jars are there; else NOT_FOUND with what to do about it.
absl::Status CheckKafkaInstalled(const std::string& libs = DefaultKafkaLibs());

// Not thread-safe.
class KafkaBroker {
 public:
  // Returns once the broker serves clients.
  static absl::StatusOr<std::unique_ptr<KafkaBroker>> Start(KafkaOptions options);

  KafkaBroker(const KafkaBroker&) = delete;
  KafkaBroker& operator=(const KafkaBroker&) = delete;
  ~KafkaBroker() { Stop(); }

  std::string bootstrap_servers() const;
  int port() const { return options_.port; }
  const std::string& log_file() const { return options_.log_file; }
  bool running() const { return server_ != nullptr && server_->running(); }
  // The server process, for messages about its end; null before the first start.
  const ChildProcess* process() const { return server_.get(); }

  // Orderly; idempotent.
  void Stop();
  // SIGKILL; what producers were told is stored survives, as the kernel keeps its buffers.
  void Kill();
  // Stops it if it runs, and starts it on the same port and data. After Kill it takes some seconds
  // more, until the controller has given up the broker's former life.
  absl::Status Restart();
  // Freezes the process, so that clients see a server that does not answer, and lets it go on.
  absl::Status Pause();
  absl::Status Continue();

 private:
  explicit KafkaBroker(KafkaOptions options) : options_(std::move(options)) {}

  absl::Status Prepare();
  absl::Status WriteConfiguration();
  absl::Status StartServer();
  absl::Status AwaitReady();

  KafkaOptions options_;
  int controller_port_ = 0;
  std::unique_ptr<ChildProcess> server_;
};

}  // namespace saldo::devstack
