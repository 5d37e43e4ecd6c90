#include "common/runtime/thread_shard.h"

namespace saldo::runtime {
namespace {

thread_local std::string_view thread_shard;

}  // namespace

std::string_view CurrentShard() { return thread_shard; }

ScopedShard::ScopedShard(std::string_view shard) : previous_(thread_shard) {
  if (!shard.empty()) thread_shard = shard;
}

ScopedShard::~ScopedShard() { thread_shard = previous_; }

}  // namespace saldo::runtime
