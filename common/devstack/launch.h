// The part of a child's start that runs between fork and exec. Internal to this folder.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace saldo::devstack {

// Everything looked up and allocated beforehand: after a fork in a program with threads only
// async-signal-safe calls are allowed.
struct LaunchPlan {
  std::string program;
  std::vector<std::string> argv;
  std::vector<std::string> env;  // "NAME=value", the whole environment
  std::string directory;         // empty: unchanged
  int output_fd = -1;            // becomes stdout and stderr; -1: /dev/null
  int death_signal = 0;

  bool change_user = false;
  uid_t uid = 0;
  gid_t gid = 0;
  std::vector<gid_t> groups;
  bool pass_private_folders = false;
};

// Fills in the user's part of the plan. NOT_FOUND when there is no such user.
absl::Status PlanUser(const std::string& user, LaunchPlan& plan);

// Forks and executes the plan; returns the pid once the program runs. The child gets
// plan.death_signal when the *calling thread* ends.
absl::StatusOr<pid_t> Launch(const LaunchPlan& plan);

}  // namespace saldo::devstack
