// Tasks in PostgreSQL. All times are the database's.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "common/base/call_context.h"
#include "common/postgres/pool.h"
#include "server/tasks/kinds.h"

namespace saldo::tasks {

enum class State { kWaiting, kRunning, kDone, kFailed };

// As the table has it: "waiting".
std::string_view StateName(State state);

struct Task {
  int64_t id = 0;
  std::string kind;
  std::string key;
  std::string payload;
  State state = State::kWaiting;
  absl::Time run_at;
  int attempts = 0;
  int max_attempts = 0;
  std::string last_error;
  std::string result;
  absl::Time created_at;
  std::optional<absl::Time> started_at;
  std::optional<absl::Time> finished_at;
};

struct NewTask {
  std::string kind;
  std::string key;
  std::string payload;
  std::optional<absl::Time> run_at;  // nothing: now
};

struct Enqueued {
  int64_t id;
  bool coalesced;  // one that did the same was waiting already
};

struct TaskQuery {
  std::string kind;            // empty: all
  std::optional<State> state;  // nothing: all
  int64_t before;              // ids below this
  int64_t limit;
};

// A run that was begun: who has it, and which attempt it is. A change by any other is refused.
struct Lease {
  int64_t id;
  std::string owner;
  int attempt;
};

struct Claimed {
  TaskContext::Task task;
  int max_attempts;
  std::string traceparent;
};

struct Abandoned {
  int64_t id;
  std::string kind;
  bool failed;  // no attempts are left
};

struct Fired {
  std::string kind;
  absl::Time fired_at;
  absl::Time now;
};

struct KindCount {
  std::string kind;
  State state;
  int64_t count;
};

// Thread-safe.
class TaskStore {
 public:
  // `pool` outlives the store.
  explicit TaskStore(postgres::Pool& pool) : pool_(pool) {}

  // ALREADY_EXISTS when a task of that kind and key waits with another payload.
  absl::StatusOr<Enqueued> Enqueue(const CallContext& context, const NewTask& task);
  absl::StatusOr<Task> Get(const CallContext& context, int64_t id);
  // The newest first.
  absl::StatusOr<std::vector<Task>> List(const CallContext& context, const TaskQuery& query);
  // Of those that wait or run.
  absl::StatusOr<std::vector<KindCount>> Count(const CallContext& context);

  // Makes the kinds known.
  absl::Status Register(const CallContext& context, const Kinds& kinds);
  // When each kind's schedule was last acted on.
  absl::StatusOr<std::vector<Fired>> ReadFired(const CallContext& context,
                                               absl::Span<const std::string> kinds);
  // Adds a task of the kind, unless one waits. False when another has fired it meanwhile.
  absl::StatusOr<bool> Fire(const CallContext& context, const Fired& seen);

  // Begins the run of a task of one of the kinds that is due, if there is one.
  absl::StatusOr<std::optional<Claimed>> Claim(const CallContext& context,
                                               absl::Span<const std::string> kinds,
                                               const std::string& owner, absl::Duration lease);
  // Renews the leases and stores progress where there is some; answers the ids of those that the
  // owner still has.
  absl::StatusOr<std::vector<int64_t>> Renew(const CallContext& context, const std::string& owner,
                                             absl::Span<const int64_t> ids,
                                             absl::Span<const std::string> progress,
                                             absl::Duration lease);
  // Runs whose lease has ended wait again, or have failed when it was their last attempt.
  absl::StatusOr<std::vector<Abandoned>> TakeBack(const CallContext& context);

  // The ends of a run. False when the lease was lost, and nothing was changed.
  absl::StatusOr<bool> Finish(const CallContext& context, const Lease& lease,
                              std::string_view result);
  absl::StatusOr<bool> Fail(const CallContext& context, const Lease& lease, std::string_view error);
  absl::StatusOr<bool> Retry(const CallContext& context, const Lease& lease, std::string_view error,
                             absl::Duration wait);
  // As if the run had not begun.
  absl::StatusOr<bool> Return(const CallContext& context, const Lease& lease);

  // Removes up to `limit` finished tasks that are older than `keep` or beyond the newest
  // `keep_count`; answers how many.
  absl::StatusOr<int64_t> Remove(const CallContext& context, absl::Duration keep,
                                 int64_t keep_count, int64_t limit);

 private:
  template <typename... Args>
  absl::StatusOr<int64_t> Change(const CallContext& context, const postgres::Statement& statement,
                                 const Args&... args);

  postgres::Pool& pool_;
};

}  // namespace saldo::tasks
