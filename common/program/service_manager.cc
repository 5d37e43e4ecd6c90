#include "common/program/service_manager.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <ctime>

#include "absl/strings/str_cat.h"
#include "common/observability/log.h"

namespace saldo::program {

absl::Status ServiceManager::Send(const std::string& state) const {
  if (socket_.empty()) return absl::OkStatus();
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if ((socket_[0] != '/' && socket_[0] != '@') || socket_.size() < 2 ||
      socket_.size() >= sizeof(address.sun_path)) {
    return absl::InvalidArgumentError(absl::StrCat("not a notification socket: ", socket_));
  }
  std::memcpy(address.sun_path, socket_.data(), socket_.size());
  if (socket_[0] == '@') address.sun_path[0] = '\0';
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + socket_.size());

  const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return absl::ErrnoToStatus(errno, "socket");
  // A manager that does not read must not hold up a start or a stop.
  const timeval limit{.tv_sec = 2, .tv_usec = 0};
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
  ssize_t sent = -1;
  do {
    sent = sendto(fd, state.data(), state.size(), MSG_NOSIGNAL,
                  reinterpret_cast<const sockaddr*>(&address), size);
  } while (sent < 0 && errno == EINTR);
  const int error = errno;
  close(fd);
  if (sent == static_cast<ssize_t>(state.size())) return absl::OkStatus();
  return absl::ErrnoToStatus(error, absl::StrCat("sending to ", socket_));
}

void ServiceManager::Tell(const std::string& state) const {
  if (const absl::Status sent = Send(state); !sent.ok())
    log::Warning("could not tell the service manager", {{"reason", sent}});
}

void ServiceManager::Ready() const { Tell("READY=1"); }

void ServiceManager::Reloading() const {
  // The time tells the manager that the next READY=1 belongs to this reload.
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  Tell(absl::StrCat("RELOADING=1\nMONOTONIC_USEC=", now.tv_sec * 1'000'000 + now.tv_nsec / 1000));
}

void ServiceManager::Stopping() const { Tell("STOPPING=1"); }

}  // namespace saldo::program
