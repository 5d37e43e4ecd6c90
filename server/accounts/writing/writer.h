// Group commit: one thread takes all requests that wait and commits them as one batch, in two round
// trips. Each is accepted, or rejected alone. A lone request waits for nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "common/base/call_context.h"
#include "common/observability/metrics.h"
#include "common/observability/trace.h"
#include "common/postgres/pool.h"
#include "common/runtime/service.h"
#include "common/runtime/stop_signal.h"
#include "common/runtime/thread.h"
#include "server/accounts/writing/account_ids.h"
#include "server/accounts/writing/group.h"
#include "server/accounts/writing/request.h"
#include "server/outbox/outbox.h"

namespace saldo::accounts {

struct WriterOptions {
  // One batch takes at most so much; a single request always fits.
  int group_requests_max = 4096;
  int group_events_max = 20'000;
  int64_t group_bytes_max = 32 << 20;
  // What may wait. More is refused at once.
  int queue_requests_max = 8192;
  int queue_events_max = 200'000;
  int64_t queue_bytes_max = 256 << 20;
  // Of one try to commit a batch.
  absl::Duration commit_timeout = absl::Seconds(20);
  // How often a batch is tried when other servers get in its way.
  int attempts_max = 10;
  // Subaccounts whose ids are kept in memory, at about 200 bytes each.
  int known_subaccounts_max = 1'000'000;
  // What RetryInfo tells callers who were refused.
  absl::Duration retry_delay = absl::Milliseconds(200);
};

class Writer final : public runtime::Service {
 public:
  // Called once, on the writer's thread or, when the request is refused, the caller's.
  using Done = absl::AnyInvocable<void(absl::StatusOr<Written>)>;

  // All arguments outlive the writer.
  Writer(const WriterOptions& options, postgres::Pool& pool, const outbox::Outbox& outbox,
         metrics::Registry& registry, const trace::Tracer& tracer);
  ~Writer() override { Stop(); }

  std::string_view name() const override { return "accounts-writer"; }
  absl::Status Start() override;
  // Commits what waits, refuses what comes.
  void Stop() override;

  // Never blocks. RESOURCE_EXHAUSTED with RetryInfo when too much waits. A request whose caller has
  // given up before its batch begins is not written. `context` stays valid as long as `done`.
  void Submit(WriteRequest request, const CallContext& context, const trace::SpanContext& trace,
              Done done);

 private:
  struct Job {
    WriteRequest request;
    CallContext context;
    trace::SpanContext trace;
    std::string traceparent;
    Done done;
    absl::Time arrived;
    int64_t bytes;  // what it holds, roughly
    bool deferred = false;
  };
  struct Metrics {
    explicit Metrics(metrics::Registry& registry);
    metrics::Histogram& group_requests;
    metrics::Histogram& group_events;
    metrics::Histogram& wait_seconds;
    metrics::Histogram& commit_seconds;
    metrics::Gauge& queue_requests;
    metrics::Gauge& queue_events;
    metrics::Gauge& queue_bytes;
    metrics::Gauge& known_subaccounts;
    metrics::Counter& events;
    metrics::Counter& retries;
  };

  bool HasWork() const ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return closed_ || Waiting() > 0; }
  size_t Waiting() const ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
    return deferred_.size() + queue_.size();
  }
  void Run();
  // Whether so much more may wait. A request that comes alone may always.
  bool HasRoom(size_t events, int64_t bytes) const ABSL_SHARED_LOCKS_REQUIRED(mutex_);
  std::vector<Job> TakeGroup();
  void Process(std::vector<Job> jobs);
  // Answers each job.
  void Commit(std::vector<Job> jobs);
  // Tells a batch's trace, `span` of `traced`, of the others, and each of them of their share in
  // it.
  void TraceBatch(const std::vector<Job>& jobs, const Job& traced,
                  const std::vector<absl::StatusOr<Written>>& outcomes, absl::Time start,
                  trace::Span& span) const;
  std::vector<absl::StatusOr<Written>> TryCommit(absl::Span<const GroupItem> items);
  absl::Status TryOnce(Group& group, const CallContext& context);
  // ABORTED, with all ids forgotten, when another server answers than the one that gave them: one
  // that has come back from a backup has other ids.
  absl::Status CheckServer(const postgres::Transaction& tx);
  void Answer(std::vector<Job>& jobs, std::vector<absl::StatusOr<Written>> outcomes);
  void Defer(std::vector<Job> jobs);

  const WriterOptions options_;
  postgres::Pool& pool_;
  const outbox::Outbox& outbox_;
  const trace::Tracer& tracer_;
  Metrics metrics_;

  absl::Mutex mutex_;
  std::deque<Job> queue_ ABSL_GUARDED_BY(mutex_);
  // That were in a batch and could not be decided in it. They come first, but fill half of a batch
  // at most: many changes of one thing must not keep all else from being written.
  std::deque<Job> deferred_ ABSL_GUARDED_BY(mutex_);
  // Of both.
  size_t queue_events_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t queue_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  bool closed_ ABSL_GUARDED_BY(mutex_) = true;

  // Of the thread alone.
  AccountIds ids_;
  NewIds new_ids_;
  // Of the server that they came from.
  absl::Time ids_from_ = absl::InfinitePast();

  runtime::StopSignal stop_;
  runtime::Thread thread_;
};

}  // namespace saldo::accounts
