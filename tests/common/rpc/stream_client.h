// Both ends of a stream as tests need them.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "tests/common/rpc/echo_server.h"

namespace saldo::rpc::testing {

// A stream from the client's side.
class ClientStream {
 public:
  explicit ClientStream(EchoServer& server, const std::string& traceparent = "") {
    context.set_deadline(absl::ToChronoTime(absl::Now() + kPatience));
    if (!traceparent.empty()) context.AddMetadata("traceparent", traceparent);
    stream_ = server.stub->Flow(&context);
  }
  // False when the stream has ended.
  bool Send(const std::string& text) {
    EchoRequest request;
    request.set_text(text);
    return stream_->Write(request);
  }
  void HalfClose() { stream_->WritesDone(); }
  // The next answer, or "(end)".
  std::string Read() {
    EchoResponse response;
    return stream_->Read(&response) ? response.text() : "(end)";
  }
  grpc::Status Finish() { return stream_->Finish(); }

  grpc::ClientContext context;

 private:
  std::unique_ptr<grpc::ClientReaderWriter<EchoRequest, EchoResponse>> stream_;
};

// Keeps items until a test answers them.
class Keeper {
 public:
  struct Kept {
    std::shared_ptr<StreamItem> item;
    std::string text;
    EchoResponse* response;

    void Answer(const absl::Status& status = absl::OkStatus()) {
      response->set_text("re: " + text);
      item->Finish(status);
      item.reset();
    }
  };

  explicit Keeper(EchoServer& server) {
    server.service.on_flow = [this](std::shared_ptr<StreamItem> item, const EchoRequest& request,
                                    EchoResponse& response) {
      absl::MutexLock lock(&mutex_);
      ++seen_;
      kept_.push_back({std::move(item), request.text(), &response});
    };
  }

  int seen() const {
    absl::MutexLock lock(&mutex_);
    return seen_;
  }
  bool AwaitSeen(int count) const {
    return Eventually([&] { return seen() >= count; });
  }
  // The one that waits at `index`; the oldest is 0.
  Kept Take(size_t index = 0) {
    absl::MutexLock lock(&mutex_);
    Kept taken = std::move(kept_.at(index));
    kept_.erase(kept_.begin() + static_cast<std::ptrdiff_t>(index));
    return taken;
  }
  // Any of those that wait, if one does.
  std::optional<Kept> TakeAny(std::mt19937& random) {
    absl::MutexLock lock(&mutex_);
    if (kept_.empty()) return std::nullopt;
    std::swap(kept_[random() % kept_.size()], kept_.back());
    Kept taken = std::move(kept_.back());
    kept_.pop_back();
    return taken;
  }
  size_t size() const {
    absl::MutexLock lock(&mutex_);
    return kept_.size();
  }

 private:
  mutable absl::Mutex mutex_;
  int seen_ ABSL_GUARDED_BY(mutex_) = 0;
  std::vector<Kept> kept_ ABSL_GUARDED_BY(mutex_);
};

inline std::string Series(const std::string& name, const std::string& value,
                          const std::string& code = "") {
  return name + "{" + (code.empty() ? "" : "grpc_code=\"" + code + "\",") +
         "grpc_method=\"Flow\",grpc_service=\"saldo.rpc.testing.Echo\","
         "grpc_type=\"bidi_stream\"} " +
         value + "\n";
}

inline bool HasSeries(EchoServer& server, const std::string& series) {
  return server.registry.Text().find(series) != std::string::npos;
}

}  // namespace saldo::rpc::testing
