// The relay of one shard: its pool, metrics and pipeline. A thread of its own starts the pipeline
// as soon as the database answers and is the right one, and watches it from then on.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/base/call_context.h"
#include "common/kafka/producer.h"
#include "common/observability/metrics.h"
#include "common/observability/trace.h"
#include "common/postgres/connection.h"
#include "common/postgres/pool.h"
#include "common/runtime/stop_signal.h"
#include "common/runtime/thread.h"
#include "common/shards/identity.h"
#include "retranslator/pipeline.h"
#include "retranslator/relay_metrics.h"

namespace saldo::retranslator {

class ShardRelay {
 public:
  enum class State {
    kNew,      // not tried yet
    kAway,     // does not answer, and is tried again
    kRefused,  // its schema or identity does not fit; tried again, too
    kWorks,
  };
  struct Report {
    State state = State::kNew;
    absl::Status reason;  // why it does not work
  };

  // `postgres` has this shard's dsn, and its name where there are several. `changed` is called
  // whenever the state is another one, from the relay's thread. `registry` and `tracer` outlive the
  // relay.
  ShardRelay(shards::Identity identity, const PipelineOptions& options,
             const kafka::ProducerOptions& kafka, postgres::PoolOptions postgres,
             const metrics::Registry& registry, const trace::Tracer& tracer,
             std::function<void()> changed);
  ~ShardRelay() { Stop(); }

  const std::string& name() const { return identity_.name; }
  postgres::Pool& pool() { return pool_; }

  // Begins to try, and returns at once.
  void Begin();
  // Begins to stop, and returns at once.
  void Interrupt();
  // Returns once what was read is sent, as far as Pipeline::Stop says. Idempotent.
  void Stop();

  Report report() const;
  // Whether this process ships this shard's outbox.
  bool active() const { return pipeline_.active(); }

 private:
  void Run();
  // Whether the database answers and fits. Asks all that of each new connection, for it may be to
  // another database than before.
  absl::Status Look();
  absl::Status Ask(const CallContext& context);
  void Settle(const absl::Status& status);

  const shards::Identity identity_;
  const std::function<void()> changed_;
  metrics::Registry registry_;  // adds the label `shard`
  metrics::Gauge& up_;
  RelayMetrics metrics_;
  postgres::Pool pool_;
  Pipeline pipeline_;

  mutable absl::Mutex mutex_;
  Report report_ ABSL_GUARDED_BY(mutex_);

  // Of the thread alone.
  std::unique_ptr<postgres::Connection> connection_;
  bool relaying_ = false;
  absl::Time remind_ = absl::InfinitePast();

  CancelFlag cancel_;
  runtime::StopSignal stop_;
  runtime::Thread thread_;
};

}  // namespace saldo::retranslator
