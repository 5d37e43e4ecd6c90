#include "common/runtime/signals.h"

#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cerrno>

#include "common/runtime/thread.h"

namespace saldo::runtime {
namespace {

// Runs `body` in a process of its own, as signals belong to a process; returns how it ended.
template <typename Body>
int InChild(Body body) {
  const pid_t child = fork();
  if (child == 0) {
    alarm(20);  // a child that hangs ends by SIGALRM, which no test expects
    _exit(body());
  }
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return status;
}

TEST_CASE("Wait returns each handled signal, also one sent by another thread") {
  const int signal = GENERATE(SIGINT, SIGTERM, SIGHUP);
  const int status = InChild([signal] {
    Signals signals;
    Thread other("sender", [signal] { kill(getpid(), signal); });
    return signals.Wait() == signal ? 7 : 1;
  });
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 7);
}

TEST_CASE("WaitFor gives up, RequestStop ends a wait, a broken pipe is an error") {
  const int status = InChild([] {
    Signals signals;
    if (signals.WaitFor(absl::Milliseconds(10)).has_value()) return 1;
    RequestStop();
    if (signals.WaitFor(absl::Seconds(10)) != SIGTERM) return 2;
    int ends[2];
    if (pipe(ends) != 0) return 3;
    close(ends[0]);
    if (write(ends[1], "x", 1) != -1 || errno != EPIPE) return 4;
    return 7;
  });
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 7);
}

TEST_CASE("after LetNextOneKill another SIGINT ends the process") {
  const int status = InChild([] {
    Signals signals;
    kill(getpid(), SIGINT);
    signals.Wait();
    signals.LetNextOneKill();
    kill(getpid(), SIGINT);
    return 1;
  });
  CHECK(WIFSIGNALED(status));
  CHECK(WTERMSIG(status) == SIGINT);
}

TEST_CASE("names") {
  CHECK(Signals::Name(SIGTERM) == "SIGTERM");
  CHECK(Signals::Name(SIGUSR1) == "unknown signal");
}

}  // namespace
}  // namespace saldo::runtime
