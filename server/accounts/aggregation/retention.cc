#include "server/accounts/aggregation/retention.h"

#include <vector>

#include "common/base/status_macros.h"
#include "common/observability/log.h"
#include "common/postgres/error.h"
#include "server/accounts/aggregation/retention_store.h"

namespace saldo::accounts {
namespace {

constexpr absl::Duration kCallTimeout = absl::Seconds(30);

// Someone holds a table for longer than it may be waited for.
bool IsLockTimeout(const absl::Status& status) { return postgres::SqlState(status) == "55P03"; }

absl::Status OkWhenLocked(absl::Status status) {
  return IsLockTimeout(status) ? absl::OkStatus() : status;
}

}  // namespace

EventRetention::EventRetention(const EventRetentionOptions& options, postgres::Pool& pool,
                               metrics::Registry& registry)
    : options_(options),
      pool_(pool),
      made_(registry.AddCounter("saldo_event_partitions_made_total",
                                "Partitions of events made ahead of use.")),
      dropped_(registry.AddCounter("saldo_event_partitions_dropped_total",
                                   "Partitions of events dropped after their retention.")),
      job_("event_retention", {.interval = options.interval},
           [this](runtime::StopSignal&) { return RunOnce(); }) {}

absl::StatusOr<bool> EventRetention::RunOnce() {
  SALDO_ASSIGN_OR_RETURN(const std::vector<int32_t> types,
                         ReadTypeIds(pool_, CallContext::WithTimeout(kCallTimeout)));
  absl::Status first_failure;
  for (const int32_t type : types) {
    first_failure.Update(OkWhenLocked(Extend(type)));
    first_failure.Update(OkWhenLocked(Drop(type)));
  }
  first_failure.Update(OkWhenLocked(TurnRequestKeysOver()));
  SALDO_RETURN_IF_ERROR(first_failure);
  return false;
}

absl::Status EventRetention::Extend(int32_t type_id) {
  const PartitionWidths widths{.min = options_.width_min, .max = options_.width_max};
  int32_t made = 0;
  const auto extend = [&](postgres::Transaction& tx) -> absl::Status {
    SALDO_RETURN_IF_ERROR(MarkFilledPartitions(tx, type_id, widths));
    SALDO_ASSIGN_OR_RETURN(made, ExtendEventPartitions(tx, type_id, options_.ahead));
    return absl::OkStatus();
  };
  SALDO_RETURN_IF_ERROR(pool_.Transact(CallContext::WithTimeout(kCallTimeout),
                                       {.name = "event_retention.extend", .max_attempts = 2},
                                       extend));
  made_.Increment(made);
  if (made > 0) log::Info("event partitions made", {{"type_id", type_id}, {"made", made}});
  return absl::OkStatus();
}

absl::Status EventRetention::Drop(int32_t type_id) {
  int32_t dropped = 0;
  SALDO_RETURN_IF_ERROR(pool_.Transact(
      CallContext::WithTimeout(kCallTimeout), {.name = "event_retention.drop", .max_attempts = 2},
      [&](postgres::Transaction& tx) -> absl::Status {
        SALDO_ASSIGN_OR_RETURN(dropped, DropEventPartitions(tx, type_id));
        return absl::OkStatus();
      }));
  dropped_.Increment(dropped);
  if (dropped > 0)
    log::Info("event partitions dropped", {{"type_id", type_id}, {"count", dropped}});
  return absl::OkStatus();
}

absl::Status EventRetention::TurnRequestKeysOver() {
  const postgres::TransactionOptions options{.name = "event_retention.keys", .max_attempts = 1};
  SALDO_RETURN_IF_ERROR(pool_.Transact(
      CallContext::WithTimeout(kCallTimeout), options, [&](postgres::Transaction& tx) {
        return AdvanceRequestEpoch(tx, options_.request_retention).status();
      }));
  int32_t dropped = 0;
  SALDO_RETURN_IF_ERROR(pool_.Transact(CallContext::WithTimeout(kCallTimeout), options,
                                       [&](postgres::Transaction& tx) -> absl::Status {
                                         SALDO_ASSIGN_OR_RETURN(dropped, DropRequestEpochs(tx));
                                         return absl::OkStatus();
                                       }));
  if (dropped > 0) log::Info("old request ids dropped", {{"epochs", dropped}});
  return absl::OkStatus();
}

}  // namespace saldo::accounts
