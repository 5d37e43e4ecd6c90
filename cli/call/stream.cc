#include "cli/call/stream.h"

#include <google/protobuf/util/json_util.h>
#include <poll.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "cli/args.h"
#include "common/runtime/thread.h"
#include "saldo/v1/account_service.grpc.pb.h"

namespace saldo::cli {
namespace {

constexpr int kSliceMs = 100;

}  // namespace

bool LineReader::Next(std::string* line, absl::FunctionRef<bool()> given_up) {
  size_t looked_to = begin_;
  while (true) {
    const size_t end = buffer_.find('\n', looked_to);
    if (end != std::string::npos) {
      line->assign(buffer_, begin_, end - begin_);
      begin_ = end + 1;
      return true;
    }
    buffer_.erase(0, begin_);
    begin_ = 0;
    looked_to = buffer_.size();
    if (Fill(given_up)) continue;
    // The last line needs no end.
    if (given_up() || buffer_.empty()) return false;
    line->swap(buffer_);
    buffer_.clear();
    return true;
  }
}

bool LineReader::Fill(absl::FunctionRef<bool()> given_up) {
  std::array<char, 65536> chunk;
  while (fd_ >= 0 && !given_up()) {
    pollfd waited{.fd = fd_, .events = POLLIN, .revents = 0};
    const int ready = poll(&waited, 1, kSliceMs);
    if (ready == 0 || (ready < 0 && errno == EINTR)) continue;
    const ssize_t got = read(fd_, chunk.data(), chunk.size());
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (got <= 0) return false;
    buffer_.append(chunk.data(), static_cast<size_t>(got));
    return true;
  }
  return false;
}

StreamOutcome CallStream(const std::shared_ptr<grpc::Channel>& channel,
                         grpc::ClientContext& context, LineReader& lines,
                         absl::FunctionRef<void(const v1::WriteEventsStreamResponse&)> on_answer) {
  const auto stub = v1::AccountService::NewStub(channel);
  const auto stream = stub->WriteEventsStream(&context);
  StreamOutcome outcome;
  {
    // A writer that did not read would stop as soon as the server's window is full.
    std::atomic<bool> ended = false;
    const runtime::Thread reader("call-answers", [&stream, &ended, on_answer] {
      v1::WriteEventsStreamResponse answer;
      while (stream->Read(&answer)) on_answer(answer);
      ended = true;
    });
    std::string line;
    const auto given_up = [&ended] { return ended.load(); };
    for (int64_t number = 1; lines.Next(&line, given_up); ++number) {
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
