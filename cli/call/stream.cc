#include "cli/call/stream.h"

#include <google/protobuf/util/json_util.h>

#include <cstdint>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "cli/args.h"
#include "common/runtime/thread.h"
#include "saldo/v1/account_service.grpc.pb.h"

namespace saldo::cli {

StreamOutcome CallStream(const std::shared_ptr<grpc::Channel>& channel,
                         grpc::ClientContext& context, std::istream& lines,
                         absl::FunctionRef<void(const v1::WriteEventsStreamResponse&)> on_answer) {
  const auto stub = v1::AccountService::NewStub(channel);
  const auto stream = stub->WriteEventsStream(&context);
  StreamOutcome outcome;
  {
    // A writer that did not read would stop as soon as the server's window is full.
    const runtime::Thread reader("call-answers", [&stream, on_answer] {
      v1::WriteEventsStreamResponse answer;
      while (stream->Read(&answer)) on_answer(answer);
    });
    std::string line;
    for (int64_t number = 1; std::getline(lines, line); ++number) {
      if (absl::StripAsciiWhitespace(line).empty()) continue;
      v1::WriteEventsRequest request;
      const auto parsed = google::protobuf::util::JsonStringToMessage(line, &request);
      if (!parsed.ok()) {
        outcome.input = UsageError(absl::StrCat("line ", number, " is not a WriteEventsRequest in ",
                                                "JSON: ", std::string(parsed.message())));
        break;
      }
      if (!stream->Write(request)) break;  // the stream has ended; Finish says why
    }
    stream->WritesDone();
  }
  outcome.status = stream->Finish();
  return outcome;
}

}  // namespace saldo::cli
