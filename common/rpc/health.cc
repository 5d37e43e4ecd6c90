#include "common/rpc/health.h"

#include <optional>
#include <utility>

namespace saldo::rpc {

using grpc::health::v1::HealthCheckRequest;
using grpc::health::v1::HealthCheckResponse;

namespace {
constexpr size_t kWatchersMax = 1000;
}  // namespace

// One open Watch stream. Sends the latest status; what changed twice while a write was under way is
// told once. Its state is guarded by the service's mutex; deletes itself when gRPC is done with it.
class HealthService::Watcher final : public grpc::ServerWriteReactor<HealthCheckResponse> {
 public:
  Watcher(HealthService* health, std::string service)
      : health_(health), service_(std::move(service)) {}

  const std::string& service() const { return service_; }

  // With the service's mutex held, as End.
  void Tell(ServingStatus status) {
    wanted_ = status;
    Advance();
  }
  // Ends the stream after what is still to be told.
  void End(grpc::Status status) {
    if (!end_) end_ = std::move(status);
    Advance();
  }

  void OnWriteDone(bool ok) override {
    absl::MutexLock lock(&health_->mutex_);
    writing_ = false;
    if (!ok) wanted_ = sent_;
    Advance();
  }
  void OnCancel() override {
    absl::MutexLock lock(&health_->mutex_);
    wanted_ = sent_;
    if (!end_) end_ = grpc::Status(grpc::StatusCode::CANCELLED, "the watcher left");
    Advance();
  }
  void OnDone() override {
    {
      absl::MutexLock lock(&health_->mutex_);
      health_->watchers_.erase(this);
    }
    delete this;
  }

 private:
  void Advance() {
    health_->mutex_.AssertHeld();
    if (writing_ || finished_) return;
    if (wanted_ != sent_) {
      sent_ = wanted_;
      response_.set_status(*sent_);
      writing_ = true;
      StartWrite(&response_);
    } else if (end_) {
      finished_ = true;
      Finish(*end_);
    }
  }

  HealthService* const health_;
  const std::string service_;
  HealthCheckResponse response_;
  std::optional<ServingStatus> wanted_;
  std::optional<ServingStatus> sent_;
  std::optional<grpc::Status> end_;
  bool writing_ = false;
  bool finished_ = false;
};

HealthService::HealthService() { services_[""] = HealthCheckResponse::NOT_SERVING; }

HealthService::~HealthService() = default;

void HealthService::Set(const std::string& service, bool serving) {
  absl::MutexLock lock(&mutex_);
  if (stopped_) return;
  SetLocked(service, serving ? HealthCheckResponse::SERVING : HealthCheckResponse::NOT_SERVING);
}

void HealthService::SetLocked(const std::string& service, ServingStatus status) {
  services_[service] = status;
  for (Watcher* watcher : watchers_) {
    if (watcher->service() == service) watcher->Tell(status);
  }
}

void HealthService::Shutdown() {
  absl::MutexLock lock(&mutex_);
  stopped_ = true;
  for (auto& [service, status] : services_) SetLocked(service, HealthCheckResponse::NOT_SERVING);
  for (Watcher* watcher : watchers_) {
    watcher->End(grpc::Status(grpc::StatusCode::UNAVAILABLE, "the server stops"));
  }
}

grpc::ServerUnaryReactor* HealthService::Check(grpc::CallbackServerContext* context,
                                               const HealthCheckRequest* request,
                                               HealthCheckResponse* response) {
  grpc::Status status(grpc::StatusCode::NOT_FOUND, "no such service");
  {
    absl::MutexLock lock(&mutex_);
    const auto found = services_.find(request->service());
    if (found != services_.end()) {
      response->set_status(found->second);
      status = grpc::Status::OK;
    }
  }
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  reactor->Finish(status);
  return reactor;
}

grpc::ServerWriteReactor<HealthCheckResponse>* HealthService::Watch(
    grpc::CallbackServerContext*, const HealthCheckRequest* request) {
  auto* watcher = new Watcher(this, request->service());
  absl::MutexLock lock(&mutex_);
  if (stopped_ || watchers_.size() >= kWatchersMax) {
    watcher->End(stopped_
                     ? grpc::Status(grpc::StatusCode::UNAVAILABLE, "the server stops")
                     : grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED, "too many watchers"));
    return watcher;
  }
  watchers_.insert(watcher);
  const auto found = services_.find(request->service());
  watcher->Tell(found == services_.end() ? HealthCheckResponse::SERVICE_UNKNOWN : found->second);
  return watcher;
}

}  // namespace saldo::rpc
