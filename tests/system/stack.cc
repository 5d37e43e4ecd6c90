#include "tests/system/stack.h"

#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "common/devstack/files.h"
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

Stack::Stack(StackOptions options)
    : options_(std::move(options)),
      relays_(Place(options_.relays)),
      servers_(Place(options_.servers)) {
  for (std::vector<Program>* programs : {&relays_, &servers_}) {
    for (Program& program : *programs) {
      for (int* port : {&program.grpc_port, &program.metrics_port, &program.status_port})
        *port = Must(devstack::FreePort());
    }
  }
  for (int i = 0; i < options_.shards; ++i) {
    postgres_.push_back(Must(devstack::PostgresCluster::Start(
        {.dir = dir_.File(absl::StrCat("postgres", i)), .durable = true})));
    Must(postgres(i).CreateDatabase(kDatabase));
  }
  kafka_ = Must(devstack::KafkaBroker::Start({.dir = dir_.File("kafka")}));
  if (options_.shards == 2) {
    Must(devstack::WriteFile(
        dir_.File("shards.yaml"),
        absl::StrCat("shards:\n  - {name: a, from: '0', to: '7', dsn: \"",
                     postgres(0).dsn(kDatabase), "\"}\n  - {name: b, from: '8', to: 'f', dsn: \"",
                     postgres(1).dsn(kDatabase), "\"}\n")));
  }
  Must(Saldo({"migrate", "up"}).status());
  if (!options_.account_types.empty())
    Must(devstack::WriteFile(dir_.File("types.yaml"), options_.account_types));
  for (int i = 0; i < options_.servers; ++i) StartServer(i);
  for (int i = 0; i < options_.relays; ++i) StartRelay(i);
}

absl::StatusOr<std::string> Stack::Saldo(std::vector<std::string> arguments) const {
  arguments.insert(arguments.begin(), Sibling("saldo"));
  arguments.push_back(options_.shards == 1
                          ? absl::StrCat("--postgres.dsn=", postgres().dsn(kDatabase))
                          : absl::StrCat("--shards.file=", dir_.File("shards.yaml")));
  return devstack::RunCommand({.argv = std::move(arguments)}, kStartTimeout);
}

std::vector<std::string> Stack::DatabaseFlags() const {
  if (options_.shards == 1) return {absl::StrCat("--postgres.dsn=", postgres().dsn(kDatabase))};
  return {absl::StrCat("--config=", dir_.File("shards.yaml"))};
}

std::unique_ptr<devstack::ChildProcess> Stack::Spawn(const std::string& name,
                                                     const Program& program,
                                                     std::vector<std::string> flags) {
  flags.insert(flags.begin(), Sibling(name));
  for (std::string& flag : DatabaseFlags()) flags.push_back(std::move(flag));
  flags.insert(flags.end(), {"--metrics.address=127.0.0.1", "--status.address=127.0.0.1",
                             absl::StrCat("--metrics.port=", program.metrics_port),
                             absl::StrCat("--status.port=", program.status_port)});
  return Must(devstack::ChildProcess::Start(
      {.argv = std::move(flags), .env = options_.env, .log_file = dir_.File(name + ".log")}));
}

void Stack::StartServer(int index) {
  Program& server = servers_[Place(index)];
  std::vector<std::string> flags = options_.server_flags;
  flags.insert(flags.end(),
               {"--grpc.address=127.0.0.1", absl::StrCat("--grpc.port=", server.grpc_port)});
  if (!options_.account_types.empty())
    flags.push_back(absl::StrCat("--ledger.types_file=", dir_.File("types.yaml")));
  server.process = Spawn("saldo-server", server, std::move(flags));
  AwaitReady(server.status_port, *server.process);
}

void Stack::StartRelay(int index) {
  Program& relay = relays_[Place(index)];
  relay.process = Spawn("saldo-retranslator", relay,
                        {absl::StrCat("--kafka.brokers=", kafka_->bootstrap_servers())});
  AwaitReady(relay.status_port, *relay.process);
}

void Stack::KillServer(int index) {
  server(index).Stop(absl::ZeroDuration(), SIGKILL);
  StartServer(index);
}

void Stack::KillServers() {
  for (int i = 0; i < servers(); ++i) server(i).Signal(SIGKILL).IgnoreError();
  for (int i = 0; i < servers(); ++i) KillServer(i);
}

void Stack::RestartServer() {
  server().Stop(absl::Seconds(30));
  StartServer(0);
}

void Stack::KillRelay(int index) {
  relay(index).Stop(absl::ZeroDuration(), SIGKILL);
  StartRelay(index);
}

std::string Stack::ServerMetrics() const { return Page(servers_[0].metrics_port); }
devstack::HttpAnswer Stack::ServerReadiness() const {
  return Must(devstack::HttpGet(servers_[0].status_port, "/ready", absl::Seconds(5)));
}
std::string Stack::RelayMetrics(int index) const {
  return Page(relays_[Place(index)].metrics_port);
}

bool Stack::Drained() const {
  for (const auto& shard : postgres_) {
    const auto answer =
        shard->Query(kDatabase,
                     "SELECT c.seq = s.last_seq AND NOT EXISTS (SELECT FROM batches WHERE "
                     "batch_id > s.scanned_to OR batch_id = ANY (s.gaps)) "
                     "FROM cursors c, sequencer s WHERE c.consumer = 'relay'");
    if (!answer.ok() || *answer != "t") return false;
  }
  return true;
}

}  // namespace saldo::testing
