// Which shard a thread works for: every line of the log that it writes says so.
#pragma once

#include <string_view>

namespace saldo::runtime {

// The shard that the calling thread works for; "" for none, or all. A Thread begins with that of
// the thread that makes it.
std::string_view CurrentShard();

// The calling thread works for `shard` while it lives. "" changes nothing. `shard` outlives it.
class ScopedShard {
 public:
  explicit ScopedShard(std::string_view shard);
  ~ScopedShard();
  ScopedShard(const ScopedShard&) = delete;
  ScopedShard& operator=(const ScopedShard&) = delete;

 private:
  const std::string_view previous_;
};

}  // namespace saldo::runtime
