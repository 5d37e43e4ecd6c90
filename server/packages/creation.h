// Group commit of creates: packages that are created at the same time share a transaction, so that
// its round trips and its flush to disk are paid once. A lone create waits for nothing.
//
// The first caller leads: it takes what waits and commits it for all. Those who come meanwhile wait
// for the next group, which the first of them leads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "common/base/call_context.h"
#include "common/observability/trace.h"
#include "common/postgres/pool.h"
#include "server/outbox/outbox.h"
#include "server/packages/rules.h"

namespace saldo::packages {

class Creation {
 public:
  // Packages of one transaction at the most.
  static constexpr size_t kGroupMax = 128;

  // `pool` and `outbox` outlive this. Events go to `topic`.
  Creation(postgres::Pool& pool, const outbox::Outbox& outbox, std::string topic)
      : pool_(pool), outbox_(outbox), topic_(std::move(topic)) {}

  // The id of the new package. Thread-safe.
  absl::StatusOr<int64_t> Create(const CallContext& context, const NewPackage& package);

 private:
  struct Waiting {
    NewPackage package;
    absl::Time deadline;
    std::string traceparent;
    trace::SpanContext committed_by;  // the span of the call that made it, set before `done`
    // Guarded by mutex_, which thread-safety analysis cannot see from here.
    absl::StatusOr<int64_t> id = absl::UnknownError("not created yet");
    bool taken = false;
    bool leads = false;
    bool done = false;
  };
  using Group = std::vector<std::shared_ptr<Waiting>>;

  // OK when `mine` is done or leads.
  absl::Status WaitForTurn(const CallContext& context, Waiting& mine)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Group TakeGroup() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::vector<absl::StatusOr<int64_t>> Commit(const Group& group);
  absl::Status Insert(const Group& group, std::vector<absl::StatusOr<int64_t>>* ids);

  postgres::Pool& pool_;
  const outbox::Outbox& outbox_;
  const std::string topic_;

  absl::Mutex mutex_;
  // Bounded by the threads that call.
  std::deque<std::shared_ptr<Waiting>> queue_ ABSL_GUARDED_BY(mutex_);
  // One at a time, whose own package is the first of its group.
  bool led_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace saldo::packages
