#include "common/runtime/signals.h"

#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "absl/time/clock.h"

namespace saldo::runtime {

Signals::Signals() {
  sigemptyset(&handled_);
  for (int signal : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&handled_, signal);
  pthread_sigmask(SIG_BLOCK, &handled_, &previous_);
  // A peer that went away is an error of that write, not the end of the process.
  std::signal(SIGPIPE, SIG_IGN);
}

Signals::~Signals() { pthread_sigmask(SIG_SETMASK, &previous_, nullptr); }

int Signals::Wait() {
  int signal = 0;
  while (sigwait(&handled_, &signal) != 0) {
  }
  return signal;
}

std::optional<int> Signals::WaitFor(absl::Duration timeout) {
  const absl::Time deadline = absl::Now() + timeout;
  while (true) {
    const absl::Duration left = std::max(deadline - absl::Now(), absl::ZeroDuration());
    const timespec wait = absl::ToTimespec(left);
    const int signal = sigtimedwait(&handled_, nullptr, &wait);
    if (signal > 0) return signal;
    if (errno != EINTR) return std::nullopt;
  }
}

void Signals::LetNextOneKill() {
  sigset_t killing;
  sigemptyset(&killing);
  for (int signal : {SIGINT, SIGTERM}) {
    std::signal(signal, SIG_DFL);
    sigaddset(&killing, signal);
  }
  pthread_sigmask(SIG_UNBLOCK, &killing, nullptr);
}

std::string_view Signals::Name(int signal) {
  switch (signal) {
    case SIGINT:
      return "SIGINT";
    case SIGTERM:
      return "SIGTERM";
    case SIGHUP:
      return "SIGHUP";
    default:
      return "unknown signal";
  }
}

void RequestStop() { kill(getpid(), SIGTERM); }

}  // namespace saldo::runtime
