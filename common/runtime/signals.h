// How a process learns that it should end: its main thread waits for a signal.
#pragma once

#include <csignal>
#include <optional>
#include <string_view>

#include "absl/time/time.h"

namespace saldo::runtime {

// Make one at the start of main, before any thread: threads inherit the blocked signals, so that
// only Wait gets them. SIGPIPE is ignored from then on. Programs that this process starts inherit
// both; who starts them resets their signals.
class Signals {
 public:
  Signals();
  // Restores the signal mask that main had.
  ~Signals();
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;

  // Waits for SIGINT, SIGTERM or SIGHUP and returns its number.
  int Wait();
  // As Wait; nothing when none came within `timeout`.
  std::optional<int> WaitFor(absl::Duration timeout);

  // Call before the ordered stop: from then on another SIGINT or SIGTERM ends the process at once,
  // so that a stop that hangs can be cut short.
  void LetNextOneKill();

  // "SIGTERM"
  static std::string_view Name(int signal);

 private:
  sigset_t handled_;
  sigset_t previous_;
};

// Ends Signals::Wait as SIGTERM does, for a part of the process that cannot go on. From any thread.
void RequestStop();

}  // namespace saldo::runtime
