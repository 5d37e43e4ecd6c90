#include "server/shards/shard_set.h"

#include <numeric>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "common/base/status_macros.h"
#include "common/runtime/thread.h"
#include "common/runtime/thread_shard.h"
#include "server/shards/errors.h"

namespace saldo::shards {
namespace {

// How long a signal to the process may wait while the server starts.
constexpr absl::Duration kSignalWait = absl::Milliseconds(50);
// Of one answer about readiness.
constexpr absl::Duration kPingTimeout = absl::Seconds(1);

}  // namespace

ShardSet::ShardSet(ShardSetOptions options, metrics::Registry& registry,
                   const trace::Tracer& tracer)
    : options_(std::move(options)), tracer_(tracer) {
  const Databases& databases = options_.databases;
  for (size_t i = 0; i < databases.size(); ++i) {
    postgres::PoolOptions pool = options_.postgres;
    pool.connection.dsn = databases.list[i].dsn;
    shards_.push_back(std::make_unique<Shard>(IdentityOf(databases.map, i), databases.size() == 1,
                                              std::move(pool), options_.jobs, registry,
                                              [this] { changed_.Wake(); }));
  }
}

std::optional<absl::Status> ShardSet::StartOutcome(absl::Time deadline) const {
  size_t fresh = 0, working = 0;
  std::string reasons;
  for (const auto& shard : shards_) {
    const Shard::Report report = shard->report();
    if (report.state == Shard::State::kRefused) {
      if (size() == 1) return report.reason;
      return absl::Status(report.reason.code(), absl::StrFormat("shard \"%s\": %s", shard->name(),
                                                                report.reason.message()));
    }
    fresh += report.state == Shard::State::kNew ? 1 : 0;
    working += report.state == Shard::State::kWorks ? 1 : 0;
    const std::string reason(report.state == Shard::State::kNew ? "no answer yet"
                                                                : report.reason.message());
    if (size() > 1) absl::StrAppend(&reasons, "; shard \"", shard->name(), "\"");
    absl::StrAppend(&reasons, ": ", reason);
  }
  const bool late = absl::Now() >= deadline;
  if (working > 0 && (fresh == 0 || late)) return absl::OkStatus();
  if (!late) return std::nullopt;
  return absl::UnavailableError(absl::StrCat(
      size() == 1 ? "the database" : "the database of any shard", " did not answer within ",
      absl::FormatDuration(options_.start_timeout), reasons));
}

absl::Status ShardSet::Start() {
  const absl::Time deadline = absl::Now() + options_.start_timeout;
  for (const auto& shard : shards_) shard->Begin();
  while (true) {
    std::optional<absl::Status> outcome = StartOutcome(deadline);
    if (!outcome.has_value()) {
      const bool interrupted = !changed_.WaitFor(std::min(kSignalWait, deadline - absl::Now()));
      if (!interrupted && (options_.pause == nullptr || options_.pause(absl::ZeroDuration())))
        continue;
      outcome = absl::CancelledError("stopped while waiting for the database");
    }
    if (!outcome->ok()) Stop();
    return *std::move(outcome);
  }
}

void ShardSet::Interrupt() {
  changed_.Stop();
  for (const auto& shard : shards_) shard->Interrupt();
}

void ShardSet::Stop() {
  Interrupt();
  // The home's tasks work on the others.
  for (const auto& shard : shards_) shard->Stop();
}

size_t ShardSet::AnyStarted() const {
  for (size_t i = 0; i < size(); ++i) {
    if (Check(i).ok()) return i;
  }
  return kHome;
}

absl::Status ShardSet::Named(size_t shard, const absl::Status& status) const {
  if (size() == 1 || status.ok()) return status;
  return OfShard(name(shard), status);
}

absl::Status ShardSet::ForEach(absl::Span<const size_t> which,
                               absl::FunctionRef<absl::Status(size_t shard)> work) const {
  std::vector<absl::Status> outcomes(which.size());
  const auto run = [&](size_t i) {
    const runtime::ScopedShard scope(log_name(which[i]));
    const absl::Status ready = Check(which[i]);
    outcomes[i] = ready.ok() ? Named(which[i], work(which[i])) : ready;
  };
  {
    std::optional<trace::SpanContext> parent;
    if (const trace::SpanContext* current = trace::CurrentSpan(); current != nullptr)
      parent = *current;
    std::vector<runtime::Thread> others;
    for (size_t i = 1; i < which.size(); ++i) {
      others.emplace_back("shard-call", [&, i] {
        std::optional<trace::Span> span;
        if (parent.has_value()) span.emplace(tracer_, "shard", trace::Kind::kInternal, parent);
        run(i);
      });
    }
    if (!which.empty()) run(0);
  }
  for (absl::Status& outcome : outcomes) SALDO_RETURN_IF_ERROR(std::move(outcome));
  return absl::OkStatus();
}

absl::Status ShardSet::ForAll(absl::FunctionRef<absl::Status(size_t shard)> work) const {
  std::vector<size_t> all(size());
  std::iota(all.begin(), all.end(), 0);
  return ForEach(all, work);
}

absl::Status ShardSet::Ready() {
  if (size() == 1) return pool(kHome).Ping(CallContext::WithTimeout(kPingTimeout));
  for (size_t i = 0; i < size(); ++i) {
    if (Check(i).ok()) return absl::OkStatus();
  }
  return absl::UnavailableError("no shard works");
}

std::string ShardSet::Missing() const {
  std::string lines;
  if (size() == 1) return lines;
  for (const auto& shard : shards_) {
    const Shard::Report report = shard->report();
    if (report.state == Shard::State::kWorks) continue;
    const bool refused = report.state == Shard::State::kRefused;
    absl::StrAppend(&lines, "shard ", shard->name(), ": ", refused ? "does not fit" : "away", "\n");
  }
  return lines;
}

}  // namespace saldo::shards
