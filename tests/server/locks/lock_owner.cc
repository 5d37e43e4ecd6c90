// An owner of a lock, as a process of its own that a test can pause: takes the lock, writes once,
// waits until it is told to go on, and writes again in the belief that it still has the lock.
//
//   lock_owner ADDRESS FOLDER
//
// Leaves what became of both writes in FOLDER/first and FOLDER/second, and goes on when FOLDER/go
// is there.
#include <cstdio>
#include <string>

#include "common/devstack/files.h"
#include "common/runtime/stop_signal.h"
#include "tests/server/locks/owner_calls.h"

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  const std::string folder = argv[2];
  saldo::testing::OwnerCalls calls(argv[1]);
  const auto token = calls.Acquire("paused", 1);
  if (!token.ok()) {
    std::fprintf(stderr, "%s\n", token.status().ToString().c_str());
    return 1;
  }
  const auto write = [&](const std::string& name) {
    return saldo::devstack::WriteFile(folder + "/" + name, calls.Write(name, *token)).ok();
  };
  if (!write("first")) return 1;
  saldo::runtime::StopSignal pause;
  while (!saldo::devstack::ReadFile(folder + "/go").ok()) pause.WaitFor(absl::Milliseconds(10));
  return write("second") ? 0 : 1;
}
