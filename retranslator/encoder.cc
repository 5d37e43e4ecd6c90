#include "retranslator/encoder.h"

#include "absl/strings/str_cat.h"
#include "absl/time/civil_time.h"

namespace saldo::retranslator {
namespace {

void AppendPadded(std::string* out, int64_t value, int width) {
  char digits[20];
  for (int i = width - 1; i >= 0; --i, value /= 10) digits[i] = static_cast<char>('0' + value % 10);
  out->append(digits, width);
}

// RFC 3339 with microseconds, in UTC. absl::FormatTime takes five times as long.
void FormatUtc(absl::Time time, std::string* out) {
  const absl::CivilSecond second = absl::ToCivilSecond(time, absl::UTCTimeZone());
  const int64_t micros =
      absl::ToInt64Microseconds(time - absl::FromCivil(second, absl::UTCTimeZone()));
  out->clear();
  AppendPadded(out, second.year(), 4);
  out->push_back('-');
  AppendPadded(out, second.month(), 2);
  out->push_back('-');
  AppendPadded(out, second.day(), 2);
  out->push_back('T');
  AppendPadded(out, second.hour(), 2);
  out->push_back(':');
  AppendPadded(out, second.minute(), 2);
  out->push_back(':');
  AppendPadded(out, second.second(), 2);
  out->push_back('.');
  AppendPadded(out, micros, 6);
  out->push_back('Z');
}

}  // namespace

void Encoder::Encode(const OutboxRow& row, MessageSlot* slot) const {
  slot->row = &row;
  slot->attempts = 0;
  slot->alone = false;
  slot->id.clear();
  if (row.message_id.has_value()) {
    slot->id.append(*row.message_id);
  } else {
    absl::StrAppend(&slot->id, shard_, "-", row.batch_id, "-", row.ordinal);
  }
  FormatUtc(row.created_at, &slot->time);
  slot->traceparent.clear();
  slot->span = {};
  if (!row.traceparent.has_value()) return;
  const std::optional<trace::SpanContext> cause =
      trace::SpanContext::FromTraceparent(*row.traceparent);
  if (!cause.has_value()) return;
  slot->traceparent.append(*row.traceparent);
  if (!cause->sampled) return;
  // The send is a span below the change, and what consumers do is below the send.
  slot->span = trace::NewChildContext(*cause);
  slot->traceparent = slot->span.ToTraceparent();
}

absl::Span<const kafka::HeaderView> Encoder::HeadersOf(const MessageSlot& slot,
                                                       Headers* storage) const {
  size_t count = 0;
  const auto add = [&](std::string_view name, std::string_view value) {
    (*storage)[count++] = {name, value};
  };
  add("ce_specversion", "1.0");
  add("ce_id", slot.id);
  add("ce_source", options_.source);
  add("ce_type", slot.row->type);
  add("ce_time", slot.time);
  add("content-type", "application/protobuf");
  if (!slot.traceparent.empty()) add("traceparent", slot.traceparent);
  return absl::MakeConstSpan(storage->data(), count);
}

}  // namespace saldo::retranslator
