#include "tests/system/stack.h"

#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "common/devstack/loopback.h"

namespace saldo::testing {
namespace {

constexpr absl::Duration kStartTimeout = absl::Seconds(60);

[[noreturn]] void Give(const std::string& what) {
  std::fprintf(stderr, "%s\n", what.c_str());
  std::abort();
}

template <typename T>
T Must(absl::StatusOr<T> value) {
  if (!value.ok()) Give(value.status().ToString());
  return *std::move(value);
}

void Must(const absl::Status& status) {
  if (!status.ok()) Give(status.ToString());
}

std::string Sibling(const std::string& name) {
  return std::filesystem::read_symlink("/proc/self/exe").parent_path() / name;
}

void AwaitReady(int status_port, const devstack::ChildProcess& process) {
  const bool ready = Eventually(kStartTimeout, [&] {
    const auto answer = devstack::HttpGet(status_port, "/ready", absl::Seconds(2));
    return (answer.ok() && answer->code == 200) || !process.running();
  });
  if (!ready || !process.running())
    Give(absl::StrCat(process.name(), " does not start:\n", process.LogTail(40)));
}

std::string Page(int port) {
  const auto answer = devstack::HttpGet(port, "/metrics", absl::Seconds(5));
  return answer.ok() ? answer->body : "";
}

}  // namespace

Stack::Stack(std::vector<std::pair<std::string, std::string>> env) : env_(std::move(env)) {
  for (int* port :
       {&grpc_port_, &server_metrics_port_, &server_status_port_, &relay_metrics_ports_[0],
        &relay_metrics_ports_[1], &relay_status_ports_[0], &relay_status_ports_[1]}) {
    *port = Must(devstack::FreePort());
  }
  postgres_ =
      Must(devstack::PostgresCluster::Start({.dir = dir_.File("postgres"), .durable = true}));
  kafka_ = Must(devstack::KafkaBroker::Start({.dir = dir_.File("kafka")}));
  Must(postgres_->CreateDatabase(kDatabase));
  Must(devstack::RunCommand({.argv = {Sibling("saldo"), "migrate", "up",
                                      absl::StrCat("--postgres.dsn=", postgres_->dsn(kDatabase))}},
                            kStartTimeout)
           .status());
  StartServer();
  for (int i = 0; i < kRelays; ++i) StartRelay(i);
}

std::unique_ptr<devstack::ChildProcess> Stack::Spawn(const std::string& name,
                                                     std::vector<std::string> flags) {
  flags.insert(flags.begin(), Sibling(name));
  flags.push_back(absl::StrCat("--postgres.dsn=", postgres_->dsn(kDatabase)));
  flags.insert(flags.end(), {"--metrics.address=127.0.0.1", "--status.address=127.0.0.1"});
  return Must(devstack::ChildProcess::Start(
      {.argv = std::move(flags), .env = env_, .log_file = dir_.File(name + ".log")}));
}

void Stack::StartServer() {
  server_ =
      Spawn("saldo-server", {"--grpc.address=127.0.0.1", absl::StrCat("--grpc.port=", grpc_port_),
                             absl::StrCat("--metrics.port=", server_metrics_port_),
                             absl::StrCat("--status.port=", server_status_port_)});
  AwaitReady(server_status_port_, *server_);
}

void Stack::StartRelay(int index) {
  relays_[index] =
      Spawn("saldo-retranslator", {absl::StrCat("--kafka.brokers=", kafka_->bootstrap_servers()),
                                   absl::StrCat("--metrics.port=", relay_metrics_ports_[index]),
                                   absl::StrCat("--status.port=", relay_status_ports_[index])});
  AwaitReady(relay_status_ports_[index], *relays_[index]);
}

void Stack::KillServer() {
  server_->Stop(absl::ZeroDuration(), SIGKILL);
  StartServer();
}

void Stack::RestartServer() {
  server_->Stop(absl::Seconds(30));
  StartServer();
}

void Stack::KillRelay(int index) {
  relays_[index]->Stop(absl::ZeroDuration(), SIGKILL);
  StartRelay(index);
}

std::string Stack::ServerMetrics() const { return Page(server_metrics_port_); }
std::string Stack::RelayMetrics(int index) const { return Page(relay_metrics_ports_[index]); }

bool Stack::Drained() const {
  const auto answer =
      postgres_->Query(kDatabase,
                       "SELECT c.seq = s.last_seq AND NOT EXISTS (SELECT FROM batches WHERE "
                       "batch_id > s.scanned_to OR batch_id = ANY (s.gaps)) "
                       "FROM cursors c, sequencer s WHERE c.consumer = 'relay'");
  return answer.ok() && *answer == "t";
}

}  // namespace saldo::testing
