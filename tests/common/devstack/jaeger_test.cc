#include "common/devstack/jaeger.h"

#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "common/devstack/loopback.h"
#include "tests/support/test_env.h"

namespace saldo::devstack {
namespace {

using saldo::testing::TempDir;

// The inodes of a process's sockets, as /proc tells them.
std::set<std::string> SocketsOf(pid_t pid) {
  std::set<std::string> inodes;
  for (const auto& fd :
       std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/fd")) {
    std::error_code gone;
    const std::string target = std::filesystem::read_symlink(fd, gone).string();
    if (target.rfind("socket:[", 0) == 0) inodes.insert(target.substr(8, target.size() - 9));
  }
  return inodes;
}

// The local addresses, in /proc's notation, on which a process waits for others.
std::vector<std::string> Listeners(pid_t pid) {
  constexpr const char* kTcpListen = "0A";
  constexpr const char* kUdpUnconnected = "07";
  const std::set<std::string> own = SocketsOf(pid);
  std::vector<std::string> found;
  for (const std::string file : {"tcp", "tcp6", "udp", "udp6"}) {
    std::ifstream table("/proc/net/" + file);
    std::string line;
    std::getline(table, line);
    while (std::getline(table, line)) {
      std::istringstream row(line);
      std::string number, local, remote, state, queues, timer, retransmits, uid, timeout, inode;
      row >> number >> local >> remote >> state >> queues >> timer >> retransmits >> uid >>
          timeout >> inode;
      const bool waits = state == (file.substr(0, 3) == "tcp" ? kTcpListen : kUdpUnconnected);
      if (waits && own.count(inode) > 0) found.push_back(local);
    }
  }
  return found;
}

TEST_CASE("a Jaeger answers queries, is reached from this machine only, and leaves its port") {
  TempDir dir;
  const auto jaeger = JaegerServer::Start({.dir = dir.File("jaeger")});
  INFO(jaeger.status());
  REQUIRE(jaeger.ok());
  const auto services = (*jaeger)->Get("/api/services");
  INFO(services.status());
  REQUIRE(services.ok());
  CHECK_THAT(*services, Catch::Contains("\"errors\":null"));
  CHECK((*jaeger)->Get("/api/traces/4bf92f3577b34da6a3ce929d0e0e4736").status().code() ==
        absl::StatusCode::kNotFound);

  const std::vector<std::string> listeners = Listeners((*jaeger)->process()->pid());
  CHECK(listeners.size() >= 4);
  for (const std::string& address : listeners) CHECK_THAT(address, Catch::StartsWith("0100007F:"));

  const int port = (*jaeger)->port();
  (*jaeger)->Stop();
  CHECK_FALSE(HttpGet(port, "/api/services", absl::Seconds(2)).ok());
}

TEST_CASE("a port that is taken is named, and where a Jaeger comes from is told") {
  TempDir dir;
  const auto first = JaegerServer::Start({.dir = dir.File("first")});
  REQUIRE(first.ok());
  const auto second = JaegerServer::Start({.dir = dir.File("second"), .port = (*first)->port()});
  CHECK_THAT(std::string(second.status().message()),
             Catch::Contains("Jaeger ended with") && Catch::Contains("address already in use"));

  const std::string program = JaegerProgram().value();
  setenv("SALDO_JAEGER", dir.File("nothing").c_str(), 1);
  const absl::Status missing = JaegerServer::Start({.dir = dir.File("third")}).status();
  setenv("SALDO_JAEGER", program.c_str(), 1);
  CHECK(missing.code() == absl::StatusCode::kNotFound);
  CHECK_THAT(std::string(missing.message()),
             Catch::Contains(dir.File("nothing")) && Catch::Contains("./dev run --observe"));
}

}  // namespace
}  // namespace saldo::devstack
