#include <grpcpp/grpcpp.h>

#include <catch2/catch.hpp>
#include <map>

#include "absl/base/thread_annotations.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "common/kafka/consumer.h"
#include "common/observability/trace.h"
#include "hablof/logistic_package_api/v1/logistic_package_api.grpc.pb.h"
#include "opentelemetry/proto/collector/trace/v1/trace_service.grpc.pb.h"
#include "tests/system/stack.h"

namespace saldo::testing {
namespace {

namespace otlp = opentelemetry::proto::collector::trace::v1;

struct ReceivedSpan {
  std::string service;
  std::string name;
  std::string span_id;  // hex
  std::string parent_id;
  bool error;
};

// A collector that keeps what it gets, by trace.
class Collector final : public otlp::TraceService::Service {
 public:
  Collector() {
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port_);
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
  }
  ~Collector() override { server_->Shutdown(); }

  grpc::Status Export(grpc::ServerContext*, const otlp::ExportTraceServiceRequest* request,
                      otlp::ExportTraceServiceResponse*) override {
    absl::MutexLock lock(&mutex_);
    for (const auto& resource : request->resource_spans()) {
      std::string service;
      for (const auto& attribute : resource.resource().attributes()) {
        if (attribute.key() == "service.name") service = attribute.value().string_value();
      }
      for (const auto& scope : resource.scope_spans()) {
        for (const auto& span : scope.spans()) {
          spans_[absl::BytesToHexString(span.trace_id())].push_back(
              {service, span.name(), absl::BytesToHexString(span.span_id()),
               absl::BytesToHexString(span.parent_span_id()), span.status().code() == 2});
        }
      }
    }
    return grpc::Status::OK;
  }

  std::string endpoint() const { return absl::StrCat("http://127.0.0.1:", port_); }
  std::vector<ReceivedSpan> Trace(const std::string& trace_id) {
    absl::MutexLock lock(&mutex_);
    return spans_[trace_id];
  }

 private:
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
  absl::Mutex mutex_;
  std::map<std::string, std::vector<ReceivedSpan>> spans_ ABSL_GUARDED_BY(mutex_);
};

const ReceivedSpan* Find(const std::vector<ReceivedSpan>& spans, const std::string& name) {
  for (const ReceivedSpan& span : spans) {
    if (span.name == name) return &span;
  }
  return nullptr;
}

}  // namespace

TEST_CASE("one trace follows a change from the client's call to the message in Kafka") {
  namespace api = hablof::logistic_package_api::v1;
  Collector collector;
  Stack stack({.env = {{"OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint()},
                       {"OTEL_BSP_SCHEDULE_DELAY", "100"}}});

  const std::string trace_id = "4bf92f3577b34da6a3ce929d0e0e4736", client_span = "00f067aa0ba902b7";
  const auto stub = api::LogisticPackageApiService::NewStub(
      grpc::CreateChannel(stack.server_address(), grpc::InsecureChannelCredentials()));
  grpc::ClientContext context;
  context.AddMetadata("traceparent", absl::StrCat("00-", trace_id, "-", client_span, "-01"));
  api::CreatePackageV1Request request;
  request.set_title("traced");
  request.set_material("paper");
  request.set_maximum_volume(1);
  api::CreatePackageV1Response response;
  const grpc::Status status = stub->CreatePackageV1(&context, request, &response);
  INFO(status.error_message());
  REQUIRE(status.ok());

  const std::string send = absl::StrCat("send ", Stack::kTopic);
  std::vector<ReceivedSpan> spans;
  REQUIRE(Eventually(absl::Seconds(30), [&] {
    spans = collector.Trace(trace_id);
    return Find(spans, send) != nullptr && Find(spans, "postgres.commit") != nullptr &&
           Find(spans,
                "hablof.logistic_package_api.v1.LogisticPackageApiService/CreatePackageV1") !=
               nullptr;
  }));
  for (const ReceivedSpan& span : spans) {
    UNSCOPED_INFO(span.service << " " << span.name << " " << span.span_id << " under "
                               << span.parent_id);
  }
  const ReceivedSpan* rpc =
      Find(spans, "hablof.logistic_package_api.v1.LogisticPackageApiService/CreatePackageV1");
  const ReceivedSpan* method = Find(spans, "PackageStore.Create");
  REQUIRE(method != nullptr);
  CHECK(rpc->service == "saldo-server");
  CHECK(rpc->parent_id == client_span);
  CHECK(method->parent_id == rpc->span_id);
  for (const char* statement : {"packages.insert", "outbox.append", "postgres.commit"}) {
    INFO(statement);
    const ReceivedSpan* sql = Find(spans, statement);
    REQUIRE(sql != nullptr);
    CHECK(sql->parent_id == method->span_id);
  }
  const ReceivedSpan* sent = Find(spans, send);
  CHECK(sent->service == "saldo-retranslator");
  CHECK(sent->parent_id == method->span_id);
  for (const ReceivedSpan& span : spans) CHECK_FALSE(span.error);

  auto consumer =
      kafka::Consumer::Create({.connection = {.brokers = stack.kafka().bootstrap_servers()}});
  REQUIRE(consumer.ok());
  std::string header;
  REQUIRE((*consumer)
              ->ReadToEnd(Stack::kTopic, CallContext::WithTimeout(absl::Seconds(30)),
                          [&](const kafka::ReceivedMessage& message) {
                            if (const std::string* found = message.FindHeader("traceparent"))
                              header = *found;
                          })
              .ok());
  CHECK(header == absl::StrCat("00-", trace_id, "-", sent->span_id, "-01"));
}

}  // namespace saldo::testing
