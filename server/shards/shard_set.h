// The shards of a server.
//
//   ShardSet shards(options, registry, tracer);
//   shards.Add(i, part_of_shard_i);           // before Start, for each shard
//   ...
//   const size_t shard = shards.map().Of(sharding_key);
//   SALDO_RETURN_IF_ERROR(shards.Check(shard));
//   return shards.Named(shard, work_on(shards.pool(shard)));
//
// One shard down leaves the others working. With one shard, errors are those of its parts.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "common/observability/metrics.h"
#include "common/observability/trace.h"
#include "common/postgres/pool.h"
#include "common/runtime/service.h"
#include "common/runtime/stop_signal.h"
#include "common/shards/config.h"
#include "server/jobs/config.h"
#include "server/outbox/outbox.h"
#include "server/shards/shard.h"

namespace saldo::shards {

struct ShardSetOptions {
  Databases databases;
  postgres::PoolOptions postgres;  // of each shard, but for the dsn
  jobs::JobsConfig jobs;           // the same
  // How long a start waits until a first shard works.
  absl::Duration start_timeout = absl::Seconds(60);
  // Waits so long during a start; false ends it. Called by the thread that calls Start. Empty:
  // until Interrupt.
  std::function<bool(absl::Duration)> pause = nullptr;
};

class ShardSet final : public runtime::Service {
 public:
  // Of what is not sharded.
  static constexpr size_t kHome = 0;

  // `registry` and `tracer` outlive the set.
  ShardSet(ShardSetOptions options, metrics::Registry& registry, const trace::Tracer& tracer);
  ~ShardSet() override { Stop(); }

  size_t size() const { return shards_.size(); }
  const ShardMap& map() const { return options_.databases.map; }
  const std::string& name(size_t shard) const { return map().name(shard); }
  // For lines of the log about one shard (runtime::ScopedShard): "" when it is the only one.
  std::string_view log_name(size_t shard) const { return shards_[shard]->log_name(); }
  // With several shards, it refuses work while the database is known to be away, in the words of
  // Check.
  postgres::Pool& pool(size_t shard) { return shards_[shard]->pool(); }
  const outbox::Outbox& outbox(size_t shard) const { return shards_[shard]->outbox(); }
  // Adds the label `shard` to the metrics of a part that exists once a shard.
  metrics::Registry& registry(size_t shard) { return shards_[shard]->registry(); }
  // Null when it is switched off.
  jobs::PartitionKeeper* partition_keeper(size_t shard) {
    return shards_[shard]->partition_keeper();
  }

  // Before Start: a part that works on this shard and outlives the set's Stop. It is started once
  // the shard's database answers and fits, after the parts that were added before, perhaps long
  // after Start and by another thread; a start that fails is repeated, so it leaves nothing behind.
  // Stopped in reverse.
  void Add(size_t shard, runtime::Service& part) { shards_[shard]->Add(part); }

  std::string_view name() const override { return "shards"; }
  // Returns once each shard works or is away, and at least one works. UNAVAILABLE when none does
  // within start_timeout, FAILED_PRECONDITION and the like when one does not fit.
  absl::Status Start() override;
  void Stop() override;
  // Ends a Start that waits in another thread.
  void Interrupt();

  // OK once the shard has started, unless it is known to be away: UNAVAILABLE with
  // ErrorInfo {SHARD_UNAVAILABLE, metadata: shard} and RetryInfo.
  absl::Status Check(size_t shard) const { return shards_[shard]->Check(); }
  // The first shard that can be worked with, or the home.
  size_t AnyStarted() const;
  // An error of one shard, so that its caller knows which (see OfShard). As it is with one shard.
  absl::Status Named(size_t shard, const absl::Status& status) const;

  // Does `work` for each of these shards (for all), at the same time, and waits for all of them. It
  // is not called for a shard that Check refuses. Fails as a whole, with the error of the first
  // that failed, which is Named.
  absl::Status ForEach(absl::Span<const size_t> which,
                       absl::FunctionRef<absl::Status(size_t shard)> work) const;
  absl::Status ForAll(absl::FunctionRef<absl::Status(size_t shard)> work) const;

  // For readiness: OK while any shard works, one shard's being asked now.
  absl::Status Ready();
  // One line for each shard of several that does not work: "shard north: away".
  std::string Missing() const;

 private:
  // What became of a start so far: nothing while it is to be waited for.
  std::optional<absl::Status> StartOutcome(absl::Time deadline) const;

  const ShardSetOptions options_;
  const trace::Tracer& tracer_;
  std::vector<std::unique_ptr<Shard>> shards_;
  runtime::StopSignal changed_;
};

}  // namespace saldo::shards
