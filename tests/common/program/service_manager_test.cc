#include "common/program/service_manager.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <catch2/catch.hpp>
#include <csignal>
#include <cstddef>
#include <cstring>
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

// The manager's end: a datagram socket with the name that NOTIFY_SOCKET has.
class Manager {
 public:
  explicit Manager(std::string name)
      : name_(std::move(name)), fd_(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, name_.data(), name_.size());
    if (name_[0] == '@') address.sun_path[0] = '\0';
    const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name_.size());
    REQUIRE(bind(fd_, reinterpret_cast<const sockaddr*>(&address), size) == 0);
  }
  ~Manager() { close(fd_); }
  Manager(const Manager&) = delete;
  Manager& operator=(const Manager&) = delete;

  // The next message; "" when there is none.
  std::string Next(absl::Duration patience = kPatience) const {
    const timeval limit = absl::ToTimeval(patience);
    setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    std::array<char, 1024> bytes;
    const ssize_t got = recv(fd_, bytes.data(), bytes.size(), 0);
    return got < 0 ? "" : std::string(bytes.data(), static_cast<size_t>(got));
  }
  bool HasMore() const { return !Next(absl::Microseconds(1)).empty(); }
  const std::string& name() const { return name_; }

 private:
  const std::string name_;
  const int fd_;
};

std::unique_ptr<devstack::ChildProcess> StartProgram(const Manager& manager,
                                                     const testing::TempDir& dir,
                                                     const std::string& flag) {
  auto started = devstack::ChildProcess::Start(
      {.argv = {*devstack::SiblingProgram("saldo_test_program"), flag},
       .env = {{"NOTIFY_SOCKET", manager.name()}},
       .log_file = dir.File("log")});
  REQUIRE(started.ok());
  return *std::move(started);
}

}  // namespace

TEST_CASE("the manager is told of the start, of reloads and of the stop") {
  const testing::TempDir dir;
  const Manager manager(dir.File("notify"));
  const auto program = StartProgram(manager, dir, "--reloads");
  CHECK(manager.Next() == "READY=1");
  REQUIRE(program->Signal(SIGHUP).ok());
  CHECK_THAT(manager.Next(), Catch::StartsWith("RELOADING=1\nMONOTONIC_USEC="));
  CHECK(manager.Next() == "READY=1");
  REQUIRE(program->Signal(SIGTERM).ok());
  CHECK(manager.Next() == "STOPPING=1");
  const auto ended = program->Wait(kPatience);
  REQUIRE(ended.ok());
  CHECK(ended->ok());
  CHECK_FALSE(manager.HasMore());
}

TEST_CASE("a start that has not ended is not told, and its stop is") {
  const testing::TempDir dir;
  const Manager manager("@saldo-test-" + std::to_string(getpid()));
  const auto program = StartProgram(manager, dir, "--slow");
  REQUIRE(testing::Eventually(kPatience, [&] {
    const auto text = devstack::ReadFile(dir.File("log"));
    return text.ok() && testing::CountOf(*text, "application starts") == 1;
  }));
  CHECK_FALSE(manager.HasMore());
  REQUIRE(program->Signal(SIGTERM).ok());
  CHECK(manager.Next() == "STOPPING=1");
}

TEST_CASE("a program runs on when its manager cannot be told") {
  const testing::TempDir dir;
  auto started =
      devstack::ChildProcess::Start({.argv = {*devstack::SiblingProgram("saldo_test_program")},
                                     .env = {{"NOTIFY_SOCKET", dir.File("nobody")}},
                                     .log_file = dir.File("log")});
  REQUIRE(started.ok());
  REQUIRE(testing::Eventually(kPatience, [&] {
    const auto text = devstack::ReadFile(dir.File("log"));
    return text.ok() && testing::CountOf(*text, "could not tell the service manager") == 1;
  }));
  CHECK((*started)->Stop(kPatience).ok());
}

TEST_CASE("what is no socket's name is refused, and none at all is fine") {
  CHECK(ServiceManager("").Send("READY=1").ok());
  for (const std::string name : {"relative", "/", "@"}) {
    CHECK(absl::IsInvalidArgument(ServiceManager(name).Send("READY=1")));
  }
  CHECK(absl::IsInvalidArgument(ServiceManager("/" + std::string(200, 'x')).Send("READY=1")));
}

}  // namespace saldo::program
