// What a call tells of itself: its span, and its lines in the log. Not for services: see
// dispatcher.h.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/observability/log.h"
#include "common/observability/trace.h"
#include "grpcpp/server_context.h"

namespace saldo::rpc::internal {

// How an RPC is called.
struct MethodName {
  MethodName(const std::string& service, const std::string& method);

  const std::string service;  // "package.Service"
  const std::string method;   // "Method"
  const std::string full;     // "package.Service/Method", the name of its spans
};

// The codes by which a server says that the fault is its own.
bool IsServerFault(absl::StatusCode code);

// What the log shows of a status. The text of a rejected call tells of accounts and balances, and
// is shown only where debug was asked for, or the fault is the server's own.
std::string StatusForLog(log::Level level, const absl::Status& status);

// The first value of a header, whose key is in lower case.
std::optional<std::string_view> Header(const grpc::CallbackServerContext& context,
                                       std::string_view key);
// The caller's span, when it sent one.
std::optional<trace::SpanContext> ParentContext(const grpc::CallbackServerContext& context);
// The level of the header log_level, where it shows more than the process does.
std::optional<log::Level> AskedLogLevel(const grpc::CallbackServerContext& context);

using SetAttribute = absl::FunctionRef<void(std::string_view, trace::AttributeValue)>;
// Whether the span counts as an error.
bool SetSpanAttributes(const MethodName& name, const grpc::CallbackServerContext& context,
                       const absl::Status& status, SetAttribute set);

// The server span of work that ends on another thread than it began: BeginSpan when it begins,
// RecordSpan when it ends, and whatever is logged meanwhile inside a Span of SilentTracer.
trace::SpanContext BeginSpan(const trace::Tracer& tracer,
                             const std::optional<trace::SpanContext>& parent);
void RecordSpan(const trace::Tracer& tracer, const MethodName& name,
                const grpc::CallbackServerContext& call, const trace::SpanContext& context,
                const std::optional<trace::SpanContext>& parent, absl::Time start,
                const absl::Status& status);

// Makes spans that are never recorded: their ids in the log are all that is wanted.
const trace::Tracer& SilentTracer();

}  // namespace saldo::rpc::internal
