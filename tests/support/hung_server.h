// A PostgreSQL server that hangs, as one behind a network that swallows packets: connections are
// taken, and nothing is answered.
#pragma once

#include <sys/types.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <csignal>
#include <string>
#include <vector>

#include "common/devstack/files.h"
#include "common/devstack/postgres_cluster.h"

namespace saldo::testing {

// While it lives, or until Thaw. The cluster outlives it.
class HungServer {
 public:
  // `folder` is the cluster's.
  HungServer(const devstack::PostgresCluster& cluster, const std::string& folder) {
    const auto pid_file = devstack::ReadFile(folder + "/data/postmaster.pid");
    REQUIRE(pid_file.ok());
    // It first, so that it starts no backend which is not listed.
    Freeze(std::stoi(*pid_file));
    for (const pid_t pid : cluster.BackendPids()) Freeze(pid);
  }
  HungServer(const HungServer&) = delete;
  HungServer& operator=(const HungServer&) = delete;
  ~HungServer() { Thaw(); }

  void Thaw() {
    for (const pid_t pid : frozen_) kill(pid, SIGCONT);
    frozen_.clear();
  }

 private:
  void Freeze(pid_t pid) {
    if (kill(pid, SIGSTOP) == 0) {
      frozen_.push_back(pid);
    } else {
      const int error = errno;
      // A backend may have ended since it was listed. No REQUIRE: what is frozen must be thawed.
      CHECK(error == ESRCH);
    }
  }

  std::vector<pid_t> frozen_;
};

}  // namespace saldo::testing
