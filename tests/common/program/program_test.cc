// How signals reach a program, in processes of their own.
#include "common/program/program.h"

#include <catch2/catch.hpp>
#include <csignal>
#include <memory>
#include <string>
#include <vector>

#include "common/devstack/child_process.h"
#include "common/devstack/files.h"
#include "tests/support/capture_log.h"
#include "tests/support/test_env.h"

namespace saldo::program {
namespace {

constexpr absl::Duration kPatience = absl::Seconds(30);

struct RunningProgram {
  testing::TempDir folder;
  std::unique_ptr<devstack::ChildProcess> child;

  explicit RunningProgram(const std::vector<std::string>& flags) {
    devstack::ChildOptions options;
    options.argv = {*devstack::SiblingProgram("saldo_test_program")};
    options.argv.insert(options.argv.end(), flags.begin(), flags.end());
    options.log_file = folder.File("log");
    auto started = devstack::ChildProcess::Start(std::move(options));
    REQUIRE(started.ok());
    child = *std::move(started);
  }

  bool Logs(const std::string& line, int times = 1) const {
    return testing::Eventually(kPatience, [&] {
      const auto text = devstack::ReadFile(folder.File("log"));
      return text.ok() && testing::CountOf(*text, line) == times;
    });
  }
  // That it still ran, and ends well.
  void CheckEnds() const {
    REQUIRE(child->Signal(SIGTERM).ok());
    const auto ended = child->Wait(kPatience);
    REQUIRE(ended.ok());
    CHECK(ended->ok());
    CHECK(Logs("has stopped"));
  }
};

}  // namespace

TEST_CASE("SIGHUP reloads, as often as it comes, and the program goes on") {
  const RunningProgram program({"--reloads"});
  REQUIRE(program.Logs("application runs"));
  for (int times = 1; times <= 2; ++times) {
    REQUIRE(program.child->Signal(SIGHUP).ok());
    CHECK(program.Logs("application reloads", times));
  }
  program.CheckEnds();
}

TEST_CASE("SIGHUP does nothing to a program that has nothing to reload") {
  const RunningProgram program({});
  REQUIRE(program.Logs("application runs"));
  REQUIRE(program.child->Signal(SIGHUP).ok());
  CHECK(program.Logs("has nothing to reload"));
  program.CheckEnds();
}

TEST_CASE("SIGHUP does not end a program that waits in its start") {
  const RunningProgram program({"--slow", "--reloads"});
  REQUIRE(program.Logs("application starts"));
  REQUIRE(program.child->Signal(SIGHUP).ok());
  CHECK(program.Logs("reloads nothing"));
  CHECK(program.Logs("application runs", 0));
  CHECK(program.Logs("application reloads", 0));
  program.CheckEnds();
}

}  // namespace saldo::program
