// The program as a user meets it: what it says and how it ends.
#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "common/devstack/child_process.h"
#include "common/devstack/files.h"
#include "common/devstack/loopback.h"
#include "tests/support/test_env.h"

namespace saldo::cli {
namespace {

struct Outcome {
  int code;
  std::string text;
};

Outcome Saldo(std::vector<std::string> arguments) {
  testing::TempDir dir;
  devstack::ChildOptions options;
  options.argv = {*devstack::SiblingProgram("saldo")};
  options.argv.insert(options.argv.end(), arguments.begin(), arguments.end());
  options.log_file = dir.File("log");
  auto child = devstack::ChildProcess::Start(std::move(options));
  REQUIRE(child.ok());
  const auto ended = (*child)->Wait(absl::Seconds(60));
  REQUIRE(ended.ok());
  CHECK(ended->signal == 0);
  return {ended->code, *devstack::ReadFile(dir.File("log"))};
}

TEST_CASE("saldo tells its commands, and what was typed wrong") {
  for (const auto& arguments : std::vector<std::vector<std::string>>{{"help"}, {"--help"}}) {
    const Outcome outcome = Saldo(arguments);
    CHECK(outcome.code == 0);
    CHECK_THAT(outcome.text, Catch::Contains("usage: saldo COMMAND") && Catch::Contains("stack"));
  }
  CHECK(Saldo({}).code == 2);
  const Outcome version = Saldo({"--version"});
  CHECK(version.code == 0);
  CHECK_THAT(version.text, Catch::Matches("saldo [0-9]+\\.[0-9]+\\.[0-9]+\n"));
  const Outcome unknown = Saldo({"frobnicate"});
  CHECK(unknown.code == 2);
  CHECK_THAT(unknown.text, Catch::Contains("unknown command 'frobnicate'"));
}

TEST_CASE("every command has help and refuses unknown options") {
  for (const char* command : {"call", "health", "shard", "stack", "tail"}) {
    for (const auto& arguments :
         std::vector<std::vector<std::string>>{{command, "--help"}, {"help", command}}) {
      const Outcome help = Saldo(arguments);
      CHECK(help.code == 0);
      CHECK_THAT(help.text, Catch::StartsWith(std::string("usage: saldo ") + command));
    }
    CHECK(Saldo({command, "--no-such-option"}).code == 2);
  }
  CHECK_THAT(Saldo({"call"}).text, Catch::Contains("something is missing: saldo call"));
  CHECK(Saldo({"stack", "run", "--broker=none"}).code == 2);
  CHECK(Saldo({"stack", "run", "--broker=embedded", "--kafka=a:1"}).code == 2);
  CHECK(Saldo({"stack", "walk"}).code == 2);
  CHECK(Saldo({"stack", "run", "--shards=0"}).code == 2);
  CHECK(Saldo({"stack", "run", "--shards=5"}).code == 2);
  CHECK(Saldo({"stack", "run", "--shards=2", "--postgres=x"}).code == 2);
}

TEST_CASE("tail says in one line that no Kafka answers") {
  const std::string nobody = "127.0.0.1:" + std::to_string(*devstack::FreePort());
  const Outcome outcome = Saldo({"tail", "topic", "--kafka=" + nobody});
  CHECK(outcome.code == 1);
  CHECK_THAT(outcome.text, Catch::StartsWith("saldo tail: no Kafka answers on " + nobody) &&
                               Catch::Matches("[^\n]*\n"));
}

}  // namespace
}  // namespace saldo::cli
