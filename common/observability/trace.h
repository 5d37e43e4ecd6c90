// Traces: spans that know their parent through the thread they run on, sent to a collector by an
// exporter that never blocks. Names and attributes follow OpenTelemetry's semantic conventions, of
// the version that kSchemaUrl names; none tells a parameter's value, what a caller sent, or the
// text of an error, which may quote both.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace saldo::trace {

inline constexpr std::string_view kSchemaUrl = "https://opentelemetry.io/schemas/1.37.0";

// The identity of a span across processes, as in W3C Trace Context
// (https://www.w3.org/TR/trace-context/).
struct SpanContext {
  std::array<uint8_t, 16> trace_id{};
  std::array<uint8_t, 8> span_id{};
  bool sampled = false;

  bool valid() const;
  // "00-<32 hex>-<16 hex>-<2 hex>"; empty when not valid.
  std::string ToTraceparent() const;
  // Nothing for anything but a well-formed header with non-zero ids.
  static std::optional<SpanContext> FromTraceparent(std::string_view header);

  std::string trace_id_hex() const;  // 32 lower-case digits
  std::string span_id_hex() const;   // 16 lower-case digits
};

enum class Kind { kInternal, kServer, kClient, kProducer, kConsumer };

using AttributeValue = std::variant<std::string, int64_t, bool>;

// A finished span, on its way to the collector.
struct SpanData {
  std::string name;
  Kind kind = Kind::kInternal;
  SpanContext context;
  std::array<uint8_t, 8> parent_span_id{};  // all zero for a root
  std::vector<SpanContext> links;
  absl::Time start;
  absl::Time end;
  std::vector<std::pair<std::string, AttributeValue>> attributes;
  bool error = false;
  std::string error_message;
};

// Marks a span as failed. `type` says how, in a word of a small set: the name of a code, an
// SQLSTATE.
void MarkFailed(std::string_view type, SpanData* span);

// Takes finished spans. Must not block; may drop.
class Sink {
 public:
  virtual ~Sink() = default;
  virtual void Take(SpanData span) = 0;
};

// Decides which traces are kept and where they go. Outlives its spans.
class Tracer {
 public:
  // `ratio` (0..1) of root traces are sampled, decided by the trace id, so that every process
  // decides alike. A parent's decision is followed, unless `follow_parent` is false: then the trace
  // id alone decides.
  Tracer(Sink* sink, double ratio, bool follow_parent = true)
      : sink_(sink), ratio_(ratio), follow_parent_(follow_parent) {}

  // Whether a trace that begins here with this trace id is kept.
  bool SampleRoot(const SpanContext& context) const;
  // Whether spans of a trace that came from `parent` are kept.
  bool SampleChild(const SpanContext& parent) const {
    return follow_parent_ ? parent.sampled : SampleRoot(parent);
  }
  Sink* sink() const { return sink_; }

 private:
  // Null: nothing is recorded; ids are still made at roots, and a caller's are passed on.
  Sink* const sink_;
  const double ratio_;
  const bool follow_parent_;
};

// A span from construction to destruction, current on its thread meanwhile: spans made below it are
// its children. Construct and destroy on one thread, innermost first.
// A span that is not sampled costs next to nothing: it makes no ids of its own but passes its
// parent's on, so that logs and callees still know the trace.
class Span {
 public:
  // A child of the thread's current span; does nothing where there is none.
  explicit Span(std::string_view name, Kind kind = Kind::kInternal);
  // The entry into this process: a child of `parent` where the caller sent one, else the root of a
  // new trace.
  Span(const Tracer& tracer, std::string_view name, Kind kind,
       const std::optional<SpanContext>& parent);
  ~Span();
  Span(const Span&) = delete;
  Span& operator=(const Span&) = delete;

  // Adds an attribute, at most 64 a span; later ones are ignored. Use each key once. Text over
  // 4 KiB is cut.
  void SetAttribute(std::string_view key, AttributeValue value);
  // Adds a link to a span of another trace, at most 128 a span. Ignores what is not valid().
  void AddLink(const SpanContext& context);
  // Marks the span as failed, with the name of the code, unless `status` is OK. Call it once.
  void SetStatus(const absl::Status& status);
  // Whether attributes are worth computing.
  bool recording() const { return data_ != nullptr; }
  const SpanContext& context() const { return context_; }

 private:
  friend const SpanContext* CurrentSpan();
  friend void RecordChild(SpanData span);
  friend void LinkCurrentSpan(const SpanContext& context);
  void Activate(std::string_view name, Kind kind, const SpanContext* parent);

  const Tracer* tracer_ = nullptr;
  Span* previous_ = nullptr;
  SpanContext context_;
  std::unique_ptr<SpanData> data_;  // only when sampled
  bool active_ = false;
};

// The span that the calling thread works under, or null.
const SpanContext* CurrentSpan();
// Its traceparent header, or "". What calls, statements and outbox messages carry on.
std::string CurrentTraceparent();

// Adds a link to the thread's current span, such as to the one that did its work for it.
void LinkCurrentSpan(const SpanContext& context);

// Records a span that began and ended elsewhere, such as a send whose end an acknowledgement
// reports. Drops it when not sampled.
void Record(const Tracer& tracer, SpanData span);
// Records a span that began and ended inside the thread's current span, such as one statement of a
// round trip: its context, parent and tracer are filled in. Drops it where there is no sampled
// current span.
void RecordChild(SpanData span);
// A fresh context below `parent`, sampled as the parent is. Fill SpanData::context with it and
// SpanData::parent_span_id with the parent's span_id.
SpanContext NewChildContext(const SpanContext& parent);

}  // namespace saldo::trace
