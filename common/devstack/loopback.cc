#include "common/devstack/loopback.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <random>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "common/base/status_macros.h"

namespace saldo::devstack {
namespace {

constexpr int kLowestPort = 10000;
constexpr int kTries = 200;

// Closes a descriptor at the end of a scope.
class FdCloser {
 public:
  explicit FdCloser(int fd) : fd_(fd) {}
  FdCloser(const FdCloser&) = delete;
  FdCloser& operator=(const FdCloser&) = delete;
  ~FdCloser() { close(fd_); }

 private:
  int fd_;
};

sockaddr_in LoopbackAddress(int port) {
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

// The port that was bound, or -1 when `port` is taken. 0 lets the kernel choose. `reuse` says that
// connections of a former server, which still fade away, do not count.
int TryBind(int port, bool reuse = false) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  FdCloser closer(fd);
  const int on = reuse ? 1 : 0;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  sockaddr_in address = LoopbackAddress(port);
  socklen_t size = sizeof(address);
  if (bind(fd, reinterpret_cast<sockaddr*>(&address), size) != 0) return -1;
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) return -1;
  return ntohs(address.sin_port);
}

absl::Status SendAll(int fd, absl::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent <= 0) return absl::UnavailableError(absl::StrCat("send: ", strerror(errno)));
    bytes.remove_prefix(static_cast<size_t>(sent));
  }
  return absl::OkStatus();
}

// Up to `limit` bytes; fewer when the peer closes.
absl::StatusOr<std::string> Receive(int fd, size_t limit) {
  std::string bytes;
  std::array<char, 4096> chunk;
  while (bytes.size() < limit) {
    const ssize_t got = recv(fd, chunk.data(), std::min(chunk.size(), limit - bytes.size()), 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return absl::UnavailableError(absl::StrCat("receive: ", strerror(errno)));
    if (got == 0) break;
    bytes.append(chunk.data(), static_cast<size_t>(got));
  }
  return bytes;
}

int32_t ReadInt32(absl::string_view bytes, size_t at) {
  uint32_t value;
  std::memcpy(&value, bytes.data() + at, sizeof(value));
  return static_cast<int32_t>(ntohl(value));
}

}  // namespace

absl::StatusOr<int> FreePort() {
  int first_outgoing = 0;
  std::ifstream("/proc/sys/net/ipv4/ip_local_port_range") >> first_outgoing;
  if (first_outgoing > kLowestPort + kTries) {
    std::random_device random;
    std::uniform_int_distribution<int> ports(kLowestPort, std::min(first_outgoing, 65536) - 1);
    for (int i = 0; i < kTries; ++i) {
      if (const int port = TryBind(ports(random)); port > 0) return port;
    }
  }
  if (const int port = TryBind(0); port > 0) return port;
  return absl::ResourceExhaustedError("no free port on 127.0.0.1");
}

absl::StatusOr<int> FreePortNear(int wanted) {
  if (wanted != 0 && TryBind(wanted, /*reuse=*/true) == wanted) return wanted;
  return FreePort();
}

absl::StatusOr<int> ConnectLoopback(int port, absl::Duration timeout) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return absl::ErrnoToStatus(errno, "socket");
  const timeval limit = absl::ToTimeval(std::max(timeout, absl::Milliseconds(1)));
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
  const sockaddr_in address = LoopbackAddress(port);
  if (connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    const int error = errno;
    close(fd);
    return absl::UnavailableError(
        absl::StrCat("nothing answers on 127.0.0.1:", port, ": ", strerror(error)));
  }
  return fd;
}

absl::StatusOr<HttpAnswer> HttpGet(int port, const std::string& path, absl::Duration timeout) {
  constexpr size_t kMaxBytes = 1024 * 1024;
  SALDO_ASSIGN_OR_RETURN(const int fd, ConnectLoopback(port, timeout));
  FdCloser closer(fd);
  SALDO_RETURN_IF_ERROR(SendAll(
      fd, absl::StrCat("GET ", path, " HTTP/1.0\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")));
  SALDO_ASSIGN_OR_RETURN(const std::string answer, Receive(fd, kMaxBytes));
  // "HTTP/1.1 200 OK"
  HttpAnswer result;
  const absl::string_view text = answer;
  if (text.substr(0, 5) != "HTTP/" || text.size() < 12 ||
      !absl::SimpleAtoi(text.substr(9, 3), &result.code)) {
    return absl::UnavailableError(absl::StrCat("127.0.0.1:", port, " does not speak HTTP"));
  }
  if (const size_t end = text.find("\r\n\r\n"); end != absl::string_view::npos) {
    result.body = answer.substr(end + 4);
  }
  return result;
}

absl::Status ProbeKafka(int port, absl::Duration timeout) {
  // Metadata, version 1, correlation id 7, client id "saldo", no topics.
  static constexpr absl::string_view kRequest("\0\0\0\x13\0\x03\0\x01\0\0\0\x07\0\x05saldo\0\0\0\0",
                                              23);
  constexpr size_t kHeaderBytes = 12;  // size, correlation id, number of brokers
  SALDO_ASSIGN_OR_RETURN(const int fd, ConnectLoopback(port, timeout));
  FdCloser closer(fd);
  SALDO_RETURN_IF_ERROR(SendAll(fd, kRequest));
  SALDO_ASSIGN_OR_RETURN(const std::string answer, Receive(fd, kHeaderBytes));
  if (answer.size() < kHeaderBytes || ReadInt32(answer, 4) != 7) {
    return absl::UnavailableError(absl::StrCat("127.0.0.1:", port, " does not speak Kafka"));
  }
  if (ReadInt32(answer, 8) < 1) return absl::UnavailableError("the broker is not registered yet");
  return absl::OkStatus();
}

}  // namespace saldo::devstack
