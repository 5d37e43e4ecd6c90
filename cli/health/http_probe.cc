#include "cli/health/http_probe.h"

#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/status_macros.h"
#include "common/base/strings.h"

namespace saldo::cli {
namespace {

constexpr size_t kAnswerBytesMax = 64 * 1024;

// A socket that waits no longer than until the deadline, whatever it does.
class Socket {
 public:
  Socket(const addrinfo& address, absl::Time deadline)
      : fd_(socket(
            address.ai_family,
            address.ai_socktype | static_cast<int>(SOCK_CLOEXEC) | static_cast<int>(SOCK_NONBLOCK),
            address.ai_protocol)),
        deadline_(deadline) {}
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  ~Socket() {
    if (fd_ >= 0) close(fd_);
  }

  absl::Status Connect(const addrinfo& address) {
    if (fd_ < 0) return absl::ErrnoToStatus(errno, "socket");
    if (connect(fd_, address.ai_addr, address.ai_addrlen) == 0) return absl::OkStatus();
    if (errno != EINPROGRESS) return absl::UnavailableError(strerror(errno));
    SALDO_RETURN_IF_ERROR(Await(POLLOUT));
    int error = 0;
    socklen_t size = sizeof(error);
    getsockopt(fd_, SOL_SOCKET, SO_ERROR, &error, &size);
    return error == 0 ? absl::OkStatus() : absl::UnavailableError(strerror(error));
  }

  absl::Status Send(std::string_view bytes) {
    while (!bytes.empty()) {
      SALDO_RETURN_IF_ERROR(Await(POLLOUT));
      const ssize_t sent = send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent < 0 && (errno == EAGAIN || errno == EINTR)) continue;
      if (sent < 0) return absl::UnavailableError(strerror(errno));
      bytes.remove_prefix(static_cast<size_t>(sent));
    }
    return absl::OkStatus();
  }

  // Until the peer closes.
  absl::StatusOr<std::string> Receive() {
    std::string bytes;
    std::array<char, 4096> chunk;
    while (bytes.size() < kAnswerBytesMax) {
      SALDO_RETURN_IF_ERROR(Await(POLLIN));
      const ssize_t got = recv(fd_, chunk.data(), chunk.size(), 0);
      if (got < 0 && (errno == EAGAIN || errno == EINTR)) continue;
      if (got < 0) return absl::UnavailableError(strerror(errno));
      if (got == 0) break;
      bytes.append(chunk.data(), static_cast<size_t>(got));
    }
    return bytes;
  }

 private:
  absl::Status Await(short events) {
    while (true) {
      const int64_t left = absl::ToInt64Milliseconds(deadline_ - absl::Now());
      pollfd one{.fd = fd_, .events = events, .revents = 0};
      const int ready =
          left <= 0 ? 0 : poll(&one, 1, static_cast<int>(std::min<int64_t>(left, 1 << 30)));
      if (ready > 0) return absl::OkStatus();
      if (ready == 0) return absl::UnavailableError("no answer in time");
      if (errno != EINTR) return absl::ErrnoToStatus(errno, "poll");
    }
  }

  const int fd_;
  const absl::Time deadline_;
};

absl::StatusOr<std::string> Exchange(const addrinfo& address, const std::string& request,
                                     absl::Time deadline) {
  Socket socket(address, deadline);
  SALDO_RETURN_IF_ERROR(socket.Connect(address));
  SALDO_RETURN_IF_ERROR(socket.Send(request));
  return socket.Receive();
}

}  // namespace

absl::StatusOr<HttpUrl> ParseHttpUrl(std::string_view url) {
  constexpr std::string_view kScheme = "http://";
  const auto wrong = [url] {
    return absl::InvalidArgumentError(
        absl::StrCat("'", AsAbsl(url), "' is not http://HOST:PORT/PATH"));
  };
  if (!url.starts_with(kScheme)) return wrong();
  std::string_view rest = url.substr(kScheme.size());
  HttpUrl parsed{.host = "", .port = "80", .path = "/"};
  if (const size_t slash = rest.find('/'); slash != std::string_view::npos) {
    parsed.path = rest.substr(slash);
    rest = rest.substr(0, slash);
  }
  if (rest.starts_with('[')) {
    const size_t end = rest.find(']');
    if (end == std::string_view::npos) return wrong();
    parsed.host = rest.substr(1, end - 1);
    rest.remove_prefix(end + 1);
    if (!rest.empty() && rest[0] != ':') return wrong();
  } else {
    parsed.host = rest.substr(0, rest.find(':'));
    rest.remove_prefix(parsed.host.size());
  }
  if (!rest.empty()) {
    int port = 0;
    parsed.port = rest.substr(1);
    if (!absl::SimpleAtoi(parsed.port, &port) || port < 1 || port > 65535) return wrong();
  }
  const bool plain =
      std::all_of(url.begin(), url.end(), [](unsigned char c) { return c > ' ' && c < 0x7f; });
  if (parsed.host.empty() || !plain) return wrong();
  return parsed;
}

absl::Status ProbeHttp(const HttpUrl& url, absl::Duration timeout) {
  const absl::Time deadline = absl::Now() + timeout;
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* list = nullptr;
  if (const int error = getaddrinfo(url.host.c_str(), url.port.c_str(), &hints, &list); error != 0)
    return absl::UnavailableError(absl::StrCat(url.host, ": ", gai_strerror(error)));
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> addresses(list, &freeaddrinfo);
  const std::string request = absl::StrCat("GET ", url.path, " HTTP/1.0\r\nHost: ", url.host, ":",
                                           url.port, "\r\nConnection: close\r\n\r\n");
  absl::StatusOr<std::string> answer = absl::UnavailableError("no address");
  for (const addrinfo* at = list; at != nullptr && !answer.ok(); at = at->ai_next)
    answer = Exchange(*at, request, deadline);
  if (!answer.ok()) return answer.status();
  // "HTTP/1.1 200 OK"
  const std::string_view text = *answer;
  if (!text.starts_with("HTTP/") || text.size() < 12)
    return absl::UnavailableError("does not speak HTTP");
  if (text[9] == '2') return absl::OkStatus();
  const size_t body = text.find("\r\n\r\n");
  return absl::FailedPreconditionError(absl::StrCat(
      "answers ", AsAbsl(text.substr(9, text.find_first_of("\r\n") - 9)),
      body == std::string_view::npos ? "" : ": ",
      body == std::string_view::npos ? absl::string_view() : AsAbsl(text.substr(body + 4))));
}

}  // namespace saldo::cli
