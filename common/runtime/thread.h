// A thread with a name that the system's tools show, joined by its destructor.
#pragma once

#include <string>
#include <thread>
#include <utility>

#include "absl/functional/any_invocable.h"

namespace saldo::runtime {

class Thread {
 public:
  Thread() = default;
  // `name` is cut to the 15 characters that Linux keeps. `body` must end when its owner asks it to,
  // and works for the shard of the calling thread (thread_shard.h).
  Thread(std::string name, absl::AnyInvocable<void()> body);
  Thread(Thread&&) = default;
  // Joins what it held before.
  Thread& operator=(Thread&& other) noexcept {
    Join();
    thread_ = std::move(other.thread_);
    return *this;
  }
  ~Thread() { Join(); }

  // Waits for the body to end. Idempotent.
  void Join() {
    if (thread_.joinable()) thread_.join();
  }

 private:
  std::thread thread_;
};

}  // namespace saldo::runtime
