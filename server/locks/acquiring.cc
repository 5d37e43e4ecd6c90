#include "server/locks/acquiring.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/strings.h"
#include "common/rpc/errors.h"

namespace saldo::locks {
namespace {

constexpr size_t kQueueCapacity = 1'024;
constexpr absl::Duration kFullRetry = absl::Milliseconds(200);
// Between the end of a wait and the deadline of its call: for the answer to get there in time.
constexpr absl::Duration kAnswerTime = absl::Milliseconds(100);

std::vector<std::unique_ptr<ShardLocks>> MakeLocks(shards::ShardSet& shards,
                                                   const trace::Tracer& tracer) {
  std::vector<std::unique_ptr<ShardLocks>> locks;
  for (size_t i = 0; i < shards.size(); ++i)
    locks.push_back(std::make_unique<ShardLocks>(shards, i, tracer));
  return locks;
}

absl::Status TooMany(std::string_view what) {
  return rpc::WithRetryInfo(
      absl::ResourceExhaustedError(absl::StrCat("too many calls ", AsAbsl(what))), kFullRetry);
}

}  // namespace

ShardLocks::ShardLocks(shards::ShardSet& shards, size_t shard, const trace::Tracer& tracer)
    : metrics(shards.registry(shard)),
      store(shards.pool(shard)),
      waiting({}, store, shards.pool(shard).options().connection, metrics, tracer) {
  shards.Add(shard, waiting);
}

Acquiring::Acquiring(const LocksConfig& config, shards::ShardSet& shards,
                     const trace::Tracer& tracer)
    : config_(config),
      shards_(shards),
      tracer_(tracer),
      locks_(MakeLocks(shards, tracer)),
      room_(config.waiting_max),
      queue_(kQueueCapacity) {}

absl::Status Acquiring::Start() {
  for (int i = 0; i < config_.workers; ++i)
    threads_.emplace_back(absl::StrCat("locks-", i), [this] { Work(); });
  return absl::OkStatus();
}

void Acquiring::Stop() {
  EndWaits();
  queue_.Close();
  threads_.clear();
}

void Acquiring::EndWaits() {
  for (const auto& locks : locks_) locks->waiting.End();
}

void Acquiring::Acquire(AcquireCheck check, const CallContext& context,
                        const trace::SpanContext& trace, Answer answer) {
  auto job = std::make_unique<Job>(Job{
      .check = std::move(check), .context = context, .trace = trace, .answer = std::move(answer)});
  Job* const refused = job.get();
  if (queue_.TryPush(std::move(job))) return;
  // TryPush has left it where it was.
  const absl::Status full = TooMany("take locks");
  locks_[refused->check.shard]->metrics.CountRefusal(full);
  refused->answer(full);
}

void Acquiring::Work() {
  while (std::optional<std::unique_ptr<Job>> job = queue_.Pop()) Try(std::move(**job));
}

absl::Time Acquiring::EndOfWait(const Job& job, absl::Time now) {
  return std::min(now + job.check.wait, job.context.deadline() - kAnswerTime);
}

void Acquiring::Try(Job job) {
  const size_t shard = job.check.shard;
  ShardLocks& locks = *locks_[shard];
  // Counts, and names the shard in an error.
  Answer answer = [this, shard, &locks, exclusive = job.check.claim.exclusive,
                   answer = std::move(job.answer)](absl::StatusOr<Granted> outcome) mutable {
    if (outcome.ok()) {
      locks.metrics.CountGrant(exclusive, outcome->expired);
      return answer(std::move(outcome));
    }
    locks.metrics.CountRefusal(outcome.status());
    answer(shards_.Named(shard, outcome.status()));
  };
  if (absl::Status status = job.context.Check(); !status.ok()) return answer(status);

  const absl::Time now = absl::Now();
  const absl::Duration wait = EndOfWait(job, now) - now;
  const bool waits = job.check.wait > absl::ZeroDuration() && wait > absl::ZeroDuration();
  const bool seated = waits && room_.TryEnter();
  absl::StatusOr<std::variant<Granted, Queued>> outcome = [&] {
    trace::Span span(tracer_, "locks.Acquire", trace::Kind::kInternal, job.trace);
    return locks.store.Acquire(job.context, job.check.claim, std::nullopt,
                               seated ? wait : absl::ZeroDuration());
  }();
  Queued* const queued = outcome.ok() ? std::get_if<Queued>(&*outcome) : nullptr;
  if (queued == nullptr) {
    if (seated) room_.Leave();
    if (outcome.ok()) return answer(std::get<Granted>(*outcome));
    const bool refused = outcome.status().code() == absl::StatusCode::kFailedPrecondition;
    return answer(waits && !seated && refused ? TooMany("wait for locks") : outcome.status());
  }
  locks.waiting.Park(
      {.claim = std::move(job.check.claim),
       .waiter = queued->waiter,
       .context = job.context,
       .trace = job.trace,
       .since = now,
       .until = now + wait,
       .refusal = std::move(queued->refusal),
       .answer = [this, answer = std::move(answer)](absl::StatusOr<Granted> late) mutable {
         room_.Leave();
         answer(std::move(late));
       }});
}

}  // namespace saldo::locks
