#include "server/locks/waiting.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>
#include <variant>

#include "absl/time/clock.h"
#include "common/base/status_macros.h"
#include "common/observability/log.h"

namespace saldo::locks {
namespace {

constexpr postgres::Statement kListen{"locks.listen", "LISTEN saldo_locks"};

constexpr absl::Duration kCallTimeout = absl::Seconds(10);
// Of one try: a transaction that holds a lock's row for longer delays nobody else.
constexpr absl::Duration kTryTimeout = absl::Seconds(1);
// After which a round of tries ends, for what happened meanwhile to be seen.
constexpr absl::Duration kRoundMax = absl::Milliseconds(500);
constexpr absl::Duration kRetryWait = absl::Milliseconds(200);
// How long the connection is kept when nobody waits.
constexpr absl::Duration kIdle = absl::Seconds(10);

}  // namespace

Waiting::Waiting(const WaitingOptions& options, LockStore& store,
                 postgres::ConnectionOptions connection, LockMetrics& metrics,
                 const trace::Tracer& tracer)
    : options_(options),
      store_(store),
      connection_options_(std::move(connection)),
      metrics_(metrics),
      tracer_(tracer) {
  connection_options_.application_name += "-lock-waits";
}

absl::Status Waiting::Start() {
  thread_ = runtime::Thread("lock-waits", [this] { Run(); });
  return absl::OkStatus();
}

void Waiting::Stop() {
  End();
  stop_.Stop();
  thread_.Join();
}

void Waiting::End() {
  {
    absl::MutexLock lock(&mutex_);
    ended_ = true;
  }
  stop_.Wake();
}

void Waiting::Park(WaitingCall call) {
  {
    absl::MutexLock lock(&mutex_);
    if (!ended_) {
      new_.push_back(std::move(call));
      stop_.Wake();
      return;
    }
  }
  call.answer(absl::UnavailableError("the server stops"));
}

bool Waiting::AnyNew() const {
  absl::MutexLock lock(&mutex_);
  return !new_.empty();
}

void Waiting::Run() {
  while (!stop_.stopped()) {
    if (lines_.empty() && !AnyNew()) {
      stop_.WaitFor(kIdle);
      continue;
    }
    const absl::Status status = Serve();
    if (status.ok()) {
      failures_ = 0;
      continue;
    }
    const auto level = ++failures_ == 1 ? log::Level::kWarning : log::Level::kDebug;
    log::Write(level, "calls do not wait for locks any more", {{"reason", status}});
    TakeNew();
    AnswerAll(absl::UnavailableError("the database was lost while the call waited for a lock"));
    left_.clear();  // their leases pass
    stop_.WaitFor(kRetryWait);
  }
  TakeNew();
  AnswerAll(absl::UnavailableError("the server stops"));
  LeavePlaces();
}

absl::Status Waiting::Serve() {
  SALDO_ASSIGN_OR_RETURN(
      const std::unique_ptr<postgres::Connection> connection,
      postgres::Connection::Open(connection_options_, CallContext::WithTimeout(kCallTimeout)));
  SALDO_RETURN_IF_ERROR(
      connection->Query(CallContext::WithTimeout(kCallTimeout), kListen).status());
  // What was told before was not heard.
  for (auto& [name, line] : lines_) line.retry_at = absl::InfinitePast();
  std::vector<std::string> told;
  while (!stop_.stopped()) {
    TakeNew();
    AnswerThoseOver();
    RenewPlaces();
    RetryDue();
    std::erase_if(lines_, [](const auto& entry) { return entry.second.calls.empty(); });
    LeavePlaces();
    if (lines_.empty()) {
      if (!AnyNew()) stop_.WaitFor(kIdle);
      if (!AnyNew()) return absl::OkStatus();
      continue;
    }
    told.clear();
    SALDO_RETURN_IF_ERROR(connection->WaitForNotification(TimeToNext(), &told).status());
    for (const std::string& name : told) {
      if (const auto line = lines_.find(name); line != lines_.end())
        line->second.retry_at = absl::InfinitePast();
    }
  }
  return absl::OkStatus();
}

absl::Duration Waiting::TimeToNext() const {
  absl::Time next = absl::InfiniteFuture();
  for (const auto& [name, line] : lines_) next = std::min(next, line.retry_at);
  return std::clamp(next - absl::Now(), absl::ZeroDuration(), options_.slice);
}

void Waiting::TakeNew() {
  std::vector<WaitingCall> fresh;
  {
    absl::MutexLock lock(&mutex_);
    fresh.swap(new_);
  }
  count_ += fresh.size();
  for (WaitingCall& call : fresh) {
    Line& line = lines_[call.claim.lock.Signal()];
    // Whatever was told between its first try and now was not told to it.
    line.retry_at = absl::InfinitePast();
    const int64_t waiter = call.waiter;
    line.calls.emplace(waiter, std::move(call));
  }
  metrics_.SetWaiting(count_);
}

void Waiting::AnswerThoseOver() {
  bool ended = false;
  {
    absl::MutexLock lock(&mutex_);
    ended = ended_;
  }
  if (ended) return AnswerAll(absl::UnavailableError("the server stops"));
  const absl::Time now = absl::Now();
  for (auto& [name, line] : lines_) {
    for (auto call = line.calls.begin(); call != line.calls.end();) {
      WaitingCall& waiting = call->second;
      if (!waiting.context.cancelled() && now < waiting.until) {
        ++call;
        continue;
      }
      left_.push_back(waiting.waiter);
      // Who comes behind moves up.
      line.retry_at = absl::InfinitePast();
      Answer(waiting, waiting.context.cancelled() ? waiting.context.Check() : waiting.refusal);
      call = line.calls.erase(call);
    }
  }
}

void Waiting::AnswerAll(const absl::Status& status) {
  for (auto& [name, line] : lines_) {
    for (auto& [waiter, call] : line.calls) {
      left_.push_back(waiter);
      Answer(call, status);
    }
  }
  lines_.clear();
  metrics_.SetWaiting(count_);
}

void Waiting::Answer(WaitingCall& call, absl::StatusOr<Granted> outcome) {
  --count_;
  metrics_.SetWaiting(count_);
  metrics_.ObserveWait(absl::Now() - call.since);
  call.answer(std::move(outcome));
}

// Those that were told come first, then those that are due for longest: lines whose tries are slow
// hold up the others for a round at most.
void Waiting::RetryDue() {
  const absl::Time now = absl::Now();
  std::vector<Line*> due;
  for (auto& [name, line] : lines_) {
    if (line.retry_at <= now) due.push_back(&line);
  }
  std::stable_sort(due.begin(), due.end(),
                   [](const Line* a, const Line* b) { return a->retry_at < b->retry_at; });
  for (Line* const line : due) {
    Retry(*line);
    RenewPlaces();
    if (absl::Now() - now > kRoundMax) return;
  }
}

void Waiting::Retry(Line& line) {
  while (!line.calls.empty() && RetryFirst(line)) RenewPlaces();
}

bool Waiting::RetryFirst(Line& line) {
  const auto first = line.calls.begin();
  WaitingCall& call = first->second;
  const absl::Time now = absl::Now();
  absl::StatusOr<std::variant<Granted, Queued>> outcome = [&] {
    trace::Span span(tracer_, "locks.Retry", trace::Kind::kInternal, call.trace);
    return store_.Acquire(call.context.Within(kTryTimeout), call.claim, call.waiter,
                          std::max(call.until - now, absl::Milliseconds(1)));
  }();
  if (!outcome.ok()) {
    // AnswerThoseOver finds a call that is over itself.
    const bool slow = outcome.status().code() == absl::StatusCode::kDeadlineExceeded;
    if (slow || call.context.cancelled()) {
      line.retry_at = absl::Now() + kTryTimeout;
      return false;
    }
    left_.push_back(call.waiter);
    Answer(call, outcome.status());
    line.calls.erase(first);
    return true;
  }
  if (Granted* const granted = std::get_if<Granted>(&*outcome)) {
    Answer(call, *granted);
    line.calls.erase(first);
    return true;
  }
  const Queued& queued = std::get<Queued>(*outcome);
  call.refusal = queued.refusal;
  // A little later, as clocks are not that exact.
  line.retry_at =
      absl::Now() + std::min(queued.retry_in + absl::Milliseconds(1), options_.poll_interval);
  if (queued.waiter == call.waiter) return false;
  // Its lease had passed, and it has a place at the end now.
  call.waiter = queued.waiter;
  auto node = line.calls.extract(first);
  node.key() = queued.waiter;
  const auto placed = line.calls.insert(std::move(node)).position;
  return placed != line.calls.begin();
}

void Waiting::RenewPlaces() {
  const absl::Time now = absl::Now();
  if (now < renew_at_) return;
  renew_at_ = now + options_.renew_interval;
  std::vector<int64_t> waiters;
  for (const auto& [name, line] : lines_) {
    for (const auto& [waiter, call] : line.calls) waiters.push_back(waiter);
  }
  if (waiters.empty()) return;
  const absl::Status status =
      store_.RenewPlaces(CallContext::WithTimeout(LockStore::kLease), waiters);
  if (!status.ok()) log::Warning("places in the queues of locks not renewed", {{"reason", status}});
}

void Waiting::LeavePlaces() {
  if (left_.empty()) return;
  const absl::Status status = store_.LeavePlaces(CallContext::WithTimeout(kTryTimeout), left_);
  // Their leases pass.
  if (!status.ok()) log::Debug("places in the queues of locks not left", {{"reason", status}});
  left_.clear();
}

}  // namespace saldo::locks
