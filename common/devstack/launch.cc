#include "common/devstack/launch.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstring>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace saldo::devstack {
namespace {

// What the child reports through the pipe when it cannot become the program.
struct Failure {
  int step;
  int error;
};
constexpr const char* kSteps[] = {"enter its folder", "redirect its output", "change the user",
                                  "tie its life to this process", "execute it"};
enum Step { kDirectory, kOutput, kUser, kDeathSignal, kExec };

[[noreturn]] void Fail(int pipe_fd, Step step) {
  const Failure failure{step, errno};
  // A pipe takes this few bytes whole; nobody could be told if it did not.
  [[maybe_unused]] const ssize_t written = write(pipe_fd, &failure, sizeof(failure));
  _exit(127);
}

// Keeps CAP_DAC_OVERRIDE through the change of user and the exec. Best effort: without it the
// program itself reports the folder that it cannot enter.
void KeepFolderAccess() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2] = {};
  constexpr uint32_t kBit = 1u << CAP_DAC_OVERRIDE;
  data[0].effective = data[0].permitted = data[0].inheritable = kBit;
  if (syscall(SYS_capset, &header, data) == 0) {
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_DAC_OVERRIDE, 0, 0);
  }
}

bool ChangeUser(const LaunchPlan& plan) {
  if (plan.pass_private_folders) prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0);
  if (setgroups(plan.groups.size(), plan.groups.data()) != 0) return false;
  if (setresgid(plan.gid, plan.gid, plan.gid) != 0) return false;
  if (setresuid(plan.uid, plan.uid, plan.uid) != 0) return false;
  if (plan.pass_private_folders) KeepFolderAccess();
  return true;
}

void ResetSignals() {
  struct sigaction action = {};
  action.sa_handler = SIG_DFL;
  for (int signal = 1; signal < NSIG; ++signal) sigaction(signal, &action, nullptr);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
}

[[noreturn]] void BecomeProgram(const LaunchPlan& plan, char* const* argv, char* const* env,
                                pid_t parent, int pipe_fd) {
  ResetSignals();
  setpgid(0, 0);
  if (!plan.directory.empty() && chdir(plan.directory.c_str()) != 0) Fail(pipe_fd, kDirectory);
  const int null_fd = open("/dev/null", O_RDWR);
  const int output = plan.output_fd >= 0 ? plan.output_fd : null_fd;
  if (null_fd < 0 || dup2(null_fd, 0) < 0 || dup2(output, 1) < 0 || dup2(output, 2) < 0) {
    Fail(pipe_fd, kOutput);
  }
  if (plan.change_user && !ChangeUser(plan)) Fail(pipe_fd, kUser);
  // After the change of user, which clears it. The parent may have died before.
  if (prctl(PR_SET_PDEATHSIG, plan.death_signal) != 0) Fail(pipe_fd, kDeathSignal);
  if (getppid() != parent) _exit(127);
  syscall(SYS_close_range, 3u, ~0u, CLOSE_RANGE_CLOEXEC);
  execve(plan.program.c_str(), argv, env);
  Fail(pipe_fd, kExec);
}

std::vector<char*> Pointers(const std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  pointers.reserve(strings.size() + 1);
  for (const std::string& s : strings) pointers.push_back(const_cast<char*>(s.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

}  // namespace

absl::Status PlanUser(const std::string& user, LaunchPlan& plan) {
  constexpr size_t kBufferBytes = 16384;
  std::vector<char> buffer(kBufferBytes);
  passwd entry;
  passwd* found = nullptr;
  if (getpwnam_r(user.c_str(), &entry, buffer.data(), buffer.size(), &found) != 0 ||
      found == nullptr) {
    return absl::NotFoundError(absl::StrCat("there is no user '", user, "' on this machine"));
  }
  int count = 64;
  plan.groups.resize(count);
  if (getgrouplist(user.c_str(), entry.pw_gid, plan.groups.data(), &count) < 0) {
    return absl::InternalError(absl::StrCat("user '", user, "' is in too many groups"));
  }
  plan.groups.resize(count);
  plan.uid = entry.pw_uid;
  plan.gid = entry.pw_gid;
  plan.change_user = true;
  return absl::OkStatus();
}

absl::StatusOr<pid_t> Launch(const LaunchPlan& plan) {
  const std::vector<char*> argv = Pointers(plan.argv);
  const std::vector<char*> env = Pointers(plan.env);
  int pipe_fds[2];
  if (pipe2(pipe_fds, O_CLOEXEC) != 0) return absl::ErrnoToStatus(errno, "pipe");
  const pid_t parent = getpid();
  const pid_t pid = fork();
  if (pid == 0) BecomeProgram(plan, argv.data(), env.data(), parent, pipe_fds[1]);
  const int fork_error = errno;
  close(pipe_fds[1]);
  if (pid < 0) {
    close(pipe_fds[0]);
    return absl::ErrnoToStatus(fork_error, "fork");
  }
  Failure failure;
  ssize_t got;
  do {
    got = read(pipe_fds[0], &failure, sizeof(failure));
  } while (got < 0 && errno == EINTR);
  close(pipe_fds[0]);
  if (got != sizeof(failure)) return pid;
  while (waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
  }
  return absl::ErrnoToStatus(failure.error, absl::StrCat("cannot start ", plan.program, ": cannot ",
                                                         kSteps[failure.step]));
}

}  // namespace saldo::devstack
