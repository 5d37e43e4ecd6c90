// The one method that takes a stream of requests.
#pragma once

#include <grpcpp/grpcpp.h>

#include <istream>
#include <memory>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "saldo/v1/account_service.pb.h"

namespace saldo::cli {

struct StreamOutcome {
  // OK when every line was read as a request; else it names the first that could not be, which was
  // not sent, nor what follows it.
  absl::Status input;
  // How the server ended the stream, after the answers to all that was sent when it is OK.
  grpc::Status status;
};

// Calls WriteEventsStream with one request in JSON a line, and gives each answer to `on_answer`
// when it comes, on another thread. Empty lines are passed over. Ends with the input, with the
// stream, or with the context's deadline, whichever is first.
StreamOutcome CallStream(const std::shared_ptr<grpc::Channel>& channel,
                         grpc::ClientContext& context, std::istream& lines,
                         absl::FunctionRef<void(const v1::WriteEventsStreamResponse&)> on_answer);

}  // namespace saldo::cli
