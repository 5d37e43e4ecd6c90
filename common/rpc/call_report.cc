#include "common/rpc/call_report.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"

namespace saldo::rpc::internal {
namespace {

// The codes that OpenTelemetry counts as an error of a server span.
bool IsSpanError(absl::StatusCode code) {
  return IsServerFault(code) || code == absl::StatusCode::kDeadlineExceeded ||
         code == absl::StatusCode::kUnimplemented || code == absl::StatusCode::kUnavailable;
}

struct HostPort {
  absl::string_view host;
  int64_t port = 0;  // 0: none
};

// What a caller asked for, such as "host:8082" or "[::1]:8082". Its text is the caller's own, so
// that only what can be a name is taken.
HostPort SplitHostPort(absl::string_view authority) {
  constexpr size_t kHostBytesMax = 255;
  HostPort result;
  const size_t colon = authority.rfind(':');
  const bool has_port =
      colon != absl::string_view::npos && authority.find(']', colon) == absl::string_view::npos;
  if (has_port && !absl::SimpleAtoi(authority.substr(colon + 1), &result.port)) return {};
  absl::string_view host = authority.substr(0, has_port ? colon : authority.size());
  if (absl::ConsumePrefix(&host, "[")) absl::ConsumeSuffix(&host, "]");
  const auto fits = [](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) || absl::StrContains("-._:", c);
  };
  if (host.size() > kHostBytesMax || !std::all_of(host.begin(), host.end(), fits)) return {};
  result.host = host;
  return result;
}

}  // namespace

MethodName::MethodName(const std::string& service_name, const std::string& method_name)
    : service(service_name), method(method_name), full(absl::StrCat(service, "/", method)) {}

bool IsServerFault(absl::StatusCode code) {
  return code == absl::StatusCode::kInternal || code == absl::StatusCode::kUnknown ||
         code == absl::StatusCode::kDataLoss;
}

std::string StatusForLog(log::Level level, const absl::Status& status) {
  const bool whole = level != log::Level::kInfo || IsServerFault(status.code());
  return whole ? status.ToString(absl::StatusToStringMode::kWithNoExtraData)
               : absl::StatusCodeToString(status.code());
}

std::optional<std::string_view> Header(const grpc::CallbackServerContext& context,
                                       std::string_view key) {
  const auto& metadata = context.client_metadata();
  const auto found = metadata.find(grpc::string_ref(key.data(), key.size()));
  if (found == metadata.end()) return std::nullopt;
  return std::string_view(found->second.data(), found->second.size());
}

std::optional<trace::SpanContext> ParentContext(const grpc::CallbackServerContext& context) {
  const auto header = Header(context, "traceparent");
  return header ? trace::SpanContext::FromTraceparent(*header) : std::nullopt;
}

std::optional<log::Level> AskedLogLevel(const grpc::CallbackServerContext& context) {
  const auto header = Header(context, "log_level");
  if (!header) return std::nullopt;
  log::Level level;
  if (const absl::Status status = log::ParseLevel(*header, &level); !status.ok()) {
    log::Debug("header log_level ignored", {{"error", status}});
    return std::nullopt;
  }
  // It may only show more: what the server logs anyway is not the caller's to hide.
  if (log::Enabled(level)) return std::nullopt;
  return level;
}

bool SetSpanAttributes(const MethodName& name, const grpc::CallbackServerContext& context,
                       const absl::Status& status, SetAttribute set) {
  set("rpc.system", "grpc");
  set("rpc.service", name.service);
  set("rpc.method", name.method);
  set("rpc.grpc.status_code", static_cast<int64_t>(status.code()));
  const grpc::string_ref authority = context.ExperimentalGetAuthority();
  const HostPort called = SplitHostPort({authority.data(), authority.size()});
  if (!called.host.empty()) set("server.address", std::string(called.host));
  if (called.port > 0) set("server.port", called.port);
  return IsSpanError(status.code());
}

trace::SpanContext BeginSpan(const trace::Tracer& tracer,
                             const std::optional<trace::SpanContext>& parent) {
  if (!parent) {
    auto context = trace::Span(SilentTracer(), "", trace::Kind::kServer, std::nullopt).context();
    context.sampled = tracer.SampleRoot(context);
    return context;
  }
  trace::SpanContext context = trace::NewChildContext(*parent);
  if (tracer.sink() != nullptr) context.sampled = tracer.SampleChild(*parent);
  return context;
}

void RecordSpan(const trace::Tracer& tracer, const MethodName& name,
                const grpc::CallbackServerContext& call, const trace::SpanContext& context,
                const std::optional<trace::SpanContext>& parent, absl::Time start,
                const absl::Status& status) {
  if (!context.sampled || tracer.sink() == nullptr) return;
  trace::SpanData span;
  span.name = name.full;
  span.kind = trace::Kind::kServer;
  span.context = context;
  if (parent) span.parent_span_id = parent->span_id;
  span.start = start;
  span.end = absl::Now();
  const bool error = SetSpanAttributes(name, call, status,
                                       [&span](std::string_view key, trace::AttributeValue value) {
                                         span.attributes.emplace_back(key, std::move(value));
                                       });
  if (error) trace::MarkFailed(absl::StatusCodeToString(status.code()), &span);
  trace::Record(tracer, std::move(span));
}

const trace::Tracer& SilentTracer() {
  static const trace::Tracer tracer(nullptr, 0);
  return tracer;
}

}  // namespace saldo::rpc::internal
