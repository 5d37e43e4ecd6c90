#include "common/devstack/child_process.h"

#include <signal.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/devstack/files.h"
#include "tests/support/test_env.h"

namespace saldo::devstack {
namespace {

using saldo::testing::Eventually;
using saldo::testing::TempDir;

bool Alive(pid_t pid) {
  const std::string stat = ReadFile(absl::StrCat("/proc/", pid, "/stat")).value_or("");
  return !stat.empty() && !absl::StrContains(stat, ") Z ");
}

TEST_CASE("a child's exit code and signal are told apart") {
  auto failing = ChildProcess::Start({.argv = {"sh", "-c", "exit 3"}});
  REQUIRE(failing.ok());
  auto ended = (*failing)->Wait(absl::Seconds(10));
  REQUIRE(ended.ok());
  CHECK(ended->code == 3);
  CHECK(ended->signal == 0);
  CHECK_FALSE((*failing)->running());
  CHECK((*failing)->Signal(SIGTERM).code() == absl::StatusCode::kFailedPrecondition);

  auto sleeping = ChildProcess::Start({.argv = {"sleep", "600"}});
  REQUIRE(sleeping.ok());
  CHECK((*sleeping)->Wait(absl::Milliseconds(20)).status().code() ==
        absl::StatusCode::kDeadlineExceeded);
  REQUIRE((*sleeping)->Signal(SIGKILL).ok());
  ended = (*sleeping)->Wait(absl::Seconds(10));
  REQUIRE(ended.ok());
  CHECK(ended->signal == SIGKILL);
  CHECK(ended->ToString() == "signal 9 (Killed)");
}

TEST_CASE("a program that cannot run is an error of the start") {
  CHECK(ChildProcess::Start({.argv = {"no-such-program-here"}}).status().code() ==
        absl::StatusCode::kNotFound);
  const auto missing = ChildProcess::Start({.argv = {"/no/such/program"}});
  CHECK(absl::StrContains(missing.status().message(), "cannot start /no/such/program"));
  const auto nowhere = ChildProcess::Start({.argv = {"true"}, .directory = "/no/such/folder"});
  CHECK(absl::StrContains(nowhere.status().message(), "cannot enter its folder"));
  CHECK_FALSE(ChildProcess::Start({.argv = {}}).ok());
}

TEST_CASE("environment, working directory and log reach the child") {
  TempDir dir;
  for (int run = 1; run <= 2; ++run) {
    auto child = ChildProcess::Start({.argv = {"sh", "-c", "echo $GREETING; pwd; echo end >&2"},
                                      .env = {{"GREETING", absl::StrCat("hello ", run)}},
                                      .directory = dir.path(),
                                      .log_file = dir.File("log")});
    REQUIRE(child.ok());
    REQUIRE((*child)->Wait(absl::Seconds(10)).ok());
    // Only this run's lines, though the log is appended to.
    CHECK((*child)->LogTail() == absl::StrCat("hello ", run, "\n", dir.path(), "\nend"));
    CHECK((*child)->LogTail(1) == "end");
  }
  CHECK(absl::StrContains(*ReadFile(dir.File("log")), "hello 1"));
}

TEST_CASE("a child that ignores SIGTERM is killed after its grace, with its process group") {
  TempDir dir;
  auto child = ChildProcess::Start(
      {.argv = {"sh", "-c", "trap '' TERM; sleep 600 & echo $!; echo ready; wait; wait"},
       .log_file = dir.File("log")});
  REQUIRE(child.ok());
  REQUIRE(Eventually(absl::Seconds(10),
                     [&] { return absl::StrContains((*child)->LogTail(), "ready"); }));
  int grandchild = 0;
  const std::string log = (*child)->LogTail();
  REQUIRE(absl::SimpleAtoi(log.substr(0, log.find('\n')), &grandchild));
  REQUIRE(Alive(grandchild));

  const absl::Time before = absl::Now();
  const ChildExit ended = (*child)->Stop(absl::Milliseconds(100));
  CHECK(ended.signal == SIGKILL);
  CHECK(absl::Now() - before < absl::Seconds(5));
  CHECK(Eventually(absl::Seconds(10), [&] { return !Alive(grandchild); }));
  CHECK((*child)->Stop(absl::Seconds(1)).signal == SIGKILL);
}

TEST_CASE("a stopped (SIGSTOP) child still obeys Stop") {
  auto child = ChildProcess::Start({.argv = {"sleep", "600"}});
  REQUIRE(child.ok());
  REQUIRE((*child)->Signal(SIGSTOP).ok());
  CHECK((*child)->Stop(absl::Seconds(10)).signal == SIGTERM);
}

TEST_CASE("the destructor leaves no process behind") {
  pid_t pid = 0;
  {
    auto child = ChildProcess::Start({.argv = {"sleep", "600"}});
    REQUIRE(child.ok());
    pid = (*child)->pid();
    REQUIRE(Alive(pid));
  }
  CHECK(kill(pid, 0) != 0);
}

TEST_CASE("a child dies when its parent is killed") {
  TempDir dir;
  auto parent = ChildProcess::Start(
      {.argv = {*SiblingProgram("saldo_test_parent")}, .log_file = dir.File("log")});
  REQUIRE(parent.ok());
  int pid = 0;
  REQUIRE(
      Eventually(absl::Seconds(20), [&] { return absl::SimpleAtoi((*parent)->LogTail(), &pid); }));
  REQUIRE(Alive(pid));
  (*parent)->Stop(absl::ZeroDuration(), SIGKILL);
  CHECK(Eventually(absl::Seconds(10), [&] { return !Alive(pid); }));
}

TEST_CASE("a program can be run as another user by root") {
  if (geteuid() != 0) {
    SUCCEED("only root can change the user; the option is then ignored");
    CHECK(*RunCommand({.argv = {"id", "-u"}, .run_as = "nobody"}, absl::Seconds(10)) ==
          absl::StrCat(geteuid(), "\n"));
    return;
  }
  CHECK(*RunCommand({.argv = {"id", "-un"}, .run_as = "nobody"}, absl::Seconds(10)) == "nobody\n");
  const auto stranger =
      RunCommand({.argv = {"id"}, .run_as = "no-such-user-here"}, absl::Seconds(10));
  CHECK(stranger.status().code() == absl::StatusCode::kNotFound);
}

TEST_CASE("RunCommand returns the output, or an error that shows it") {
  CHECK(*RunCommand({.argv = {"echo", "hello"}}, absl::Seconds(10)) == "hello\n");
  const auto failed =
      RunCommand({.argv = {"sh", "-c", "echo broken >&2; exit 2"}}, absl::Seconds(10));
  CHECK(failed.status().code() == absl::StatusCode::kInternal);
  CHECK(absl::StrContains(failed.status().message(), "exit code 2"));
  CHECK(absl::StrContains(failed.status().message(), "broken"));
  CHECK(RunCommand({.argv = {"sleep", "600"}}, absl::Milliseconds(50)).status().code() ==
        absl::StatusCode::kDeadlineExceeded);
  runtime::StopSignal interrupt;
  interrupt.Stop();
  CHECK(RunCommand({.argv = {"sleep", "600"}}, absl::Seconds(60), &interrupt).status().code() ==
        absl::StatusCode::kCancelled);
}

TEST_CASE("LastLines") {
  CHECK(LastLines("", 3).empty());
  CHECK(LastLines("a\nb\nc\n", 2) == "b\nc");
  CHECK(LastLines("a\nb", 5) == "a\nb");
}

}  // namespace
}  // namespace saldo::devstack
