// Takes locks for calls that may wait: the first try is a worker's, all later ones Waiting's.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/base/bounded_queue.h"
#include "common/base/call_context.h"
#include "common/observability/trace.h"
#include "common/runtime/service.h"
#include "common/runtime/thread.h"
#include "server/locks/config.h"
#include "server/locks/metrics.h"
#include "server/locks/rules.h"
#include "server/locks/store.h"
#include "server/locks/waiting.h"
#include "server/shards/shard_set.h"

namespace saldo::locks {

// What there is of locks on one shard.
struct ShardLocks {
  // Adds its part to the shard, which starts and stops it. `shards` and `tracer` outlive it.
  ShardLocks(shards::ShardSet& shards, size_t shard, const trace::Tracer& tracer);

  LockMetrics metrics;
  LockStore store;
  Waiting waiting;
};

class Acquiring final : public runtime::Service {
 public:
  using Answer = absl::AnyInvocable<void(absl::StatusOr<Granted>)>;

  // `shards` and `tracer` outlive it.
  Acquiring(const LocksConfig& config, shards::ShardSet& shards, const trace::Tracer& tracer);
  ~Acquiring() override { Stop(); }

  std::string_view name() const override { return "locks"; }
  absl::Status Start() override;
  void Stop() override;

  // Never blocks. `answer` is called once, perhaps before this returns, and keeps alive what
  // `context` points to.
  void Acquire(AcquireCheck check, const CallContext& context, const trace::SpanContext& trace,
               Answer answer);
  // From now on nobody waits. For a server that is about to stop.
  void EndWaits();

  LockStore& store(size_t shard) { return locks_[shard]->store; }

 private:
  struct Job {
    AcquireCheck check;
    CallContext context;
    trace::SpanContext trace;
    Answer answer;
  };

  void Work();
  void Try(Job job);
  // When a wait that begins now ends.
  static absl::Time EndOfWait(const Job& job, absl::Time now);

  const LocksConfig config_;
  shards::ShardSet& shards_;
  const trace::Tracer& tracer_;
  const std::vector<std::unique_ptr<ShardLocks>> locks_;  // in the order of shards
  WaitingRoom room_;
  BoundedQueue<std::unique_ptr<Job>> queue_;
  std::vector<runtime::Thread> threads_;
};

}  // namespace saldo::locks
