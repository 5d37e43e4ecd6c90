#include "common/devstack/child_process.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <map>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "common/base/status_macros.h"
#include "common/devstack/launch.h"

namespace saldo::devstack {
namespace {

constexpr absl::Duration kDestructorGrace = absl::Seconds(5);
constexpr off_t kTailBytes = 32 * 1024;

std::vector<std::string> Environment(
    const std::vector<std::pair<std::string, std::string>>& changes) {
  std::map<std::string, std::string> all;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::pair<std::string, std::string> pair =
        absl::StrSplit(*entry, absl::MaxSplits('=', 1));
    all[pair.first] = pair.second;
  }
  for (const auto& [key, value] : changes) all[key] = value;
  std::vector<std::string> lines;
  lines.reserve(all.size());
  for (const auto& [key, value] : all) lines.push_back(absl::StrCat(key, "=", value));
  return lines;
}

std::string ReadFrom(int fd, off_t start) {
  struct stat info;
  if (fstat(fd, &info) != 0) return "";
  std::string text(std::max<off_t>(0, info.st_size - start), '\0');
  const ssize_t got = pread(fd, text.data(), text.size(), start);
  text.resize(std::max<ssize_t>(0, got));
  return text;
}

}  // namespace

std::string ChildExit::ToString() const {
  if (signal != 0) return absl::StrCat("signal ", signal, " (", strsignal(signal), ")");
  return absl::StrCat("exit code ", code);
}

std::string LastLines(const std::string& whole, int lines) {
  const absl::string_view text = absl::StripTrailingAsciiWhitespace(whole);
  size_t at = text.size();
  for (int i = 0; i < lines; ++i) {
    if (at == 0) return std::string(text);
    at = text.rfind('\n', at - 1);
    if (at == absl::string_view::npos) return std::string(text);
  }
  return std::string(text.substr(at + 1));
}

absl::StatusOr<std::string> FindProgram(const std::string& name) {
  if (name.find('/') != std::string::npos) return name;
  const char* path = std::getenv("PATH");
  for (absl::string_view folder :
       absl::StrSplit(path == nullptr ? "/usr/local/bin:/usr/bin:/bin" : path, ':')) {
    std::string candidate = absl::StrCat(folder.empty() ? "." : folder, "/", name);
    if (access(candidate.c_str(), X_OK) == 0) return candidate;
  }
  return absl::NotFoundError(absl::StrCat("there is no program '", name, "' in PATH"));
}

ChildProcess::ChildProcess(ChildOptions options, int output_fd)
    : options_(std::move(options)), output_fd_(output_fd) {}

absl::StatusOr<std::unique_ptr<ChildProcess>> ChildProcess::Start(ChildOptions options) {
  return StartWithOutput(std::move(options), -1);
}

absl::StatusOr<std::unique_ptr<ChildProcess>> ChildProcess::StartWithOutput(ChildOptions options,
                                                                            int output_fd) {
  if (options.argv.empty()) return absl::InvalidArgumentError("a child process needs a program");
  SALDO_ASSIGN_OR_RETURN(std::string program, FindProgram(options.argv[0]));
  if (options.name.empty()) options.name = program.substr(program.rfind('/') + 1);
  std::unique_ptr<ChildProcess> child(new ChildProcess(std::move(options), output_fd));
  ChildProcess* self = child.get();
  child->thread_ =
      runtime::Thread("wait-" + child->options_.name, [self, program] { self->Run(program); });
  absl::MutexLock lock(&self->mutex_, absl::Condition(self, &ChildProcess::StartedOrFailed));
  if (!self->start_error_.ok()) return self->start_error_;
  return child;
}

void ChildProcess::Run(std::string program) {
  LaunchPlan plan;
  plan.program = std::move(program);
  plan.argv = options_.argv;
  plan.env = Environment(options_.env);
  plan.directory = options_.directory;
  plan.death_signal = options_.death_signal;
  plan.pass_private_folders = options_.pass_private_folders;
  plan.output_fd = output_fd_;
  absl::Status planned;
  if (!options_.run_as.empty() && geteuid() == 0) planned = PlanUser(options_.run_as, plan);
  int log_fd = -1;
  if (planned.ok() && output_fd_ < 0 && !options_.log_file.empty()) {
    log_fd = open(options_.log_file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (log_fd < 0) planned = absl::ErrnoToStatus(errno, "cannot open " + options_.log_file);
    log_start_ = log_fd < 0 ? 0 : lseek(log_fd, 0, SEEK_END);
    plan.output_fd = log_fd;
  }
  const absl::StatusOr<pid_t> launched =
      planned.ok() ? Launch(plan) : absl::StatusOr<pid_t>(planned);
  if (log_fd >= 0) close(log_fd);
  {
    absl::MutexLock lock(&mutex_);
    if (!launched.ok()) {
      start_error_ = launched.status();
      return;
    }
    pid_ = *launched;
  }
  siginfo_t info;
  // Without reaping: until the lock is held the pid stays ours, so nobody signals a stranger.
  while (waitid(P_PID, *launched, &info, WEXITED | WNOWAIT) < 0 && errno == EINTR) {
  }
  kill(-*launched, SIGKILL);
  absl::MutexLock lock(&mutex_);
  int status = 0;
  while (waitpid(*launched, &status, 0) < 0 && errno == EINTR) {
  }
  exit_ = WIFSIGNALED(status) ? ChildExit{0, WTERMSIG(status)} : ChildExit{WEXITSTATUS(status), 0};
}

ChildProcess::~ChildProcess() {
  bool started;
  {
    absl::MutexLock lock(&mutex_);
    started = pid_ != 0;
  }
  if (started) Stop(kDestructorGrace);
  thread_.Join();
}

pid_t ChildProcess::pid() const {
  absl::MutexLock lock(&mutex_);
  return pid_;
}

bool ChildProcess::running() const { return !exit().has_value(); }

std::optional<ChildExit> ChildProcess::exit() const {
  absl::MutexLock lock(&mutex_);
  return exit_;
}

absl::Status ChildProcess::Signal(int signal) {
  absl::MutexLock lock(&mutex_);
  if (exit_.has_value()) {
    return absl::FailedPreconditionError(
        absl::StrCat(options_.name, " has already ended with ", exit_->ToString()));
  }
  if (kill(pid_, signal) != 0) return absl::ErrnoToStatus(errno, "kill " + options_.name);
  return absl::OkStatus();
}

absl::StatusOr<ChildExit> ChildProcess::Wait(absl::Duration timeout) const {
  absl::MutexLock lock(&mutex_);
  if (!mutex_.AwaitWithTimeout(absl::Condition(this, &ChildProcess::Ended), timeout)) {
    return absl::DeadlineExceededError(absl::StrCat(options_.name, " still runs"));
  }
  return *exit_;
}

ChildExit ChildProcess::Stop(absl::Duration grace, int signal) {
  // A child that ended meanwhile makes Signal fail, which is as good.
  Signal(signal).IgnoreError();
  if (signal != SIGKILL && signal != SIGSTOP) Signal(SIGCONT).IgnoreError();
  if (absl::StatusOr<ChildExit> ended = Wait(grace); ended.ok()) return *ended;
  Signal(SIGKILL).IgnoreError();
  return *Wait(absl::InfiniteDuration());
}

std::string ChildProcess::LogTail(int lines) const {
  if (options_.log_file.empty()) return "";
  const int fd = open(options_.log_file.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return "";
  struct stat info = {};
  fstat(fd, &info);
  const std::string text = ReadFrom(fd, std::max(log_start_, info.st_size - kTailBytes));
  close(fd);
  return LastLines(text, lines);
}

absl::StatusOr<std::string> RunCommand(ChildOptions options, absl::Duration timeout,
                                       const runtime::StopSignal* interrupt) {
  constexpr absl::Duration kInterruptPoll = absl::Milliseconds(20);
  constexpr absl::Duration kGrace = absl::Seconds(2);
  const int output = memfd_create("output", MFD_CLOEXEC);
  if (output < 0) return absl::ErrnoToStatus(errno, "memfd_create");
  const auto closed = [output](auto result) {
    close(output);
    return result;
  };
  auto child = ChildProcess::StartWithOutput(std::move(options), output);
  if (!child.ok()) return closed(child.status());
  const absl::Time deadline = absl::Now() + timeout;
  absl::StatusOr<ChildExit> ended;
  do {
    ended = (*child)->Wait(interrupt == nullptr ? timeout
                                                : std::min(kInterruptPoll, deadline - absl::Now()));
  } while (!ended.ok() && absl::Now() < deadline &&
           (interrupt == nullptr || !interrupt->stopped()));
  const std::string& name = (*child)->name();
  if (!ended.ok()) {
    (*child)->Stop(kGrace);
    const bool stopped = interrupt != nullptr && interrupt->stopped();
    return closed(stopped ? absl::CancelledError(name + " was interrupted")
                          : absl::DeadlineExceededError(absl::StrCat(
                                name, " did not end within ", absl::FormatDuration(timeout))));
  }
  std::string text = ReadFrom(output, 0);
  close(output);
  if (ended->ok()) return text;
  return absl::InternalError(
      absl::StrCat(name, " failed with ", ended->ToString(), ":\n", LastLines(text, 10)));
}

}  // namespace saldo::devstack
