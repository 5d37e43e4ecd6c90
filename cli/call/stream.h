// The one method that takes a stream of requests.
#pragma once

#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>
#include <string_view>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "saldo/v1/account_service.pb.h"

namespace saldo::cli {

// Lines of a text, or of a file that may leave its reader waiting, such as a pipe.
class LineReader {
 public:
  explicit LineReader(std::string_view text) : buffer_(text) {}
  // `fd` stays the caller's.
  explicit LineReader(int fd) : fd_(fd) {}

  // The next line, without its end. False when there is none, or when `given_up` becomes true while
  // the file is waited for: that is noticed within a tenth of a second.
  bool Next(std::string* line, absl::FunctionRef<bool()> given_up);

 private:
  // Waits for more. False when there is none.
  bool Fill(absl::FunctionRef<bool()> given_up);

  std::string buffer_;
  size_t begin_ = 0;  // what is before it was given out
  int fd_ = -1;       // -1: all is in the buffer
};

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
                         grpc::ClientContext& context, LineReader& lines,
                         absl::FunctionRef<void(const v1::WriteEventsStreamResponse&)> on_answer);

}  // namespace saldo::cli
