#include "common/observability/otlp_encode.h"

#include <algorithm>
#include <array>
#include <cstdint>

#include "common/observability/text.h"

namespace saldo::trace {
namespace {

namespace otlp = opentelemetry::proto;

template <size_t N>
std::string Bytes(const std::array<uint8_t, N>& id) {
  return std::string(reinterpret_cast<const char*>(id.data()), N);
}

std::string Utf8(std::string_view in) {
  std::string out;
  out.reserve(in.size());
  text::AppendUtf8(in, &out);
  return out;
}

uint32_t Flags(const SpanContext& context) { return context.sampled ? 1 : 0; }

uint64_t UnixNanos(absl::Time time) {
  return static_cast<uint64_t>(std::max<int64_t>(0, absl::ToUnixNanos(time)));
}

void Encode(std::string_view key, const AttributeValue& value, otlp::common::v1::KeyValue* out) {
  out->set_key(Utf8(key));
  otlp::common::v1::AnyValue* any = out->mutable_value();
  if (const auto* text = std::get_if<std::string>(&value)) {
    any->set_string_value(Utf8(*text));
  } else if (const auto* number = std::get_if<int64_t>(&value)) {
    any->set_int_value(*number);
  } else {
    any->set_bool_value(std::get<bool>(value));
  }
}

otlp::trace::v1::Span::SpanKind EncodeKind(Kind kind) {
  switch (kind) {
    case Kind::kInternal:
      return otlp::trace::v1::Span::SPAN_KIND_INTERNAL;
    case Kind::kServer:
      return otlp::trace::v1::Span::SPAN_KIND_SERVER;
    case Kind::kClient:
      return otlp::trace::v1::Span::SPAN_KIND_CLIENT;
    case Kind::kProducer:
      return otlp::trace::v1::Span::SPAN_KIND_PRODUCER;
    case Kind::kConsumer:
      return otlp::trace::v1::Span::SPAN_KIND_CONSUMER;
  }
  return otlp::trace::v1::Span::SPAN_KIND_UNSPECIFIED;
}

void Encode(const SpanData& span, otlp::trace::v1::Span* out) {
  out->set_trace_id(Bytes(span.context.trace_id));
  out->set_span_id(Bytes(span.context.span_id));
  if (span.parent_span_id != std::array<uint8_t, 8>{}) {
    out->set_parent_span_id(Bytes(span.parent_span_id));
  }
  out->set_flags(Flags(span.context));
  out->set_name(Utf8(span.name));
  out->set_kind(EncodeKind(span.kind));
  out->set_start_time_unix_nano(UnixNanos(span.start));
  // The clock may have been set back meanwhile.
  out->set_end_time_unix_nano(UnixNanos(std::max(span.start, span.end)));
  for (const auto& [key, value] : span.attributes) Encode(key, value, out->add_attributes());
  for (const SpanContext& link : span.links) {
    auto* to = out->add_links();
    to->set_trace_id(Bytes(link.trace_id));
    to->set_span_id(Bytes(link.span_id));
    to->set_flags(Flags(link));
  }
  if (span.error) {
    out->mutable_status()->set_code(otlp::trace::v1::Status::STATUS_CODE_ERROR);
    out->mutable_status()->set_message(Utf8(span.error_message));
  }
}

}  // namespace

otlp::collector::trace::v1::ExportTraceServiceRequest EncodeSpans(
    const std::vector<std::pair<std::string, AttributeValue>>& resource,
    const std::vector<SpanData>& spans) {
  otlp::collector::trace::v1::ExportTraceServiceRequest request;
  auto* group = request.add_resource_spans();
  for (const auto& [key, value] : resource) {
    Encode(key, value, group->mutable_resource()->add_attributes());
  }
  group->set_schema_url(std::string(kSchemaUrl));
  auto* scope = group->add_scope_spans();
  scope->set_schema_url(std::string(kSchemaUrl));
  scope->mutable_scope()->set_name("saldo");
  for (const SpanData& span : spans) Encode(span, scope->add_spans());
  return request;
}

size_t EstimateBytes(const SpanData& span) {
  constexpr size_t kFixed = 128;
  constexpr size_t kPerAttribute = 32;
  constexpr size_t kPerLink = 48;
  size_t bytes = kFixed + span.name.size() + span.error_message.size();
  bytes += span.links.size() * kPerLink;
  for (const auto& [key, value] : span.attributes) {
    bytes += kPerAttribute + key.size();
    if (const auto* text = std::get_if<std::string>(&value)) bytes += text->size();
  }
  return bytes;
}

}  // namespace saldo::trace
