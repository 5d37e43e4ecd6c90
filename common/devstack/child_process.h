// A program run as a child that never outlives its owner: stopped by the destructor, and killed by
// the kernel when this process dies.
#pragma once

#include <sys/types.h>

#include <csignal>
#include <memory>
#include <optional>
#include <string>

#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/runtime/stop_signal.h"
#include "common/runtime/thread.h"

namespace saldo::devstack {

struct ChildOptions {
  std::string name = "";               // for messages; empty means the last part of argv[0]
  std::vector<std::string> argv = {};  // argv[0] is looked up in PATH when it holds no slash
  std::vector<std::pair<std::string, std::string>> env = {};  // on top of this process's own
  std::string directory = "";  // working directory; empty: the parent's
  std::string log_file = "";   // receives stdout and stderr, appended; empty: /dev/null

  // The user to become, only when this process is root; empty: stay. PostgreSQL refuses root.
  std::string run_as = "";
  // With run_as: lets the child pass through folders that only root may enter (a clone under
  // /root), where the kernel grants it. Without it such a folder is an error of the child.
  bool pass_private_folders = false;

  // What the kernel sends the child when this process dies, however it dies.
  int death_signal = SIGKILL;
};

// How a program ended.
struct ChildExit {
  int code = 0;    // the exit code, when signal is 0
  int signal = 0;  // the signal that ended it, or 0

  bool ok() const { return code == 0 && signal == 0; }
  std::string ToString() const;  // "exit code 1", "signal 9 (Killed)"
};

// Thread-safe. A thread of its own starts the child and waits for it: the kernel's "parent died"
// signal fires when the starting *thread* ends, so that thread must live as long as the child.
class ChildProcess {
 public:
  // Returns once the program runs. NOT_FOUND when there is no such program or user,
  // INTERNAL when it cannot be run.
  static absl::StatusOr<std::unique_ptr<ChildProcess>> Start(ChildOptions options);

  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;
  // Stop with a grace of five seconds.
  ~ChildProcess();

  const std::string& name() const { return options_.name; }
  const std::string& log_file() const { return options_.log_file; }
  // Stays the same after the end.
  pid_t pid() const;
  bool running() const;
  // How it ended; nothing while it runs.
  std::optional<ChildExit> exit() const;

  // FAILED_PRECONDITION when the child has ended.
  absl::Status Signal(int signal);
  // Waits for the end. DEADLINE_EXCEEDED when the child still runs after `timeout`.
  absl::StatusOr<ChildExit> Wait(absl::Duration timeout) const;
  // Sends `signal`, waits up to `grace`, then SIGKILL. Whatever is left of the child's process
  // group is killed when the child ends. Idempotent.
  ChildExit Stop(absl::Duration grace, int signal = SIGTERM);

  // The last lines that this run of the program wrote to its log; "" without one.
  std::string LogTail(int lines = 15) const;

 private:
  friend absl::StatusOr<std::string> RunCommand(ChildOptions, absl::Duration,
                                                const runtime::StopSignal*);
  ChildProcess(ChildOptions options, int output_fd);

  static absl::StatusOr<std::unique_ptr<ChildProcess>> StartWithOutput(ChildOptions options,
                                                                       int output_fd);
  void Run(std::string program);
  bool StartedOrFailed() const ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
    return pid_ != 0 || !start_error_.ok();
  }
  bool Ended() const ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return exit_.has_value(); }

  const ChildOptions options_;
  const int output_fd_;  // -1: the log file; owned by the caller
  off_t log_start_ = 0;

  mutable absl::Mutex mutex_;
  pid_t pid_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Status start_error_ ABSL_GUARDED_BY(mutex_);
  std::optional<ChildExit> exit_ ABSL_GUARDED_BY(mutex_);
  runtime::Thread thread_;
};

// Runs a program to its end and returns what it wrote to stdout and stderr (`log_file` is not
// used). INTERNAL with the last lines of its output when it fails, DEADLINE_EXCEEDED after
// `timeout`, CANCELLED when `interrupt` is stopped; it is killed in the last two cases.
absl::StatusOr<std::string> RunCommand(ChildOptions options, absl::Duration timeout,
                                       const runtime::StopSignal* interrupt = nullptr);

// The full path of a program in PATH, or `name` itself when it holds a slash. NOT_FOUND.
absl::StatusOr<std::string> FindProgram(const std::string& name);

// The last `lines` lines of a text.
std::string LastLines(const std::string& whole, int lines);

}  // namespace saldo::devstack
