// Starts `sleep 600` as a child, or as its grandchild does with PostgreSQL in the folder argv[1],
// writes the pid that it started, and waits to be killed.
#include <iostream>
#include <memory>

#include "absl/time/time.h"
#include "common/devstack/child_process.h"
#include "common/devstack/postgres_cluster.h"
#include "common/runtime/stop_signal.h"

int main(int argc, char** argv) {
  std::unique_ptr<saldo::devstack::ChildProcess> child;
  std::unique_ptr<saldo::devstack::PostgresCluster> cluster;
  if (argc > 1) {
    auto started = saldo::devstack::PostgresCluster::Start({.dir = argv[1], .durable = false});
    if (!started.ok()) return 1;
    cluster = *std::move(started);
    std::cout << cluster->process()->pid() << std::endl;
  } else {
    auto started = saldo::devstack::ChildProcess::Start({.argv = {"sleep", "600"}});
    if (!started.ok()) return 1;
    child = *std::move(started);
    std::cout << child->pid() << std::endl;
  }
  saldo::runtime::StopSignal never;
  never.WaitFor(absl::Minutes(5));
  return 0;
}
