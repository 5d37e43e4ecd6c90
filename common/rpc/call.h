// One RPC as its handler sees it.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/base/call_context.h"
#include "common/observability/trace.h"

namespace saldo::rpc {

// Lives until the call is answered. Used by one thread at a time.
class Call {
 public:
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  // Until when the caller waits, limited by the server's maximum, and whether it gave up.
  CallContext context() const { return CallContext(deadline_, &cancelled_); }

  // "ipv4:127.0.0.1:40312"
  virtual std::string peer() const = 0;
  // The first value of a header, whose key is in lower case.
  virtual std::optional<std::string_view> Metadata(std::string_view key) const = 0;
  // "package.Service/Method"
  virtual std::string_view method() const = 0;

  // The call's server span, to link or to pass on.
  const trace::SpanContext& trace_context() const { return trace_context_; }

 protected:
  explicit Call(absl::Time deadline) : deadline_(deadline) {}
  ~Call() = default;

  const absl::Time deadline_;
  CancelFlag cancelled_;
  trace::SpanContext trace_context_;
};

// A call that is answered later, by any thread, while no thread waits for it. Handed out as a
// shared pointer: when the last copy goes without an answer, the call fails with INTERNAL. Request
// and response live until Finish; context() stays valid as long as the pointer.
class AsyncCall : public Call {
 public:
  // Answers the call, with the response if `status` is OK. Exactly once; a second answer is
  // dropped and logged. Never blocks. After it, use neither the request, the response, peer() nor
  // Metadata().
  virtual void Finish(absl::Status status) = 0;

 protected:
  using Call::Call;
  ~AsyncCall() = default;
};

}  // namespace saldo::rpc
