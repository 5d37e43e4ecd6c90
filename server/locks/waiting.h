// The calls of Acquire that wait for locks of one shard. No thread waits with them: one thread of
// this part tries again for those whose turn may have come, which it learns from signals of the
// database (store.h, kChannel), from the ends of grants that are in the way, and now and then by
// itself.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/base/call_context.h"
#include "common/observability/trace.h"
#include "common/postgres/connection.h"
#include "common/runtime/service.h"
#include "common/runtime/stop_signal.h"
#include "common/runtime/thread.h"
#include "server/locks/metrics.h"
#include "server/locks/store.h"

namespace saldo::locks {

// How many calls may wait on this server, on all shards together. Thread-safe.
class WaitingRoom {
 public:
  explicit WaitingRoom(int seats) : free_(seats) {}

  bool TryEnter() {
    if (free_.fetch_sub(1) > 0) return true;
    Leave();
    return false;
  }
  void Leave() { free_.fetch_add(1); }

 private:
  std::atomic<int> free_;
};

// A call that has a place in the queue of its lock.
struct WaitingCall {
  Claim claim;
  int64_t waiter = 0;
  CallContext context;  // of the call
  trace::SpanContext trace;
  absl::Time since;  // when it began to wait
  absl::Time until;  // when it is told its refusal
  absl::Status refusal;
  // Called once, by the thread of this part, or by that which parks it.
  absl::AnyInvocable<void(absl::StatusOr<Granted>)> answer;
};

struct WaitingOptions {
  // How late a new call, the end of a wait and a cancellation are seen.
  absl::Duration slice = absl::Milliseconds(20);
  // How long a signal that was lost may delay a grant.
  absl::Duration poll_interval = absl::Seconds(5);
  // A few times within LockStore::kLease.
  absl::Duration renew_interval = absl::Milliseconds(1500);
};

class Waiting final : public runtime::Service {
 public:
  // All references outlive it.
  Waiting(const WaitingOptions& options, LockStore& store, postgres::ConnectionOptions connection,
          LockMetrics& metrics, const trace::Tracer& tracer);
  ~Waiting() override { Stop(); }

  std::string_view name() const override { return "waiting for locks"; }
  absl::Status Start() override;
  void Stop() override;

  // Never blocks. The call is answered at the latest soon after `until`.
  void Park(WaitingCall call);
  // From now on nobody waits: answers all with UNAVAILABLE. For a server that is about to stop.
  void End();

 private:
  // The calls that wait for one lock, in the order of the queue. Who comes behind one that is
  // refused would be refused as well, so only the first is tried.
  struct Line {
    std::map<int64_t, WaitingCall> calls;  // by waiter
    absl::Time retry_at;
  };

  void Run();
  // Serves who waits, over one connection that listens.
  absl::Status Serve();
  void TakeNew();
  void AnswerThoseOver();
  void AnswerAll(const absl::Status& status);
  void RetryDue();
  void Retry(Line& line);
  // False when the line must wait on.
  bool RetryFirst(Line& line);
  void RenewPlaces();
  void LeavePlaces();
  void Answer(WaitingCall& call, absl::StatusOr<Granted> outcome);
  bool AnyNew() const;
  absl::Duration TimeToNext() const;

  const WaitingOptions options_;
  LockStore& store_;
  postgres::ConnectionOptions connection_options_;
  LockMetrics& metrics_;
  const trace::Tracer& tracer_;
  runtime::StopSignal stop_;

  mutable absl::Mutex mutex_;
  std::vector<WaitingCall> new_ ABSL_GUARDED_BY(mutex_);
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;

  // Of the thread alone.
  std::map<std::string, Line> lines_;  // by LockName::Signal
  std::vector<int64_t> left_;          // places to give up
  absl::Time renew_at_;
  size_t count_ = 0;
  int failures_ = 0;  // in a row

  runtime::Thread thread_;
};

}  // namespace saldo::locks
