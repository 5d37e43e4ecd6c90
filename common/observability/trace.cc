#include "common/observability/trace.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <random>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/observability/text.h"

namespace saldo::trace {
namespace {

constexpr size_t kAttributesMax = 64;
constexpr size_t kLinksMax = 128;
constexpr size_t kTextBytesMax = 4096;
constexpr size_t kTraceparentSize = 55;  // 2 + 1 + 32 + 1 + 16 + 1 + 2

thread_local Span* current_span = nullptr;

// xoshiro256++ (Blackman and Vigna): ids need speed and spread, not secrecy.
class IdSource {
 public:
  IdSource() {
    std::random_device device;
    for (uint64_t& word : state_) word = (static_cast<uint64_t>(device()) << 32) | device();
    state_[0] |= 1;  // all zero would stay zero
  }

  // Never 0.
  uint64_t Next() {
    uint64_t made = 0;
    do made = Step();
    while (made == 0);
    return made;
  }

 private:
  uint64_t Step() {
    const uint64_t result = std::rotl(state_[0] + state_[3], 23) + state_[0];
    const uint64_t shifted = state_[1] << 17;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= shifted;
    state_[3] = std::rotl(state_[3], 45);
    return result;
  }

  std::array<uint64_t, 4> state_{};
};

IdSource& Ids() {
  thread_local IdSource ids;
  return ids;
}

std::array<uint8_t, 8> NewSpanId() { return std::bit_cast<std::array<uint8_t, 8>>(Ids().Next()); }

template <size_t N>
bool AllZero(const std::array<uint8_t, N>& id) {
  return std::all_of(id.begin(), id.end(), [](uint8_t byte) { return byte == 0; });
}

template <size_t N>
std::string Hex(const std::array<uint8_t, N>& id) {
  return absl::BytesToHexString(
      absl::string_view(reinterpret_cast<const char*>(id.data()), id.size()));
}

// The value of a lower-case hex digit, or -1: the standard forbids upper case.
int HexValue(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

template <size_t N>
bool ParseHex(std::string_view text, std::array<uint8_t, N>* bytes) {
  for (size_t i = 0; i < N; ++i) {
    const int high = HexValue(text[2 * i]);
    const int low = HexValue(text[2 * i + 1]);
    if (high < 0 || low < 0) return false;
    (*bytes)[i] = static_cast<uint8_t>(high << 4 | low);
  }
  return true;
}

}  // namespace

bool SpanContext::valid() const { return !AllZero(trace_id) && !AllZero(span_id); }

std::string SpanContext::trace_id_hex() const { return Hex(trace_id); }
std::string SpanContext::span_id_hex() const { return Hex(span_id); }

std::string SpanContext::ToTraceparent() const {
  if (!valid()) return "";
  return absl::StrCat("00-", trace_id_hex(), "-", span_id_hex(), sampled ? "-01" : "-00");
}

std::optional<SpanContext> SpanContext::FromTraceparent(std::string_view header) {
  if (header.size() < kTraceparentSize) return std::nullopt;
  if (header[2] != '-' || header[35] != '-' || header[52] != '-') return std::nullopt;
  std::array<uint8_t, 1> version;
  std::array<uint8_t, 1> flags;
  SpanContext context;
  if (!ParseHex(header.substr(0, 2), &version) || !ParseHex(header.substr(53, 2), &flags) ||
      !ParseHex(header.substr(3, 32), &context.trace_id) ||
      !ParseHex(header.substr(36, 16), &context.span_id)) {
    return std::nullopt;
  }
  // A later version may append fields after a dash; version 00 has none, and ff is forbidden.
  if (version[0] == 0xFF) return std::nullopt;
  if (header.size() > kTraceparentSize && (version[0] == 0 || header[kTraceparentSize] != '-')) {
    return std::nullopt;
  }
  if (!context.valid()) return std::nullopt;
  context.sampled = (flags[0] & 1) != 0;
  return context;
}

bool Tracer::SampleRoot(const SpanContext& context) const {
  if (sink_ == nullptr || ratio_ <= 0) return false;
  if (ratio_ >= 1) return true;
  // The last seven bytes are the random part of a trace id, in foreign ones too.
  uint64_t random = 0;
  for (size_t i = 9; i < 16; ++i) random = random << 8 | context.trace_id[i];
  return static_cast<double>(random) < ratio_ * static_cast<double>(uint64_t{1} << 56);
}

Span::Span(std::string_view name, Kind kind) {
  const Span* parent = current_span;
  if (parent == nullptr) return;
  context_ = parent->context_;
  if (parent->data_ == nullptr) return;
  tracer_ = parent->tracer_;
  Activate(name, kind, &parent->context_);
}

Span::Span(const Tracer& tracer, std::string_view name, Kind kind,
           const std::optional<SpanContext>& parent)
    : tracer_(&tracer) {
  if (parent.has_value() && parent->valid()) {
    context_ = *parent;
    // Without a sink, what the caller decided is none of this process's business.
    if (tracer.sink() != nullptr) context_.sampled = tracer.SampleChild(*parent);
    Activate(name, kind, &*parent);
  } else {
    const std::array<uint64_t, 2> made = {Ids().Next(), Ids().Next()};
    context_.trace_id = std::bit_cast<std::array<uint8_t, 16>>(made);
    context_.span_id = NewSpanId();
    context_.sampled = tracer.SampleRoot(context_);
    Activate(name, kind, nullptr);
  }
}

void Span::Activate(std::string_view name, Kind kind, const SpanContext* parent) {
  if (context_.sampled && tracer_->sink() != nullptr) {
    data_ = std::make_unique<SpanData>();
    data_->name = name;
    data_->kind = kind;
    if (parent != nullptr) {
      data_->parent_span_id = parent->span_id;
      context_.span_id = NewSpanId();
    }
    data_->context = context_;
    data_->start = absl::Now();
  }
  previous_ = current_span;
  current_span = this;
  active_ = true;
}

Span::~Span() {
  if (!active_) return;
  current_span = previous_;
  if (data_ == nullptr) return;
  data_->end = absl::Now();
  tracer_->sink()->Take(std::move(*data_));
}

void Span::SetAttribute(std::string_view key, AttributeValue value) {
  if (data_ == nullptr || data_->attributes.size() >= kAttributesMax) return;
  if (auto* text = std::get_if<std::string>(&value); text && text->size() > kTextBytesMax) {
    text->resize(text::CutUtf8(*text, kTextBytesMax).size());
  }
  data_->attributes.emplace_back(key, std::move(value));
}

void Span::AddLink(const SpanContext& context) {
  if (data_ == nullptr || data_->links.size() >= kLinksMax || !context.valid()) return;
  data_->links.push_back(context);
}

void Span::SetStatus(const absl::Status& status) {
  if (data_ == nullptr || status.ok()) return;
  MarkFailed(absl::StatusCodeToString(status.code()), data_.get());
}

void MarkFailed(std::string_view type, SpanData* span) {
  span->error = true;
  span->error_message = type;
  span->attributes.emplace_back("error.type", std::string(type));
}

void LinkCurrentSpan(const SpanContext& context) {
  if (current_span != nullptr) current_span->AddLink(context);
}

const SpanContext* CurrentSpan() {
  return current_span == nullptr ? nullptr : &current_span->context_;
}

std::string CurrentTraceparent() {
  const SpanContext* context = CurrentSpan();
  return context == nullptr ? "" : context->ToTraceparent();
}

void Record(const Tracer& tracer, SpanData span) {
  if (tracer.sink() == nullptr || !tracer.SampleChild(span.context)) return;
  tracer.sink()->Take(std::move(span));
}

void RecordChild(SpanData span) {
  if (current_span == nullptr || current_span->data_ == nullptr) return;
  span.context = NewChildContext(current_span->context_);
  span.parent_span_id = current_span->context_.span_id;
  current_span->tracer_->sink()->Take(std::move(span));
}

SpanContext NewChildContext(const SpanContext& parent) {
  SpanContext context = parent;
  context.span_id = NewSpanId();
  return context;
}

}  // namespace saldo::trace
