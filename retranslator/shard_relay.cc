#include "retranslator/shard_relay.h"

#include <algorithm>
#include <utility>

#include "absl/time/clock.h"
#include "common/base/status_macros.h"
#include "common/observability/log.h"
#include "common/postgres/error.h"
#include "common/runtime/thread_shard.h"
#include "common/schema/migrator.h"

namespace saldo::retranslator {
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

ShardRelay::State StateOf(const absl::Status& status) {
  if (status.ok()) return ShardRelay::State::kWorks;
  return absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status)
             ? ShardRelay::State::kAway
             : ShardRelay::State::kRefused;
}

}  // namespace

ShardRelay::ShardRelay(shards::Identity identity, const PipelineOptions& options,
                       const kafka::ProducerOptions& kafka, postgres::PoolOptions postgres,
                       const metrics::Registry& registry, const trace::Tracer& tracer,
                       std::function<void()> changed)
    : identity_(std::move(identity)),
      changed_(std::move(changed)),
      registry_(registry, {{"shard", identity_.name}}),
      up_(registry_.AddGauge("saldo_shard_up",
                             "1 while the shard's database answers and its parts work.")),
      metrics_(registry_),
      pool_(std::move(postgres), registry_),
      pipeline_(identity_, options, kafka, pool_, tracer, metrics_) {}

void ShardRelay::Begin() {
  const runtime::ScopedShard shard(pool_.options().shard);
  thread_ = runtime::Thread("shard-" + name(), [this] { Run(); });
}

void ShardRelay::Interrupt() {
  cancel_.Cancel();
  stop_.Stop();
  pipeline_.Interrupt();
}

void ShardRelay::Stop() {
  Interrupt();
  thread_.Join();
  pipeline_.Stop();
  connection_ = nullptr;
  pool_.Close();
}

ShardRelay::Report ShardRelay::report() const {
  absl::MutexLock lock(&mutex_);
  return report_;
}

void ShardRelay::Run() {
  absl::Duration pause;
  while (!stop_.stopped()) {
    absl::Status status = Look();
    if (stop_.stopped()) return;
    if (status.ok() && !std::exchange(relaying_, true)) status = pipeline_.Start();
    Settle(status);
    if (status.ok()) {
      pause = absl::ZeroDuration();
      stop_.WaitFor(kWatchInterval);
    } else {
      pause = std::clamp(pause * 2, kPauseMin,
                         StateOf(status) == State::kAway ? kAwayPauseMax : kRefusedPause);
      stop_.WaitFor(pause);
    }
  }
}

absl::Status ShardRelay::Look() {
  // For both tries: a network that swallows everything is noticed in this time.
  const CallContext context =
      CallContext::WithTimeout(relaying_ ? kPingTimeout : kAttempt, &cancel_);
  const absl::Status status = Ask(context);
  // One connection that was lost says nothing yet.
  return postgres::IsConnectionLost(status) ? Ask(context) : status;
}

absl::Status ShardRelay::Ask(const CallContext& context) {
  // A server that starts later may have made it another shard.
  if (connection_ != nullptr && connection_->Usable())
    return shards::CheckIdentity(*connection_, context, identity_);
  connection_ = nullptr;
  postgres::ConnectionOptions options = pool_.options().connection;
  options.application_name += "-watch";
  // What does not answer is away; nobody waits longer to have it stop.
  options.cancels = false;
  SALDO_ASSIGN_OR_RETURN(auto connection, postgres::Connection::Open(options, context));
  SALDO_RETURN_IF_ERROR(schema::CheckCurrent(*connection, context));
  SALDO_RETURN_IF_ERROR(shards::CheckIdentity(*connection, context, identity_));
  connection_ = std::move(connection);
  return absl::OkStatus();
}

void ShardRelay::Settle(const absl::Status& status) {
  const State state = StateOf(status);
  State before = State::kNew;
  {
    absl::MutexLock lock(&mutex_);
    before = report_.state;
    report_ = {.state = state, .reason = status};
  }
  up_.Set(state == State::kWorks ? 1 : 0);
  if (state == State::kWorks) {
    if (before == State::kAway || before == State::kRefused) log::Info("the database is there");
    remind_ = absl::InfinitePast();
  } else if (before != state || absl::Now() >= remind_) {
    const bool away = state == State::kAway;
    log::Write(away ? log::Level::kWarning : log::Level::kError,
               away ? "waiting for the database" : "the database does not fit",
               {{"reason", status}});
    remind_ = absl::Now() + kRemind;
  }
  if (before != state) changed_();
}

}  // namespace saldo::retranslator
