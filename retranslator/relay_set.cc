#include "retranslator/relay_set.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/call_context.h"

namespace saldo::retranslator {
namespace {

using State = ShardRelay::State;

// How long a signal to the process may wait while the program starts.
constexpr absl::Duration kSignalWait = absl::Milliseconds(50);
// Of one answer about readiness.
constexpr absl::Duration kPingTimeout = absl::Seconds(1);

}  // namespace

RelaySet::RelaySet(const RetranslatorConfig& config, const shards::Databases& databases,
                   const metrics::Registry& registry, const trace::Tracer& tracer,
                   std::function<bool(absl::Duration)> pause)
    : start_timeout_(config.database_start_timeout), pause_(std::move(pause)) {
  for (size_t i = 0; i < databases.size(); ++i) {
    postgres::PoolOptions pool = config.postgres;
    pool.connection.dsn = databases.list[i].dsn;
    if (databases.size() > 1) pool.shard = databases.list[i].name;
    relays_.push_back(std::make_unique<ShardRelay>(shards::IdentityOf(databases.map, i),
                                                   config.relay, config.kafka, std::move(pool),
                                                   registry, tracer, [this] { changed_.Wake(); }));
  }
}

std::optional<absl::Status> RelaySet::StartOutcome(absl::Time deadline) const {
  size_t fresh = 0, working = 0;
  std::string reasons;
  for (const auto& relay : relays_) {
    const ShardRelay::Report report = relay->report();
    const std::string named = size() == 1 ? "" : absl::StrCat("shard \"", relay->name(), "\": ");
    if (report.state == State::kRefused) {
      return absl::Status(report.reason.code(), absl::StrCat(named, report.reason.message()));
    }
    fresh += report.state == State::kNew ? 1 : 0;
    working += report.state == State::kWorks ? 1 : 0;
    absl::StrAppend(&reasons, reasons.empty() ? ": " : "; ", named,
                    report.state == State::kNew ? "no answer yet" : report.reason.message());
  }
  const bool late = absl::Now() >= deadline;
  if (working > 0 && (fresh == 0 || late)) return absl::OkStatus();
  if (!late) return std::nullopt;
  return absl::UnavailableError(
      absl::StrCat(size() == 1 ? "the database" : "the database of any shard",
                   " did not answer within ", absl::FormatDuration(start_timeout_), reasons));
}

absl::Status RelaySet::Start() {
  const absl::Time deadline = absl::Now() + start_timeout_;
  for (const auto& relay : relays_) relay->Begin();
  while (true) {
    std::optional<absl::Status> outcome = StartOutcome(deadline);
    if (!outcome.has_value()) {
      const bool interrupted = !changed_.WaitFor(std::min(kSignalWait, deadline - absl::Now()));
      if (!interrupted && (pause_ == nullptr || pause_(absl::ZeroDuration()))) continue;
      outcome = absl::CancelledError("stopped while waiting for the database");
    }
    if (!outcome->ok()) Stop();
    return *std::move(outcome);
  }
}

void RelaySet::Interrupt() { changed_.Stop(); }

void RelaySet::Stop() {
  Interrupt();
  // All at once, for each may wait long for Kafka.
  for (const auto& relay : relays_) relay->Interrupt();
  for (const auto& relay : relays_) relay->Stop();
}

absl::Status RelaySet::Ready() const {
  if (size() == 1) return relays_[0]->pool().Ping(CallContext::WithTimeout(kPingTimeout));
  const bool any = std::any_of(relays_.begin(), relays_.end(), [](const auto& relay) {
    return relay->report().state == State::kWorks;
  });
  return any ? absl::OkStatus() : absl::UnavailableError("no shard works");
}

std::string RelaySet::Missing() const {
  std::string lines;
  if (size() == 1) return lines;
  for (const auto& relay : relays_) {
    const State state = relay->report().state;
    if (state == State::kWorks) continue;
    absl::StrAppend(&lines, "shard ", relay->name(), ": ",
                    state == State::kRefused ? "does not fit" : "away", "\n");
  }
  return lines;
}

}  // namespace saldo::retranslator
