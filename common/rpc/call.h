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
  CallContext context() const { return CallContext(deadline_, cancel_); }

  // "ipv4:127.0.0.1:40312"
  virtual std::string peer() const = 0;
  // The first value of a header, whose key is in lower case.
  virtual std::optional<std::string_view> Metadata(std::string_view key) const = 0;
  // "package.Service/Method"
  virtual std::string_view method() const = 0;

  // The call's server span, to link or to pass on.
  const trace::SpanContext& trace_context() const { return trace_context_; }

 protected:
  // `cancel` lives as long as the call.
  Call(absl::Time deadline, const CancelFlag* cancel) : deadline_(deadline), cancel_(cancel) {}
  ~Call() = default;

  const absl::Time deadline_;
  const CancelFlag* const cancel_;
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

// One message of a stream, answered by exactly one message; see StreamMethod. What holds for
// AsyncCall holds for it, and code that answers calls need not know which of them it has. Its
// context() has the client's deadline for the stream, but at most the server's default deadline
// after the message arrived, and is cancelled when nobody will see the answer.
//
// Finish(OK) sends the response once all earlier messages are answered. An error, also the INTERNAL
// of an item that is dropped, ends the whole stream with that status after the answers of all
// earlier messages; no message is taken after it, and the answers of those under way behind it are
// dropped. What shall cost one message only belongs into the response.
class StreamItem : public AsyncCall {
 protected:
  using AsyncCall::AsyncCall;
  ~StreamItem() = default;
};

}  // namespace saldo::rpc
