#include "server/shards/shard.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/status_macros.h"
#include "common/observability/log.h"
#include "common/postgres/error.h"
#include "common/runtime/thread_shard.h"
#include "common/schema/migrator.h"
#include "server/shards/errors.h"

namespace saldo::shards {
namespace {

constexpr absl::Duration kPauseMin = absl::Milliseconds(50);
constexpr absl::Duration kAwayPauseMax = absl::Seconds(2);
// What an operator has to mend takes its time.
constexpr absl::Duration kRefusedPause = absl::Seconds(5);
constexpr absl::Duration kAttempt = absl::Seconds(10);
constexpr absl::Duration kWatchInterval = absl::Seconds(1);
// A database that is slower than this for a moment is not away for that.
constexpr absl::Duration kPingTimeout = absl::Seconds(5);
// Between two lines of the log about a shard that stays as it is.
constexpr absl::Duration kRemind = absl::Seconds(5);

constexpr postgres::Statement kPing{"shard.ping", "SELECT 1"};

bool IsAway(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status);
}

// For one of several.
postgres::PoolOptions Gated(postgres::PoolOptions options, const std::string& shard,
                            std::function<absl::Status()> gate) {
  options.shard = shard;
  options.gate = std::move(gate);
  return options;
}

}  // namespace

Shard::Shard(Identity identity, bool alone, postgres::PoolOptions options,
             const jobs::JobsConfig& jobs, const metrics::Registry& registry,
             std::function<void()> changed)
    : identity_(std::move(identity)),
      alone_(alone),
      changed_(std::move(changed)),
      registry_(registry, {{"shard", identity_.name}}),
      up_(registry_.AddGauge("saldo_shard_up",
                             "1 while the shard's database answers and its parts work.")),
      pool_(
          alone ? std::move(options) : Gated(std::move(options), name(), [this] { return Gate(); }),
          registry_),
      stats_(pool_, registry_),
      outbox_([this] {
        if (sequencer_.has_value()) sequencer_->Wake();
      }) {
  parts_.push_back(&stats_);
  if (jobs.sequencer_enabled) {
    sequencer_.emplace(jobs.sequencer, pool_.options().connection, registry_);
    parts_.push_back(&*sequencer_);
  }
  if (jobs.partitions_enabled) {
    partition_keeper_.emplace(jobs.partitions, pool_, registry_);
    parts_.push_back(&*partition_keeper_);
  }
}

void Shard::Begin() {
  const runtime::ScopedShard shard(log_name());
  thread_ = runtime::Thread("shard-" + name(), [this] { Run(); });
}

void Shard::Interrupt() {
  cancel_.Cancel();
  stop_.Stop();
}

void Shard::Stop() {
  const runtime::ScopedShard shard(log_name());
  Interrupt();
  thread_.Join();
  while (parts_started_ > 0) {
    runtime::Service* part = parts_[--parts_started_];
    const absl::Time begin = absl::Now();
    part->Stop();
    log::Info("stopped", {{"part", part->name()}, {"took", absl::Now() - begin}});
  }
  connection_ = nullptr;
  pool_.Close();
}

void Shard::Run() {
  bool started = false;
  while (!stop_.stopped()) {
    const absl::Status status = started ? Watch() : TryStart();
    if (stop_.stopped()) return;
    started = started || status.ok();
    Settle(status);
    stop_.WaitFor(NextPause(status));
  }
}

absl::Duration Shard::NextPause(const absl::Status& status) {
  if (status.ok()) {
    pause_ = absl::ZeroDuration();
    return kWatchInterval;
  }
  pause_ = std::clamp(pause_ * 2, kPauseMin, IsAway(status) ? kAwayPauseMax : kRefusedPause);
  return pause_;
}

absl::Status Shard::Connect(const CallContext& context) {
  if (connection_ != nullptr && connection_->Usable()) return absl::OkStatus();
  connection_ = nullptr;
  postgres::ConnectionOptions options = pool_.options().connection;
  options.application_name += "-watch";
  // What does not answer is away; nobody waits longer to have it stop.
  options.cancels = false;
  SALDO_ASSIGN_OR_RETURN(auto connection, postgres::Connection::Open(options, context));
  // It may be another database than before.
  SALDO_RETURN_IF_ERROR(schema::CheckCurrent(*connection, context));
  SALDO_RETURN_IF_ERROR(FixIdentity(*connection, context, identity_));
  connection_ = std::move(connection);
  return absl::OkStatus();
}

absl::Status Shard::TryStart() {
  SALDO_RETURN_IF_ERROR(Connect(CallContext::WithTimeout(kAttempt, &cancel_)));
  reachable_ = true;
  return StartParts();
}

absl::Status Shard::StartParts() {
  while (parts_started_ < parts_.size()) {
    runtime::Service* part = parts_[parts_started_];
    const absl::Time begin = absl::Now();
    const absl::Status status = part->Start();
    if (!status.ok()) {
      absl::Status named(status.code(), absl::StrCat("cannot start ", std::string(part->name()),
                                                     ": ", status.message()));
      return named;
    }
    ++parts_started_;
    log::Debug("started", {{"part", part->name()}, {"took", absl::Now() - begin}});
  }
  return absl::OkStatus();
}

absl::Status Shard::Watch() {
  // For both tries: a network that swallows everything is noticed in this time.
  const CallContext context = CallContext::WithTimeout(kPingTimeout, &cancel_);
  const auto ping = [&]() -> absl::Status {
    SALDO_RETURN_IF_ERROR(Connect(context));
    return connection_->Query(context, kPing).status();
  };
  const absl::Status status = ping();
  // One connection that was lost says nothing yet.
  return postgres::IsConnectionLost(status) ? ping() : status;
}

void Shard::Settle(const absl::Status& status) {
  const State state = status.ok() ? State::kWorks : IsAway(status) ? State::kAway : State::kRefused;
  Report before;
  {
    absl::MutexLock lock(&mutex_);
    before = report_;
    report_ = {
        .state = state, .started = before.started || state == State::kWorks, .reason = status};
    reachable_ = state == State::kWorks;
    ready_ = report_.started && (alone_ || state == State::kWorks);
  }
  up_.Set(state == State::kWorks ? 1 : 0);
  if (state == State::kWorks) {
    if (before.state == State::kAway || before.state == State::kRefused)
      log::Info("the database is there");
    remind_ = absl::InfinitePast();
  } else if (before.state != state || absl::Now() >= remind_) {
    log::Write(state == State::kAway ? log::Level::kWarning : log::Level::kError,
               state == State::kAway ? "waiting for the database" : "the database does not fit",
               {{"reason", status}});
    remind_ = absl::Now() + kRemind;
  }
  if (before.state != state) changed_();
}

Shard::Report Shard::report() const {
  absl::MutexLock lock(&mutex_);
  return report_;
}

absl::Status Shard::Check() const { return ready_ ? absl::OkStatus() : ShardUnavailable(name()); }

absl::Status Shard::Gate() const {
  return reachable_ ? absl::OkStatus() : ShardUnavailable(name());
}

}  // namespace saldo::shards
