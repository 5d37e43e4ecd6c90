// One shard of a server: its database and the parts that work on it. Started by a thread of its
// own as soon as the database answers, and watched from then on.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/base/call_context.h"
#include "common/observability/metrics.h"
#include "common/postgres/connection.h"
#include "common/postgres/database_stats.h"
#include "common/postgres/pool.h"
#include "common/runtime/service.h"
#include "common/runtime/stop_signal.h"
#include "common/runtime/thread.h"
#include "common/shards/identity.h"
#include "server/jobs/config.h"
#include "server/jobs/partition_keeper.h"
#include "server/jobs/sequencer.h"
#include "server/outbox/outbox.h"

namespace saldo::shards {

class Shard {
 public:
  enum class State {
    kNew,      // not tried yet
    kAway,     // does not answer, and is tried again
    kRefused,  // its schema, identity or data do not fit this server; tried again, too
    kWorks,
  };
  struct Report {
    State state = State::kNew;
    bool started = false;  // all parts work, and go on to try when it is away later
    absl::Status reason;   // why it does not work
  };

  // `options` are those of the pool, with this shard's dsn. `changed` is called whenever the report
  // is another one, from the shard's thread. `alone`: it is the only one, so calls always try it.
  Shard(Identity identity, bool alone, postgres::PoolOptions options, const jobs::JobsConfig& jobs,
        const metrics::Registry& registry, std::function<void()> changed);
  ~Shard() { Stop(); }

  const Identity& identity() const { return identity_; }
  const std::string& name() const { return identity_.name; }
  // For lines of the log: "" when it is the only one.
  std::string_view log_name() const { return alone_ ? std::string_view() : name(); }
  postgres::Pool& pool() { return pool_; }
  const outbox::Outbox& outbox() const { return outbox_; }
  metrics::Registry& registry() { return registry_; }
  // Null when it is switched off.
  jobs::PartitionKeeper* partition_keeper() {
    return partition_keeper_.has_value() ? &*partition_keeper_ : nullptr;
  }

  // Before Begin. See ShardSet::Add.
  void Add(runtime::Service& part) { parts_.push_back(&part); }

  // Begins to try, and returns at once.
  void Begin();
  // Ends the waits for the database.
  void Interrupt();
  // Stops the parts in reverse order, and closes the pool. Idempotent.
  void Stop();

  Report report() const;
  // OK once it has started and unless it is known to be away.
  absl::Status Check() const;

 private:
  void Run();
  // Goes as far as the database lets it. OK once all parts have started.
  absl::Status TryStart();
  absl::Status StartParts();
  // Whether the database answers, and is still this shard.
  absl::Status Watch();
  absl::Status Connect(const CallContext& context);
  void Settle(const absl::Status& status);
  absl::Duration NextPause(const absl::Status& status);
  // For the pool: known to be away.
  absl::Status Gate() const;

  const Identity identity_;
  const bool alone_;
  const std::function<void()> changed_;
  metrics::Registry registry_;  // adds the label `shard`
  metrics::Gauge& up_;
  postgres::Pool pool_;
  postgres::DatabaseStats stats_;
  std::optional<jobs::Sequencer> sequencer_;
  std::optional<jobs::PartitionKeeper> partition_keeper_;
  outbox::Outbox outbox_;
  std::vector<runtime::Service*> parts_;

  mutable absl::Mutex mutex_;
  Report report_ ABSL_GUARDED_BY(mutex_);
  // The database answered and fits, perhaps before all parts have started.
  std::atomic<bool> reachable_{false};
  // What Check tells: asked by each call.
  std::atomic<bool> ready_{false};

  // Of the thread alone, and of Stop after it.
  std::unique_ptr<postgres::Connection> connection_;
  size_t parts_started_ = 0;
  absl::Duration pause_ = absl::ZeroDuration();
  absl::Time remind_ = absl::InfinitePast();

  CancelFlag cancel_;
  runtime::StopSignal stop_;
  runtime::Thread thread_;
};

}  // namespace saldo::shards
