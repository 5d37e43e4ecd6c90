#include "common/devstack/loopback.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <string>

#include "common/runtime/thread.h"

namespace saldo::devstack {
namespace {

// Listens, and answers every connection with one fixed text.
class FixedServer {
 public:
  explicit FixedServer(std::string answer) : port_(*FreePort()) {
    fd_ = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port_));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    REQUIRE(bind(fd_, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0);
    REQUIRE(listen(fd_, 8) == 0);
    thread_ = runtime::Thread("fixed-server", [fd = fd_, answer = std::move(answer)] {
      for (int client = accept(fd, nullptr, nullptr); client >= 0;
           client = accept(fd, nullptr, nullptr)) {
        char request[512];
        if (recv(client, request, sizeof(request), 0) > 0) {
          send(client, answer.data(), answer.size(), MSG_NOSIGNAL);
        }
        close(client);
      }
    });
  }
  ~FixedServer() {
    shutdown(fd_, SHUT_RDWR);
    thread_.Join();
    close(fd_);
  }
  int port() const { return port_; }

 private:
  const int port_;
  int fd_;
  runtime::Thread thread_;
};

TEST_CASE("a free port is one that nobody listens on") {
  FixedServer server("");
  CHECK(*FreePortNear(server.port()) != server.port());
  const int port = *FreePort();
  CHECK(*FreePortNear(port) == port);
  CHECK_FALSE(ConnectLoopback(port, absl::Seconds(1)).ok());
}

TEST_CASE("HttpGet reads the code and the body") {
  FixedServer ready("HTTP/1.1 503 Service Unavailable\r\nX: y\r\n\r\nnot yet");
  const auto answer = HttpGet(ready.port(), "/ready", absl::Seconds(5));
  REQUIRE(answer.ok());
  CHECK(answer->code == 503);
  CHECK(answer->body == "not yet");
  FixedServer other("+OK");
  CHECK(HttpGet(other.port(), "/", absl::Seconds(5)).status().code() ==
        absl::StatusCode::kUnavailable);
}

TEST_CASE("ProbeKafka accepts a broker's answer only") {
  FixedServer http("HTTP/1.1 400 Bad Request\r\n\r\n");
  CHECK_FALSE(ProbeKafka(http.port(), absl::Seconds(5)).ok());
  FixedServer none(std::string("\0\0\0\x08\0\0\0\x07\0\0\0\0", 12));
  CHECK_FALSE(ProbeKafka(none.port(), absl::Seconds(5)).ok());
  FixedServer one(std::string("\0\0\0\x08\0\0\0\x07\0\0\0\x01", 12));
  CHECK(ProbeKafka(one.port(), absl::Seconds(5)).ok());
}

}  // namespace
}  // namespace saldo::devstack
