#include "common/devstack/http_ready.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/devstack/loopback.h"

namespace saldo::devstack {
namespace {

constexpr absl::Duration kPoll = absl::Milliseconds(30);
constexpr absl::Duration kCallTimeout = absl::Seconds(10);
constexpr int kPortTries = 3;

}  // namespace

absl::Status AwaitHttp(const ChildProcess& server, const HttpReady& ready) {
  const absl::Time deadline = absl::Now() + ready.timeout;
  while (absl::Now() < deadline) {
    if (ready.interrupt != nullptr && ready.interrupt->stopped())
      return absl::CancelledError(absl::StrCat("the start of ", server.name(), " was interrupted"));
    // Another program may answer on a port that this one could not get.
    const absl::StatusOr<HttpAnswer> answer = HttpGet(ready.port, ready.path, kCallTimeout);
    if (absl::StatusOr<ChildExit> ended = server.Wait(kPoll); ended.ok()) {
      return absl::UnavailableError(absl::StrCat(server.name(), " ended with ", ended->ToString(),
                                                 "; the end of ", server.log_file(), ":\n",
                                                 server.LogTail(40)));
    }
    if (answer.ok() && answer->code == 200) return absl::OkStatus();
  }
  return absl::DeadlineExceededError(
      absl::StrCat(server.name(), " is not ready; see ", server.log_file()));
}

absl::Status StartOnFreePorts(absl::FunctionRef<absl::Status()> start) {
  absl::Status started;
  for (int i = 0; i < kPortTries; ++i) {
    started = start();
    if (started.ok() || !absl::StrContains(started.message(), "address already in use")) break;
  }
  return started;
}

}  // namespace saldo::devstack
