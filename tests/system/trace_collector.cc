#include "tests/system/trace_collector.h"

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace saldo::testing {
namespace {

namespace otlp = opentelemetry::proto;

std::string Text(const otlp::common::v1::AnyValue& value) {
  if (value.has_int_value()) return absl::StrCat(value.int_value());
  if (value.has_bool_value()) return value.bool_value() ? "true" : "false";
  return value.string_value();
}

ReceivedSpan Read(const otlp::trace::v1::Span& span) {
  ReceivedSpan read;
  read.name = span.name();
  read.span_id = absl::BytesToHexString(span.span_id());
  read.parent_id = absl::BytesToHexString(span.parent_span_id());
  read.kind = span.kind();
  read.error = span.status().code() == otlp::trace::v1::Status::STATUS_CODE_ERROR;
  read.error_message = span.status().message();
  for (const auto& attribute : span.attributes())
    read.attributes[attribute.key()] = Text(attribute.value());
  for (const auto& link : span.links())
    read.links.push_back(absl::BytesToHexString(link.span_id()));
  return read;
}

}  // namespace

TraceCollector::TraceCollector(const std::string& next)
    : next_(otlp::collector::trace::v1::TraceService::NewStub(
          grpc::CreateChannel(next, grpc::InsecureChannelCredentials()))) {
  grpc::ServerBuilder builder;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port_);
  builder.RegisterService(this);
  server_ = builder.BuildAndStart();
}

TraceCollector::~TraceCollector() { server_->Shutdown(); }

grpc::Status TraceCollector::Export(grpc::ServerContext* context, const Request* request,
                                    Response* response) {
  {
    absl::MutexLock lock(&mutex_);
    absl::StrAppend(&everything_, request->ShortDebugString(), "\n");
    for (const auto& resource : request->resource_spans()) {
      ++schemas_[resource.schema_url()];
      std::string service;
      for (const auto& attribute : resource.resource().attributes()) {
        if (attribute.key() == "service.name") service = attribute.value().string_value();
      }
      for (const auto& scope : resource.scope_spans()) {
        for (const auto& span : scope.spans()) {
          ReceivedSpan read = Read(span);
          read.service = service;
          spans_[absl::BytesToHexString(span.trace_id())].push_back(std::move(read));
        }
      }
    }
  }
  grpc::ClientContext onward;
  onward.set_deadline(context->deadline());
  return next_->Export(&onward, *request, response);
}

std::string TraceCollector::endpoint() const { return absl::StrCat("http://127.0.0.1:", port_); }

std::vector<ReceivedSpan> TraceCollector::Trace(const std::string& trace_id) {
  absl::MutexLock lock(&mutex_);
  return spans_[trace_id];
}

std::vector<std::string> TraceCollector::TraceIds() {
  absl::MutexLock lock(&mutex_);
  std::vector<std::string> ids;
  for (const auto& [id, spans] : spans_) {
    if (!spans.empty()) ids.push_back(id);
  }
  return ids;
}

std::string TraceCollector::Everything() {
  absl::MutexLock lock(&mutex_);
  return everything_;
}

std::map<std::string, int> TraceCollector::Schemas() {
  absl::MutexLock lock(&mutex_);
  return schemas_;
}

const ReceivedSpan* FindSpan(const std::vector<ReceivedSpan>& spans, const std::string& name) {
  for (const ReceivedSpan& span : spans) {
    if (span.name == name) return &span;
  }
  return nullptr;
}

}  // namespace saldo::testing
