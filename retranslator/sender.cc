#include "retranslator/sender.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/strings.h"
#include "common/observability/log.h"

namespace saldo::retranslator {
namespace {

// How long a wait for reports may be when nothing is due: submissions and Finish end it at once.
constexpr absl::Duration kIdleWait = absl::Milliseconds(200);
// With Kafka's queue full, room comes with reports.
constexpr absl::Duration kFullWait = absl::Milliseconds(20);

bool IsMissingTopic(kafka::ErrorCode code) {
  return code == kafka::kErrorLocalUnknownTopic || code == kafka::kErrorUnknownTopicOrPartition;
}

}  // namespace

Sender::Sender(const Parts& parts, const RetryOptions& retry, size_t groups_max)
    : parts_(parts), retry_(retry), submitted_(groups_max), lanes_(retry) {}

bool Sender::Submit(std::vector<uint64_t> positions) {
  if (!submitted_.Push(std::move(positions))) return false;
  parts_.kafka.WakeReports();
  return true;
}

void Sender::Finish(absl::Time deadline) {
  submitted_.Close();
  {
    absl::MutexLock lock(&mutex_);
    finishing_ = true;
    finish_deadline_ = deadline;
  }
  parts_.kafka.WakeReports();
}

void Sender::Abandon() {
  submitted_.CloseAndClear();
  {
    absl::MutexLock lock(&mutex_);
    abandoned_ = true;
  }
  parts_.kafka.WakeReports();
}

bool Sender::Abandoned() const {
  absl::MutexLock lock(&mutex_);
  return abandoned_;
}

absl::Status Sender::failure() const {
  absl::MutexLock lock(&mutex_);
  return failure_;
}

void Sender::Run() {
  while (true) {
    // By this thread, so that nothing can be sent after messages of its key were taken back.
    if (Abandoned()) return parts_.kafka.Purge();
    TakeSubmitted();
    const absl::Time now = absl::Now();
    SendAll(now);
    parts_.kafka.PollReports(WaitForReports(now),
                             [this](const kafka::DeliveryReport& report) { OnReport(report); });
    if (!completed_.empty()) {
      parts_.window.Complete(completed_);
      completed_.clear();
    }
    const absl::Status fatal = parts_.kafka.fatal_error();
    const absl::Status& broken = fatal.ok() ? broken_ : fatal;
    absl::MutexLock lock(&mutex_);
    if (!broken.ok()) {
      failure_ = broken;
      return;
    }
    if (finishing_ && (Settled() || absl::Now() >= finish_deadline_)) return;
  }
}

void Sender::TakeSubmitted() {
  while (std::optional<std::vector<uint64_t>> group = submitted_.PopFor(absl::ZeroDuration())) {
    ready_.push_back(*std::move(group));
  }
}

bool Sender::Settled() const {
  return ready_.empty() && retries_.empty() && alone_.empty() && parts_.kafka.in_flight() == 0 &&
         submitted_.size() == 0;
}

absl::Duration Sender::WaitForReports(absl::Time now) const {
  if (!ready_.empty() || !retries_.empty() || !alone_.empty()) return kFullWait;
  return std::clamp(lanes_.next_due() - now, absl::ZeroDuration(), kIdleWait);
}

void Sender::SendAll(absl::Time now) {
  TakeDueRetries(now);
  if (!alone_.empty() || alone_out_.has_value()) return SendAlone(now);
  while (!retries_.empty() && Send(retries_.front(), now)) retries_.pop_front();
  if (!retries_.empty()) return;
  while (!ready_.empty()) {
    const std::vector<uint64_t>& group = ready_.front();
    for (; ready_at_ < group.size(); ++ready_at_) {
      const uint64_t position = group[ready_at_];
      if (!lanes_.empty() && lanes_.Enqueue(LaneOf(parts_.slots.at(position)), position)) continue;
      if (!Send(position, now)) return;
    }
    ready_.pop_front();
    ready_at_ = 0;
  }
}

void Sender::TakeDueRetries(absl::Time now) {
  while (const std::optional<uint64_t> position = lanes_.NextDue(now)) {
    (parts_.slots.at(*position).alone ? alone_ : retries_).push_back(*position);
  }
}

void Sender::SendAlone(absl::Time now) {
  if (alone_.empty() || alone_out_.has_value() || parts_.kafka.in_flight() > 0) return;
  const uint64_t position = alone_.front();
  alone_out_ = position;
  if (Send(position, now)) {
    alone_.pop_front();
  } else {
    alone_out_.reset();
  }
}

bool Sender::Send(uint64_t position, absl::Time now) {
  MessageSlot& slot = parts_.slots.at(position);
  if (slot.topic == nullptr) {
    ++slot.attempts;
    OnFailure(position, kafka::kErrorInvalidTopic, kafka::ErrorClass::kPermanent, now);
    return true;
  }
  Encoder::Headers headers;
  slot.sent_at = now;
  const kafka::SendResult result =
      parts_.kafka.TrySend({.topic = slot.topic,
                            .key = slot.row->key,
                            .value = slot.row->payload,
                            .headers = parts_.encoder.HeadersOf(slot, &headers),
                            .tag = position,
                            .copy_value = false});
  if (result.outcome == kafka::SendResult::Outcome::kQueueFull) return false;
  ++slot.attempts;
  if (result.outcome == kafka::SendResult::Outcome::kFailed)
    OnFailure(position, result.error, result.error_class, now);
  return true;
}

void Sender::OnReport(const kafka::DeliveryReport& report) {
  const uint64_t position = report.tag;
  const absl::Time now = absl::Now();
  const MessageSlot& slot = parts_.slots.at(position);
  if (slot.span.valid()) RecordSpan(slot, report, now);
  if (!report.ok()) return OnFailure(position, report.error, report.error_class, now);
  parts_.metrics.sent.Increment();
  parts_.metrics.commit_to_ack_seconds.Observe(absl::ToDoubleSeconds(now - slot.row->created_at));
  if (alone_out_ == position) alone_out_.reset();
  if (!lanes_.empty()) lanes_.Done(LaneOf(slot), position, now);
  if (!missing_topics_.empty()) missing_topics_.erase(slot.topic);
  completed_.push_back(position);
}

void Sender::OnFailure(uint64_t position, kafka::ErrorCode code, kafka::ErrorClass error_class,
                       absl::Time now) {
  MessageSlot& slot = parts_.slots.at(position);
  // The first of a row; the metric counts them all.
  if (lanes_.empty()) {
    log::Warning(
        "Kafka refuses messages",
        {{"message_id", slot.id}, {"topic", slot.row->topic}, {"error", kafka::ErrorName(code)}});
  }
  const bool was_alone = alone_out_ == position;
  if (was_alone) alone_out_.reset();
  parts_.metrics.FailedBy(kafka::ErrorName(code)).Increment();
  switch (error_class) {
    case kafka::ErrorClass::kNone:
    case kafka::ErrorClass::kFatal:
      // The next session reads and sends it again.
      broken_ = kafka::ToStatus(code, "deliver to Kafka");
      return;
    case kafka::ErrorClass::kPermanent:
      return GiveUp(position, code, now);
    case kafka::ErrorClass::kBatchRefused:
      if (was_alone) return GiveUp(position, code, now);
      slot.alone = true;
      return lanes_.Returned(LaneOf(slot), position, now);
    case kafka::ErrorClass::kRetriable:
      break;
  }
  if (IsMissingTopic(code)) {
    const auto missing = missing_topics_.find(slot.topic);
    if (missing != missing_topics_.end() && now < missing->second)
      return GiveUp(position, code, now);
  }
  if (lanes_.Failed(LaneOf(slot), position, now)) return;
  if (IsMissingTopic(code)) missing_topics_[slot.topic] = now + retry_.backoff_max;
  GiveUp(position, code, now);
}

void Sender::GiveUp(uint64_t position, kafka::ErrorCode code, absl::Time now) {
  const MessageSlot& slot = parts_.slots.at(position);
  const OutboxRow& row = *slot.row;
  const absl::Status error = kafka::ToStatus(code, "deliver to Kafka");
  log::Error("a message is given up", {{"message_id", slot.id},
                                       {"topic", row.topic},
                                       {"attempts", slot.attempts},
                                       {"error", error}});
  parts_.dead_letters.Add({.seq = row.seq,
                           .batch_id = row.batch_id,
                           .ordinal = row.ordinal,
                           .topic = std::string(row.topic),
                           .key = std::string(row.key),
                           .payload = std::string(row.payload),
                           .type = std::string(row.type),
                           .traceparent = row.traceparent.has_value()
                                              ? std::optional<std::string>(*row.traceparent)
                                              : std::nullopt,
                           .message_id = slot.id,
                           .created_at = row.created_at,
                           .attempts = slot.attempts,
                           .error = std::string(error.message())});
  parts_.metrics.dead.Increment();
  lanes_.Done(LaneOf(slot), position, now);
  completed_.push_back(position);
}

void Sender::RecordSpan(const MessageSlot& slot, const kafka::DeliveryReport& report,
                        absl::Time now) {
  const std::optional<trace::SpanContext> cause =
      trace::SpanContext::FromTraceparent(*slot.row->traceparent);
  if (!cause.has_value()) return;
  trace::SpanData span;
  span.name = absl::StrCat("send ", AsAbsl(slot.row->topic));
  span.kind = trace::Kind::kProducer;
  span.context = slot.span;
  span.parent_span_id = cause->span_id;
  span.start = slot.sent_at;
  span.end = now;
  span.attributes = {{"messaging.system", std::string("kafka")},
                     {"messaging.operation.name", std::string("send")},
                     {"messaging.operation.type", std::string("send")},
                     {"messaging.destination.name", std::string(slot.row->topic)},
                     {"messaging.message.id", slot.id}};
  if (report.ok()) {
    span.attributes.emplace_back("messaging.destination.partition.id",
                                 absl::StrCat(report.partition));
    span.attributes.emplace_back("messaging.kafka.offset", report.offset);
  } else {
    trace::MarkFailed(kafka::ErrorName(report.error), &span);
  }
  trace::Record(parts_.tracer, std::move(span));
}

std::string Sender::LaneOf(const MessageSlot& slot) {
  return absl::StrCat(AsAbsl(slot.row->topic), std::string(1, '\0'), AsAbsl(slot.row->key));
}

}  // namespace saldo::retranslator
