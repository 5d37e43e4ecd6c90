#include "server/accounts/writing/writer.h"

#include <algorithm>
#include <utility>

#include "absl/random/random.h"
#include "absl/time/clock.h"
#include "common/base/status_macros.h"
#include "common/observability/log.h"
#include "common/postgres/error.h"
#include "common/rpc/errors.h"

namespace saldo::accounts {
namespace {

constexpr absl::Duration kBackoffMin = absl::Milliseconds(2);
constexpr absl::Duration kBackoffMax = absl::Milliseconds(200);
// A trace shows so many others whose requests share its batch.
constexpr size_t kLinksMax = 16;
constexpr char kCommitSpan[] = "AccountWriter.Commit";
constexpr const char* kUniqueViolation = "23505";

const std::vector<double>& SizeBuckets() {
  static const auto* const kBuckets = new std::vector<double>{
      1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768};
  return *kBuckets;
}

int64_t BytesOf(const WriteRequest& request) {
  size_t bytes = sizeof(WriteRequest) + request.id.size();
  for (const Posting& posting : request.postings) {
    bytes += sizeof(Posting) + posting.key.size() + posting.attributes.size() +
             posting.info.size() + posting.message.size();
  }
  for (const auto& attachment : request.attachments) bytes += attachment->Bytes();
  return static_cast<int64_t>(bytes);
}

// Another server was in the way, or the answer of COMMIT is not known: the next try finds out what
// was written by its request ids.
bool IsWorthATry(const absl::Status& status) {
  return postgres::IsRetryable(status) || postgres::IsCommitUnknown(status) ||
         absl::IsAborted(status) || postgres::SqlState(status) == kUniqueViolation;
}

// The fault of one request, which must not fail the others.
bool MayBeOfOne(const absl::Status& status) {
  return absl::IsInvalidArgument(status) || absl::IsFailedPrecondition(status) ||
         absl::IsOutOfRange(status) || absl::IsDataLoss(status);
}

// What went wrong here or in the database, unlike a request that breaks a rule.
bool IsFault(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status) ||
         absl::IsInternal(status) || absl::IsUnknown(status);
}

}  // namespace

Writer::Metrics::Metrics(metrics::Registry& registry)
    : group_requests(registry.AddHistogram("saldo_ledger_batch_requests",
                                           "Requests that were committed together.", {},
                                           SizeBuckets())),
      group_events(registry.AddHistogram(
          "saldo_ledger_batch_events", "Events that were committed together.", {}, SizeBuckets())),
      wait_seconds(registry.AddHistogram("saldo_ledger_write_wait_seconds",
                                         "From a request's arrival to the start of its batch.", {},
                                         metrics::LatencyBuckets())),
      commit_seconds(registry.AddHistogram(
          "saldo_ledger_commit_seconds", "From the start of a batch to its commit, tries included.",
          {}, metrics::LatencyBuckets())),
      queue_requests(
          registry.AddGauge("saldo_ledger_queue_requests", "Requests that wait for the writer.")),
      queue_events(
          registry.AddGauge("saldo_ledger_queue_events", "Events that wait for the writer.")),
      queue_bytes(registry.AddGauge("saldo_ledger_queue_bytes",
                                    "Memory that waits for the writer, about.")),
      known_subaccounts(registry.AddGauge("saldo_ledger_known_subaccounts",
                                          "Subaccounts whose ids are kept in memory.")),
      events(registry.AddCounter("saldo_ledger_events_total", "Events that were committed.")),
      retries(registry.AddCounter("saldo_ledger_retries_total",
                                  "Tries of a batch beyond its first.")) {}

Writer::Writer(const WriterOptions& options, postgres::Pool& pool, const outbox::Outbox& outbox,
               metrics::Registry& registry, const trace::Tracer& tracer)
    : options_(options), pool_(pool), outbox_(outbox), tracer_(tracer), metrics_(registry) {}

absl::Status Writer::Start() {
  {
    absl::MutexLock lock(&mutex_);
    closed_ = false;
  }
  thread_ = runtime::Thread("accounts-writer", [this] { Run(); });
  return absl::OkStatus();
}

void Writer::Stop() {
  {
    absl::MutexLock lock(&mutex_);
    closed_ = true;
  }
  stop_.Stop();
  thread_.Join();
}

void Writer::Submit(WriteRequest request, const CallContext& context,
                    const trace::SpanContext& trace, Done done) {
  const size_t events = request.postings.size();
  const int64_t bytes = BytesOf(request);
  absl::Status refused;
  {
    absl::MutexLock lock(&mutex_);
    if (closed_) {
      refused = absl::UnavailableError("the server stops");
    } else if (!HasRoom(events, bytes)) {
      refused = rpc::WithRetryInfo(absl::ResourceExhaustedError("too many writes wait"),
                                   options_.retry_delay);
    } else {
      queue_events_ += events;
      queue_bytes_ += bytes;
      queue_.push_back({std::move(request), context, trace, trace.ToTraceparent(), std::move(done),
                        absl::Now(), bytes});
      return;
    }
  }
  done(std::move(refused));
}

bool Writer::HasRoom(size_t events, int64_t bytes) const {
  return Waiting() == 0 ||
         (Waiting() < static_cast<size_t>(options_.queue_requests_max) &&
          queue_events_ + events <= static_cast<size_t>(options_.queue_events_max) &&
          queue_bytes_ + bytes <= options_.queue_bytes_max);
}

void Writer::Run() {
  while (true) {
    std::vector<Job> jobs = TakeGroup();
    if (jobs.empty()) return;
    Process(std::move(jobs));
  }
}

std::vector<Writer::Job> Writer::TakeGroup() {
  std::vector<Job> jobs;
  size_t events = 0;
  int64_t bytes = 0;
  absl::MutexLock lock(&mutex_, absl::Condition(this, &Writer::HasWork));
  // Fills the batch up to its `share`-th part; a single request always fits.
  const auto take = [&](std::deque<Job>& from, int share) {
    const auto requests_max = static_cast<size_t>(std::max(options_.group_requests_max / share, 1));
    const auto events_max = static_cast<size_t>(options_.group_events_max / share);
    const int64_t bytes_max = options_.group_bytes_max / share;
    while (!from.empty() && jobs.size() < requests_max) {
      const Job& next = from.front();
      const size_t more_events = events + next.request.postings.size();
      const int64_t more_bytes = bytes + next.bytes;
      if (!jobs.empty() && (more_events > events_max || more_bytes > bytes_max)) return;
      events = more_events;
      bytes = more_bytes;
      jobs.push_back(std::move(from.front()));
      from.pop_front();
    }
  };
  take(deferred_, 2);
  take(queue_, 1);
  queue_events_ -= events;
  queue_bytes_ -= bytes;
  metrics_.queue_requests.Set(static_cast<double>(Waiting()));
  metrics_.queue_events.Set(static_cast<double>(queue_events_));
  metrics_.queue_bytes.Set(static_cast<double>(queue_bytes_));
  return jobs;
}

void Writer::Process(std::vector<Job> jobs) {
  const absl::Time now = absl::Now();
  std::vector<Job> wanted;
  wanted.reserve(jobs.size());
  for (Job& job : jobs) {
    metrics_.wait_seconds.Observe(absl::ToDoubleSeconds(now - job.arrived));
    absl::Status status = job.context.Check();
    if (status.ok()) {
      wanted.push_back(std::move(job));
    } else {
      job.done(std::move(status));
    }
  }
  if (!wanted.empty()) Commit(std::move(wanted));
}

void Writer::Commit(std::vector<Job> jobs) {
  const absl::Time start = absl::Now();
  std::vector<GroupItem> items;
  items.reserve(jobs.size());
  const Job* traced = &jobs.front();
  for (const Job& job : jobs) {
    items.push_back({&job.request, job.traceparent});
    if (job.trace.sampled && !traced->trace.sampled) traced = &job;
  }
  std::vector<absl::StatusOr<Written>> outcomes;
  {
    trace::Span span(tracer_, kCommitSpan, trace::Kind::kInternal, traced->trace);
    outcomes = TryCommit(items);
    if (span.recording()) TraceBatch(jobs, *traced, outcomes, start, span);
  }
  metrics_.group_requests.Observe(static_cast<double>(jobs.size()));
  metrics_.commit_seconds.Observe(absl::ToDoubleSeconds(absl::Now() - start));
  metrics_.known_subaccounts.Set(static_cast<double>(ids_.subaccounts()));
  // What is needed again is looked up again.
  if (ids_.subaccounts() > static_cast<size_t>(options_.known_subaccounts_max)) ids_.Forget();
  Answer(jobs, std::move(outcomes));
}

void Writer::TraceBatch(const std::vector<Job>& jobs, const Job& traced,
                        const std::vector<absl::StatusOr<Written>>& outcomes, absl::Time start,
                        trace::Span& span) const {
  const auto requests = static_cast<int64_t>(jobs.size());
  span.SetAttribute("saldo.batch.requests", requests);
  const auto failed = std::find_if(outcomes.begin(), outcomes.end(),
                                   [](const auto& outcome) { return IsFault(outcome.status()); });
  if (failed != outcomes.end()) span.SetStatus(failed->status());
  size_t links = 0;
  for (size_t i = 0; i < jobs.size(); ++i) {
    if (&jobs[i] == &traced || !jobs[i].trace.sampled) continue;
    if (links++ < kLinksMax) span.AddLink(jobs[i].trace);
    trace::SpanData share;
    share.name = kCommitSpan;
    share.context = trace::NewChildContext(jobs[i].trace);
    share.parent_span_id = jobs[i].trace.span_id;
    share.links = {span.context()};
    share.start = start;
    share.end = absl::Now();
    share.attributes = {{"saldo.batch.requests", requests}};
    if (IsFault(outcomes[i].status()))
      trace::MarkFailed(absl::StatusCodeToString(outcomes[i].status().code()), &share);
    trace::Record(tracer_, std::move(share));
  }
}

std::vector<absl::StatusOr<Written>> Writer::TryCommit(absl::Span<const GroupItem> items) {
  absl::BitGen random;
  absl::Status status;
  absl::Duration backoff = kBackoffMin;
  for (int attempt = 1;; ++attempt) {
    Group group(items, ids_, new_ids_);
    status = TryOnce(group, CallContext::WithTimeout(options_.commit_timeout));
    if (status.ok()) return std::move(group.outcomes());
    if (!IsWorthATry(status) || attempt == options_.attempts_max || stop_.stopped()) break;
    metrics_.retries.Increment();
    stop_.WaitFor(backoff * absl::Uniform(random, 0.5, 1.0));
    backoff = std::min(2 * backoff, kBackoffMax);
  }
  log::Warning("a batch was not written", {{"requests", items.size()}, {"reason", status}});
  if (postgres::SqlState(status) == kUniqueViolation)
    status = absl::AbortedError("other servers were in the way each time");
  if (items.size() == 1 || !MayBeOfOne(status))
    return std::vector<absl::StatusOr<Written>>(items.size(), status);
  // The one at fault fails alone: found by halves.
  const size_t half = items.size() / 2;
  std::vector<absl::StatusOr<Written>> outcomes = TryCommit(items.subspan(0, half));
  for (absl::StatusOr<Written>& outcome : TryCommit(items.subspan(half)))
    outcomes.push_back(std::move(outcome));
  return outcomes;
}

absl::Status Writer::TryOnce(Group& group, const CallContext& context) {
  SALDO_RETURN_IF_ERROR(group.Resolve(pool_, context));
  const auto write = [&](postgres::Transaction& tx) -> absl::Status {
    SALDO_RETURN_IF_ERROR(group.Run(tx, outbox_));
    return CheckServer(tx);
  };
  const absl::Status status =
      pool_.Transact(context, {.name = "accounts.write", .max_attempts = 1}, write);
  SALDO_RETURN_IF_ERROR(status);
  if (!group.writes()) return absl::OkStatus();
  outbox_.Committed();
  group.Learn();
  metrics_.group_events.Observe(group.events());
  metrics_.events.Increment(group.events());
  return absl::OkStatus();
}

absl::Status Writer::CheckServer(const postgres::Transaction& tx) {
  if (tx.server_incarnation() == ids_from_) return absl::OkStatus();
  const bool first = ids_from_ == absl::InfinitePast();
  ids_from_ = tx.server_incarnation();
  if (first) return absl::OkStatus();
  ids_.Forget();
  new_ids_.Forget();
  return absl::AbortedError("the database has restarted, and ids are looked up anew");
}

void Writer::Answer(std::vector<Job>& jobs, std::vector<absl::StatusOr<Written>> outcomes) {
  std::vector<Job> again;
  for (size_t i = 0; i < jobs.size(); ++i) {
    if (IsForNextBatch(outcomes[i].status())) {
      again.push_back(std::move(jobs[i]));
    } else {
      jobs[i].done(std::move(outcomes[i]));
    }
  }
  if (!again.empty()) Defer(std::move(again));
}

// The first that changes a thing is decided in each batch, so this ends. In the order in which they
// came: what was deferred before was taken from the front.
void Writer::Defer(std::vector<Job> jobs) {
  absl::MutexLock lock(&mutex_);
  std::deque<Job> front;
  for (Job& job : jobs) {
    queue_events_ += job.request.postings.size();
    queue_bytes_ += job.bytes;
    std::deque<Job>& to = job.deferred ? front : deferred_;
    job.deferred = true;
    to.push_back(std::move(job));
  }
  for (; !front.empty(); front.pop_back()) deferred_.push_front(std::move(front.back()));
}

}  // namespace saldo::accounts
