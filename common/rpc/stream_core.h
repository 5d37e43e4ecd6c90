// The part of a stream that does not depend on its messages. Not for services: see dispatcher.h.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/base/call_context.h"
#include "common/observability/log.h"
#include "common/observability/trace.h"
#include "common/rpc/call.h"
#include "common/rpc/codec.h"
#include "grpcpp/server_context.h"
#include "grpcpp/support/byte_buffer.h"
#include "grpcpp/support/server_callback.h"

namespace saldo::rpc {

class Dispatcher;
class StreamMethod;

namespace internal {

class StreamCore;

// The streams of a server, so that its stop can end them.
class OpenStreams {
 public:
  explicit OpenStreams(int max) : max_(static_cast<size_t>(max)) {}

  // False when there are too many.
  bool Add(StreamCore* stream) ABSL_LOCKS_EXCLUDED(mutex_);
  void Remove(StreamCore* stream) ABSL_LOCKS_EXCLUDED(mutex_);
  // Ends all of them, and those that still come.
  void EndAll() ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  const size_t max_;
  absl::Mutex mutex_;
  bool ending_ ABSL_GUARDED_BY(mutex_) = false;
  std::set<StreamCore*> streams_ ABSL_GUARDED_BY(mutex_);
};

// Belongs to its handle, and keeps its stream's memory. Whatever else the stream stands on is there
// until the item is answered, as gRPC waits for the stream's end, and that for its items.
class ItemCore : public StreamItem {
 public:
  std::string peer() const override;
  std::optional<std::string_view> Metadata(std::string_view key) const override;
  std::string_view method() const override;
  void Finish(absl::Status status) override;

  virtual absl::Status DecodeRequest(const grpc::ByteBuffer& bytes) = 0;
  virtual void Handle(std::shared_ptr<StreamItem> self) = 0;

 protected:
  ItemCore(StreamCore& stream, uint64_t number, absl::Time now);
  // Answers the item if nobody did.
  ~ItemCore();

 private:
  virtual absl::Status EncodeResponse(grpc::ByteBuffer* bytes) = 0;
  void Report(const absl::Status& status);

  StreamCore& stream_;
  const uint64_t number_;  // of the message in its stream, from 0
  const absl::Time arrived_;
  std::atomic<bool> answered_{false};
};

// Kept alive by gRPC until OnDone, and by its items.
//
// gRPC's operations are started under the mutex: it runs no reaction inside the call that starts
// one, so this cannot lock twice, and none is started after Finish.
class StreamCore : public grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer> {
 public:
  // On gRPC's thread: read the first message, or refuse the stream.
  void Start() ABSL_LOCKS_EXCLUDED(mutex_);
  // The server stops: answer what is under way, then end.
  void End() ABSL_LOCKS_EXCLUDED(mutex_);

 protected:
  StreamCore(StreamMethod& method, grpc::CallbackServerContext* context);
  ~StreamCore() override = default;

  virtual std::shared_ptr<ItemCore> MakeItem(uint64_t number, absl::Time now) = 0;

 private:
  friend class ItemCore;

  // A message under way.
  struct Slot {
    size_t request_bytes = 0;
    bool answered = false;
    absl::Status status;
    grpc::ByteBuffer response;  // when the status is OK
  };

  void OnReadDone(bool ok) override ABSL_LOCKS_EXCLUDED(mutex_);
  void OnWriteDone(bool ok) override ABSL_LOCKS_EXCLUDED(mutex_);
  void OnCancel() override ABSL_LOCKS_EXCLUDED(mutex_);
  void OnDone() override;

  void Ref() { references_.fetch_add(1, std::memory_order_relaxed); }
  void Unref();

  // Takes a message in. False when it came too late to be handled.
  bool OpenSlot(uint64_t* number) ABSL_LOCKS_EXCLUDED(mutex_);
  void RunItem(uint64_t number);
  // The item's last: afterwards gRPC may be done with the stream.
  void TakeAnswer(uint64_t number, absl::Status status, grpc::ByteBuffer* response)
      ABSL_LOCKS_EXCLUDED(mutex_);

  // Starts whatever can be started now.
  void Step() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void SendAnswers() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void CloseFirstSlot() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool TakesMore() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void FinishStream() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status EndStatus() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Report(const absl::Status& status);

  StreamMethod& method_;
  Dispatcher& dispatcher_;
  grpc::CallbackServerContext* const context_;
  const absl::Time arrived_;
  const absl::Time deadline_;  // the client's
  const std::optional<trace::SpanContext> parent_;
  std::optional<log::Level> log_level_;
  CancelFlag cancel_flag_;
  bool refused_ = false;
  std::atomic<int> references_{1};

  // Touched by gRPC and by the one reaction that follows a read.
  grpc::ByteBuffer incoming_;

  absl::Mutex mutex_;
  std::deque<Slot> slots_ ABSL_GUARDED_BY(mutex_);     // oldest first
  uint64_t first_number_ ABSL_GUARDED_BY(mutex_) = 0;  // of the oldest slot
  size_t bytes_ ABSL_GUARDED_BY(mutex_) = 0;           // of the slots' requests
  bool reading_ ABSL_GUARDED_BY(mutex_) = false;       // until the message is with its handler
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool half_closed_ ABSL_GUARDED_BY(mutex_) = false;  // by the client: no message comes any more
  bool gone_ ABSL_GUARDED_BY(mutex_) = false;         // the client: no answer reaches it any more
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;     // the server
  bool error_ahead_ ABSL_GUARDED_BY(mutex_) = false;  // an item failed
  absl::Status error_ ABSL_GUARDED_BY(mutex_);  // of that item, once all before it are answered
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
};

template <typename Request, typename Response, typename Service>
class RawStream final : public StreamCore {
 public:
  using Handler = void (Service::*)(std::shared_ptr<StreamItem>, const Request&, Response&);

  RawStream(StreamMethod& method, grpc::CallbackServerContext* context, Handler handler,
            Service* service)
      : StreamCore(method, context), handler_(handler), service_(service) {}

 private:
  // The handle, the item and its messages are one allocation.
  class Item final : public ItemCore {
   public:
    Item(RawStream& stream, uint64_t number, absl::Time now)
        : ItemCore(stream, number, now), handler_(stream.handler_), service_(stream.service_) {}

   private:
    absl::Status DecodeRequest(const grpc::ByteBuffer& bytes) override {
      return Decode(bytes, &request_);
    }
    void Handle(std::shared_ptr<StreamItem> self) override {
      (service_->*handler_)(std::move(self), request_, response_);
    }
    absl::Status EncodeResponse(grpc::ByteBuffer* bytes) override {
      return Encode(response_, bytes);
    }

    const Handler handler_;
    Service* const service_;
    Request request_;
    Response response_;
  };

  std::shared_ptr<ItemCore> MakeItem(uint64_t number, absl::Time now) override {
    return std::make_shared<Item>(*this, number, now);
  }

  const Handler handler_;
  Service* const service_;
};

}  // namespace internal
}  // namespace saldo::rpc
