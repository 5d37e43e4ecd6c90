// An owner that is held up past its ttl, and does not know it: real processes on both sides.
#include <catch2/catch.hpp>
#include <csignal>
#include <memory>
#include <string>

#include "common/devstack/child_process.h"
#include "common/devstack/files.h"
#include "tests/server/locks/owner_calls.h"
#include "tests/support/migrated_database.h"
#include "tests/support/test_env.h"

namespace saldo::testing {
namespace {

constexpr absl::Duration kPatience = absl::Seconds(60);

std::unique_ptr<devstack::ChildProcess> Start(const std::string& program,
                                              std::vector<std::string> arguments,
                                              const std::string& log) {
  arguments.insert(arguments.begin(), *devstack::SiblingProgram(program));
  auto started = devstack::ChildProcess::Start({.argv = std::move(arguments), .log_file = log});
  REQUIRE(started.ok());
  return *std::move(started);
}

// Waits for the file.
std::string Content(const std::string& path) {
  std::string content;
  CHECK(Eventually(kPatience, [&] {
    const auto text = devstack::ReadFile(path);
    if (text.ok()) content = *text;
    return text.ok();
  }));
  return content;
}

// The server's, once it serves.
std::string Address(const std::string& log) {
  std::string port;
  CHECK(Eventually(kPatience, [&] {
    const std::string text = devstack::ReadFile(log).value_or("");
    // In the log's line, whatever its format: the digits behind the name.
    const size_t name = text.find("grpc_port", text.find("saldo-server serves"));
    if (name == std::string::npos || text.find('\n', name) == std::string::npos) return false;
    const size_t begin = text.find_first_of("0123456789", name);
    port = text.substr(begin, text.find_first_not_of("0123456789", begin) - begin);
    return true;
  }));
  return "127.0.0.1:" + port;
}

}  // namespace

TEST_CASE("an owner that was paused past its ttl writes nothing any more") {
  const MigratedDatabase database;
  const TempDir folder;
  const std::string log = folder.File("log");
  const auto server = Start("saldo-server",
                            {"--postgres.dsn=" + database.dsn(), "--grpc.address=127.0.0.1",
                             "--grpc.port=0", "--metrics.address=127.0.0.1", "--metrics.port=0",
                             "--status.address=127.0.0.1", "--status.port=0"},
                            log);
  const std::string address = Address(log);
  const auto owner = Start("lock_owner", {address, folder.path()}, folder.File("owner"));
  const std::string first = Content(folder.File("first"));
  INFO(address << "\n" << owner->LogTail());
  CHECK(first == "OK");
  REQUIRE(owner->Signal(SIGSTOP).ok());

  OwnerCalls next(address);
  const auto token = next.Acquire("next", 60);
  REQUIRE(token.ok());
  CHECK(next.Write("of the next", *token) == "OK");
  REQUIRE(devstack::WriteFile(folder.File("go"), "").ok());
  REQUIRE(owner->Signal(SIGCONT).ok());
  CHECK(Content(folder.File("second")) == "LOCK_LOST");
  const auto ended = owner->Wait(kPatience);
  REQUIRE(ended.ok());
  CHECK(ended->ok());
  CHECK(database.Query("SELECT count(*) FROM events") == "2");
  CHECK(next.Write("and again", *token) == "OK");
}

}  // namespace saldo::testing
