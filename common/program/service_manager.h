// What a process tells the manager that started it (systemd's Type=notify).
#pragma once

#include <string>
#include <utility>

#include "absl/status/status.h"

namespace saldo::program {

class ServiceManager {
 public:
  // `socket`: the value of NOTIFY_SOCKET, a path or, after '@', an abstract name; empty when nobody
  // is to be told, and then nothing is ever sent.
  explicit ServiceManager(std::string socket) : socket_(std::move(socket)) {}

  // The start is done. Failures to tell are logged, for the work goes on without a manager.
  void Ready() const;
  // SIGHUP: what is configured is read anew, until the next Ready.
  void Reloading() const;
  void Stopping() const;

  // One datagram of lines "NAME=value". OK when nobody is to be told.
  absl::Status Send(const std::string& state) const;

 private:
  void Tell(const std::string& state) const;

  const std::string socket_;
};

}  // namespace saldo::program
