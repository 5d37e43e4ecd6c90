// The relays of all shards. They do not know of each other: one whose database is away leaves the
// others working.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/observability/metrics.h"
#include "common/observability/trace.h"
#include "common/runtime/service.h"
#include "common/runtime/stop_signal.h"
#include "common/shards/config.h"
#include "retranslator/config.h"
#include "retranslator/shard_relay.h"

namespace saldo::retranslator {

class RelaySet final : public runtime::Service {
 public:
  // `pause` waits while the databases are away; false ends the start. Null: until Interrupt. All
  // arguments but it are used by the constructor alone, or outlive the set.
  RelaySet(const RetranslatorConfig& config, const shards::Databases& databases,
           const metrics::Registry& registry, const trace::Tracer& tracer,
           std::function<bool(absl::Duration)> pause);
  ~RelaySet() override { Stop(); }

  std::string_view name() const override { return "relays"; }
  // Returns once every database was tried and one fits; the others are tried on. The first that
  // does not fit is an error at once. UNAVAILABLE when none answers for `database_start_timeout`.
  absl::Status Start() override;
  void Stop() override;
  // Ends a Start that waits in another thread.
  void Interrupt();

  size_t size() const { return relays_.size(); }
  // Whether this process ships this shard's outbox.
  bool active(size_t shard) const { return relays_[shard]->active(); }

  // For readiness: OK while any database answers; an only one is asked now.
  absl::Status Ready() const;
  // One line for each shard of several that does not work: "shard north: away".
  std::string Missing() const;

 private:
  // What became of a start so far: nothing while it is to be waited for.
  std::optional<absl::Status> StartOutcome(absl::Time deadline) const;

  const absl::Duration start_timeout_;
  const std::function<bool(absl::Duration)> pause_;
  std::vector<std::unique_ptr<ShardRelay>> relays_;
  runtime::StopSignal changed_;
};

}  // namespace saldo::retranslator
