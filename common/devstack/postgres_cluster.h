// A private PostgreSQL 15 in a folder of its own, for development, tests and benchmarks.
#pragma once

#include <sys/types.h>

#include <map>
#include <memory>
#include <string>

#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/devstack/child_process.h"
#include "common/runtime/stop_signal.h"

namespace saldo::devstack {

struct PostgresOptions {
  std::string dir = "";  // made when it does not exist; a cluster that is in it already is kept
  int port = 0;          // on 127.0.0.1; 0 takes a free one
  bool durable = true;  // false: fsync off, faster, and lost when the machine (not the server) dies
  std::map<std::string, std::string> settings =
      {};                     // on top of those made here, as postgresql.conf's
  std::string log_file = "";  // empty: postgres.log in `dir`
  std::string bin_dir = "/usr/lib/postgresql/15/bin";
  absl::Duration start_timeout = absl::Seconds(60);
  const runtime::StopSignal* interrupt = nullptr;  // stopping it ends a wait for the start
};

// Superuser `saldo`, no passwords, reached over a Unix socket and 127.0.0.1. As root the server
// runs as the user `postgres`, who then owns the folder. Not thread-safe.
class PostgresCluster {
 public:
  enum class StopMode { kFast, kImmediate };

  // Returns once the server accepts connections. NOT_FOUND when PostgreSQL is not installed.
  static absl::StatusOr<std::unique_ptr<PostgresCluster>> Start(PostgresOptions options);

  PostgresCluster(const PostgresCluster&) = delete;
  PostgresCluster& operator=(const PostgresCluster&) = delete;
  // Stops the server: fast when durable, else immediate.
  ~PostgresCluster();

  // libpq's connection string over the Unix socket.
  std::string dsn(const std::string& database) const;
  // The same over 127.0.0.1.
  std::string tcp_dsn(const std::string& database) const;
  int port() const { return options_.port; }
  const std::string& socket_dir() const { return socket_dir_; }
  const std::string& log_file() const { return options_.log_file; }

  bool running() const { return server_ != nullptr && server_->running(); }
  // The server process, for messages about its end; null before the first start.
  const ChildProcess* process() const { return server_.get(); }

  // Idempotent.
  void Stop(StopMode mode = StopMode::kFast);
  // SIGKILL to the server and all its processes at once, as a power cut would (but for the
  // kernel's buffers); returns when they are gone, so that Restart works.
  void Kill();
  // Stops it if it runs, and starts it on the same port and data.
  absl::Status Restart();

  // The processes that serve clients now; only of one database when it is named.
  std::vector<pid_t> BackendPids(const std::string& database = "") const;

  // Database names are taken as they are, so letters, digits and underscores only.
  absl::Status CreateDatabase(const std::string& name, const std::string& from = "template1");
  // Ends the connections of others to it. No error when it does not exist.
  absl::Status DropDatabase(const std::string& name);
  // Runs one SQL command through psql and returns its rows, one a line without the
  // last one's end, columns parted by '|'.
  absl::StatusOr<std::string> Query(const std::string& database, const std::string& sql) const;

 private:
  explicit PostgresCluster(PostgresOptions options) : options_(std::move(options)) {}

  absl::Status Prepare();
  absl::Status InitData();
  absl::Status PlaceSocket();
  absl::Status StartServer();
  absl::Status AwaitReady();
  std::vector<pid_t> ServerProcesses() const;
  std::string UserOrEmpty() const;

  PostgresOptions options_;
  std::string data_dir_;
  std::string socket_dir_;
  bool own_socket_dir_ = false;        // made under /tmp by this object, removed by it
  bool pass_private_folders_ = false;  // see ChildOptions
  std::unique_ptr<ChildProcess> server_;
};

}  // namespace saldo::devstack
