// A collector of traces that keeps what it gets.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "grpcpp/grpcpp.h"
#include "opentelemetry/proto/collector/trace/v1/trace_service.grpc.pb.h"

namespace saldo::testing {

// Ids are in hex.
struct ReceivedSpan {
  std::string service;
  std::string name;
  std::string span_id;
  std::string parent_id;
  opentelemetry::proto::trace::v1::Span::SpanKind kind;
  bool error = false;
  std::string error_message;
  std::map<std::string, std::string> attributes;  // numbers as text
  std::vector<std::string> links;                 // the span ids
};

class TraceCollector final
    : public opentelemetry::proto::collector::trace::v1::TraceService::Service {
 public:
  using Request = opentelemetry::proto::collector::trace::v1::ExportTraceServiceRequest;
  using Response = opentelemetry::proto::collector::trace::v1::ExportTraceServiceResponse;

  // Passes all on to another collector, "host:port".
  explicit TraceCollector(const std::string& next);
  ~TraceCollector() override;

  grpc::Status Export(grpc::ServerContext* context, const Request* request,
                      Response* response) override;

  std::string endpoint() const;
  // Those received until now.
  std::vector<ReceivedSpan> Trace(const std::string& trace_id);
  std::vector<std::string> TraceIds();
  // All that was received, as text.
  std::string Everything();
  // The versions of conventions that were told.
  std::map<std::string, int> Schemas();

 private:
  const std::unique_ptr<opentelemetry::proto::collector::trace::v1::TraceService::Stub> next_;
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
  absl::Mutex mutex_;
  std::map<std::string, std::vector<ReceivedSpan>> spans_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, int> schemas_ ABSL_GUARDED_BY(mutex_);
  std::string everything_ ABSL_GUARDED_BY(mutex_);
};

// The first span of this name, or null.
const ReceivedSpan* FindSpan(const std::vector<ReceivedSpan>& spans, const std::string& name);

}  // namespace saldo::testing
