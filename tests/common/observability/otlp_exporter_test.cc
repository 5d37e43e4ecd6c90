#include "common/observability/otlp_exporter.h"

#include <grpcpp/grpcpp.h>

#include <catch2/catch.hpp>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "common/observability/trace.h"
#include "common/observability/tracing.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "opentelemetry/proto/collector/trace/v1/trace_service.grpc.pb.h"
#include "tests/common/observability/poll.h"

namespace saldo::trace {
namespace {

namespace otlp = opentelemetry::proto;
using otlp::collector::trace::v1::ExportTraceServiceRequest;
using otlp::collector::trace::v1::ExportTraceServiceResponse;
using saldo::testing::Eventually;

// A collector that keeps what it gets and answers as it is told.
class Collector : public otlp::collector::trace::v1::TraceService::Service {
 public:
  ~Collector() override { Down(); }

  // False when the port cannot be had.
  bool Up(int port = 0) {
    grpc::ServerBuilder builder;
    builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
    int bound = 0;
    builder.AddListeningPort(absl::StrCat("127.0.0.1:", port), grpc::InsecureServerCredentials(),
                             &bound);
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
    if (server_ == nullptr || bound == 0) return false;
    port_ = bound;
    return true;
  }
  void Down() {
    if (server_ == nullptr) return;
    server_->Shutdown(std::chrono::system_clock::now());
    server_->Wait();
    server_ = nullptr;
  }
  std::string target() const { return absl::StrCat("127.0.0.1:", port_); }
  int port() const { return port_; }

  grpc::Status Export(grpc::ServerContext* context, const ExportTraceServiceRequest* request,
                      ExportTraceServiceResponse* response) override {
    if (hang.load()) {
      hanging.store(true);
      Eventually([&] { return context->IsCancelled() || !hang.load(); }, absl::Seconds(60));
      if (context->IsCancelled()) return grpc::Status::CANCELLED;
    }
    absl::MutexLock lock(&mutex);
    ++attempts;
    for (const auto& [key, value] : context->client_metadata()) {
      metadata[std::string(key.data(), key.size())] = std::string(value.data(), value.size());
    }
    if (!failures.empty()) {
      const grpc::Status failure = failures.front();
      failures.erase(failures.begin());
      return failure;
    }
    requests.push_back(*request);
    response->mutable_partial_success()->set_rejected_spans(rejected);
    return grpc::Status::OK;
  }

  std::vector<otlp::trace::v1::Span> spans() {
    absl::MutexLock lock(&mutex);
    std::vector<otlp::trace::v1::Span> all;
    for (const auto& request : requests) {
      for (const auto& span : request.resource_spans(0).scope_spans(0).spans()) {
        all.push_back(span);
      }
    }
    return all;
  }

  std::atomic<bool> hang{false};
  std::atomic<bool> hanging{false};
  absl::Mutex mutex;
  std::vector<ExportTraceServiceRequest> requests ABSL_GUARDED_BY(mutex);
  std::vector<grpc::Status> failures ABSL_GUARDED_BY(mutex);  // of the next attempts
  std::map<std::string, std::string> metadata ABSL_GUARDED_BY(mutex);
  int attempts ABSL_GUARDED_BY(mutex) = 0;
  int rejected ABSL_GUARDED_BY(mutex) = 0;

 private:
  std::unique_ptr<grpc::Server> server_;
  int port_ = 0;
};

OtlpOptions FastOptions(const Collector& collector) {
  OtlpOptions options;
  options.target = collector.target();
  options.batch_delay = absl::Milliseconds(10);
  options.backoff_min = absl::Milliseconds(5);
  options.backoff_max = absl::Milliseconds(100);
  return options;
}

SpanData MakeSpan(const std::string& name) {
  static const Tracer tracer(nullptr, 1);
  SpanData data;
  data.name = name;
  data.context = Span(tracer, name, Kind::kInternal, std::nullopt).context();
  data.context.sampled = true;
  data.start = absl::FromUnixNanos(1'700'000'000'000'000'001);
  data.end = data.start + absl::Nanoseconds(5);
  return data;
}

double Dropped(metrics::Registry& registry, const std::string& reason) {
  return registry
      .AddCounter("trace_spans_dropped_total", "Spans that never reached the collector, by reason.",
                  {{"reason", reason}})
      .Value();
}

double Exported(metrics::Registry& registry) {
  return registry.AddCounter("trace_spans_exported_total", "Spans that the collector has accepted.")
      .Value();
}

double Errors(metrics::Registry& registry, const std::string& code) {
  return registry
      .AddCounter("trace_export_errors_total", "Failed calls of the trace collector, by code.",
                  {{"code", code}})
      .Value();
}

template <typename Bytes>
std::string Raw(const Bytes& bytes) {
  return std::string(bytes.begin(), bytes.end());
}

TEST_CASE("a span reaches the collector whole") {
  Collector collector;
  REQUIRE(collector.Up());
  metrics::Registry registry;
  OtlpOptions options = FastOptions(collector);
  options.headers = {{"x-tenant", "blue"}};
  options.resource = {{"service.name", std::string("saldo-test")}, {"process.pid", int64_t{7}}};
  OtlpExporter exporter(options, registry);
  REQUIRE(exporter.Start().ok());

  SpanData span = MakeSpan("INSERT \xFF");
  span.kind = Kind::kProducer;
  span.parent_span_id = {1, 2, 3, 4, 5, 6, 7, 8};
  span.attributes = {
      {"db.system", std::string("postgresql\xC3")}, {"rows", int64_t{-3}}, {"retried", true}};
  span.links = {MakeSpan("linked").context};
  span.error = true;
  span.error_message = "ABORTED: deadlock";
  exporter.Take(span);
  exporter.Take(MakeSpan("root"));
  REQUIRE(Eventually([&] { return collector.spans().size() == 2; }));
  exporter.Stop();

  const auto spans = collector.spans();
  const auto& sent = spans[0];
  CHECK(sent.trace_id() == Raw(span.context.trace_id));
  CHECK(sent.span_id() == Raw(span.context.span_id));
  CHECK(sent.parent_span_id() == Raw(span.parent_span_id));
  CHECK(sent.name() == "INSERT \xEF\xBF\xBD");
  CHECK(sent.kind() == otlp::trace::v1::Span::SPAN_KIND_PRODUCER);
  CHECK(sent.flags() == 1);
  CHECK(sent.start_time_unix_nano() == 1'700'000'000'000'000'001);
  CHECK(sent.end_time_unix_nano() == 1'700'000'000'000'000'006);
  REQUIRE(sent.attributes_size() == 3);
  CHECK(sent.attributes(0).key() == "db.system");
  CHECK(sent.attributes(0).value().string_value() == "postgresql\xEF\xBF\xBD");
  CHECK(sent.attributes(1).value().int_value() == -3);
  CHECK(sent.attributes(2).value().bool_value());
  REQUIRE(sent.links_size() == 1);
  CHECK(sent.links(0).trace_id() == Raw(span.links[0].trace_id));
  CHECK(sent.links(0).span_id() == Raw(span.links[0].span_id));
  CHECK(sent.status().code() == otlp::trace::v1::Status::STATUS_CODE_ERROR);
  CHECK(sent.status().message() == "ABORTED: deadlock");
  CHECK(spans[1].parent_span_id().empty());
  CHECK_FALSE(spans[1].has_status());

  absl::MutexLock lock(&collector.mutex);
  const auto& resource = collector.requests[0].resource_spans(0).resource();
  REQUIRE(resource.attributes_size() == 2);
  CHECK(resource.attributes(0).key() == "service.name");
  CHECK(resource.attributes(0).value().string_value() == "saldo-test");
  CHECK(resource.attributes(1).value().int_value() == 7);
  CHECK(collector.requests[0].resource_spans(0).schema_url() == kSchemaUrl);
  CHECK(collector.requests[0].resource_spans(0).scope_spans(0).schema_url() == kSchemaUrl);
  CHECK(collector.metadata["x-tenant"] == "blue");
  CHECK(Exported(registry) == 2);
}

TEST_CASE("the messages have the wire format of OTLP") {
  // Tags by hand: field << 3 | wire type (1: 64 bit, 2: length, 5: 32 bit, 0: varint).
  otlp::trace::v1::Span span;
  span.set_trace_id("T");
  span.set_span_id("S");
  span.set_parent_span_id("P");
  span.set_name("N");
  span.set_kind(otlp::trace::v1::Span::SPAN_KIND_CLIENT);
  span.set_start_time_unix_nano(1);
  span.set_end_time_unix_nano(2);
  auto* attribute = span.add_attributes();
  attribute->set_key("k");
  attribute->mutable_value()->set_int_value(3);
  span.add_links()->set_flags(1);
  span.mutable_status()->set_message("m");
  span.mutable_status()->set_code(otlp::trace::v1::Status::STATUS_CODE_ERROR);
  span.set_flags(1);
  const std::string expected = std::string("\x0A\x01T\x12\x01S\x22\x01P\x2A\x01N\x30\x03", 14) +
                               std::string("\x39\x01\0\0\0\0\0\0\0\x41\x02\0\0\0\0\0\0\0", 18) +
                               std::string("\x4A\x07\x0A\x01k\x12\x02\x18\x03", 9) +
                               std::string("\x6A\x05\x35\x01\0\0\0", 7) +
                               std::string("\x7A\x05\x12\x01m\x18\x02", 7) +
                               std::string("\x85\x01\x01\0\0\0", 6);
  CHECK(span.SerializeAsString() == expected);
}

TEST_CASE("spans are sent in batches of bounded number and size") {
  Collector collector;
  REQUIRE(collector.Up());
  metrics::Registry registry;
  OtlpOptions options = FastOptions(collector);
  options.batch_spans_max = 4;
  options.batch_bytes_max = 3000;
  OtlpExporter exporter(options, registry);
  for (int i = 0; i < 10; ++i) exporter.Take(MakeSpan(absl::StrCat("small", i)));
  for (int i = 0; i < 4; ++i) {
    SpanData big = MakeSpan(absl::StrCat("big", i));
    big.attributes.emplace_back("text", std::string(2000, 'x'));
    exporter.Take(std::move(big));
  }
  REQUIRE(exporter.Start().ok());
  REQUIRE(Eventually([&] { return Exported(registry) == 14; }));
  absl::MutexLock lock(&collector.mutex);
  CHECK(collector.requests.size() >= 6);  // 4 + 4 + at most 3, and a big one each
  for (const auto& request : collector.requests) {
    CHECK(request.resource_spans(0).scope_spans(0).spans_size() <= 4);
    CHECK(request.ByteSizeLong() <= 3000);
  }
}

TEST_CASE("a full batch is sent before the delay has passed") {
  Collector collector;
  REQUIRE(collector.Up());
  metrics::Registry registry;
  OtlpOptions options = FastOptions(collector);
  options.batch_delay = absl::Hours(1);
  options.batch_spans_max = 3;
  OtlpExporter exporter(options, registry);
  REQUIRE(exporter.Start().ok());
  for (int i = 0; i < 3; ++i) exporter.Take(MakeSpan("batch"));
  CHECK(Eventually([&] { return Exported(registry) == 3; }));
  exporter.Take(MakeSpan("alone"));
  exporter.Stop();  // sends what waits
  CHECK(Exported(registry) == 4);
}

TEST_CASE("attempts are repeated for passing failures only") {
  struct Row {
    grpc::Status failure;
    bool retried;
    std::string code;
  };
  google::rpc::Status details;
  details.add_details()->PackFrom(google::rpc::RetryInfo());
  const std::vector<Row> rows = {
      {{grpc::StatusCode::UNAVAILABLE, "busy"}, true, "UNAVAILABLE"},
      {{grpc::StatusCode::ABORTED, "again"}, true, "ABORTED"},
      {{grpc::StatusCode::RESOURCE_EXHAUSTED, "wait", details.SerializeAsString()},
       true,
       "RESOURCE_EXHAUSTED"},
      {{grpc::StatusCode::RESOURCE_EXHAUSTED, "no"}, false, "RESOURCE_EXHAUSTED"},
      {{grpc::StatusCode::INVALID_ARGUMENT, "bad"}, false, "INVALID_ARGUMENT"},
      {{grpc::StatusCode::UNAUTHENTICATED, "who"}, false, "UNAUTHENTICATED"},
  };
  for (const Row& row : rows) {
    INFO(row.code << " " << row.failure.error_message());
    Collector collector;
    REQUIRE(collector.Up());
    {
      absl::MutexLock lock(&collector.mutex);
      collector.failures = {row.failure, row.failure};
    }
    metrics::Registry registry;
    OtlpExporter exporter(FastOptions(collector), registry);
    REQUIRE(exporter.Start().ok());
    exporter.Take(MakeSpan("span"));
    REQUIRE(
        Eventually([&] { return Exported(registry) + Dropped(registry, "export_failed") == 1; }));
    CHECK(Exported(registry) == (row.retried ? 1 : 0));
    CHECK(Errors(registry, row.code) == (row.retried ? 2 : 1));
  }
}

TEST_CASE("a batch is given up after its attempts, and the next one has its own") {
  Collector collector;
  REQUIRE(collector.Up());
  {
    absl::MutexLock lock(&collector.mutex);
    collector.failures.assign(3, {grpc::StatusCode::UNAVAILABLE, "busy"});
  }
  metrics::Registry registry;
  OtlpOptions options = FastOptions(collector);
  options.attempts_max = 3;
  OtlpExporter exporter(options, registry);
  REQUIRE(exporter.Start().ok());
  exporter.Take(MakeSpan("lost"));
  REQUIRE(Eventually([&] { return Dropped(registry, "export_failed") == 1; }));
  exporter.Take(MakeSpan("kept"));
  REQUIRE(Eventually([&] { return Exported(registry) == 1; }));
  REQUIRE(collector.spans().size() == 1);
  CHECK(collector.spans()[0].name() == "kept");
}

TEST_CASE("spans that the collector rejects are counted as dropped") {
  Collector collector;
  REQUIRE(collector.Up());
  {
    absl::MutexLock lock(&collector.mutex);
    collector.rejected = 2;
  }
  metrics::Registry registry;
  OtlpExporter exporter(FastOptions(collector), registry);
  for (int i = 0; i < 5; ++i) exporter.Take(MakeSpan("span"));
  REQUIRE(exporter.Start().ok());
  REQUIRE(Eventually([&] { return Exported(registry) == 3; }));
  CHECK(Dropped(registry, "rejected") == 2);
}

TEST_CASE("while the collector hangs, calls do not wait and the rest is dropped and counted") {
  constexpr int kSpans = 100'000;
  Collector collector;
  REQUIRE(collector.Up());
  collector.hang.store(true);
  metrics::Registry registry;
  OtlpOptions options = FastOptions(collector);
  options.queue_spans_max = 100;
  options.batch_spans_max = 10;
  options.flush_timeout = absl::Milliseconds(200);
  OtlpExporter exporter(options, registry);
  REQUIRE(exporter.Start().ok());
  exporter.Take(MakeSpan("first"));
  REQUIRE(Eventually([&] { return collector.hanging.load(); }));  // now the sender waits
  const SpanData span = MakeSpan("more");
  const absl::Time before = absl::Now();
  for (int i = 0; i < kSpans; ++i) exporter.Take(span);
  // One wait for the collector alone would take longer: its calls time out after 10 s.
  CHECK(absl::Now() - before < absl::Seconds(5));
  CHECK(Dropped(registry, "queue_full") == kSpans - 100);

  SECTION("when it answers again, what waited arrives") {
    collector.hang.store(false);
    CHECK(Eventually([&] { return Exported(registry) == 101; }));
    CHECK(Dropped(registry, "queue_full") == kSpans - 100);
  }
  SECTION("a stop takes no longer than its bound, and counts what it drops") {
    const absl::Time stop = absl::Now();
    exporter.Stop();
    CHECK(absl::Now() - stop >= absl::Milliseconds(200));
    CHECK(absl::Now() - stop < absl::Seconds(5));
    CHECK(Exported(registry) == 0);
    CHECK(Dropped(registry, "export_failed") == 1);
    CHECK(Dropped(registry, "stopped") == 100);
    exporter.Take(span);
    CHECK(Dropped(registry, "stopped") == 101);
    exporter.Stop();
    CHECK(Dropped(registry, "stopped") == 101);
  }
}

TEST_CASE("a collector that was away gets spans when it is back") {
  Collector collector;
  REQUIRE(collector.Up());
  metrics::Registry registry;
  OtlpOptions options = FastOptions(collector);
  options.queue_spans_max = 50;
  options.attempts_max = 2;
  OtlpExporter exporter(options, registry);
  REQUIRE(exporter.Start().ok());
  exporter.Take(MakeSpan("before"));
  REQUIRE(Eventually([&] { return Exported(registry) == 1; }));
  const int port = collector.port();
  collector.Down();

  int taken = 0;
  REQUIRE(Eventually([&] {
    for (int i = 0; i < 100; ++i, ++taken) exporter.Take(MakeSpan("during"));
    return Dropped(registry, "queue_full") > 0 && Dropped(registry, "export_failed") > 0;
  }));
  CHECK(Errors(registry, "UNAVAILABLE") > 0);

  REQUIRE(Eventually([&] { return collector.Up(port); }));
  REQUIRE(Eventually([&] {
    exporter.Take(MakeSpan("after"));
    ++taken;
    const auto spans = collector.spans();
    return !spans.empty() && spans.back().name() == "after";
  }));
  exporter.Stop();
  CHECK(Exported(registry) + Dropped(registry, "queue_full") + Dropped(registry, "export_failed") +
            Dropped(registry, "stopped") ==
        taken + 1);
}

TEST_CASE("an exporter that was never started stops and drops what it holds") {
  Collector collector;
  REQUIRE(collector.Up());
  metrics::Registry registry;
  OtlpExporter exporter(FastOptions(collector), registry);
  exporter.Take(MakeSpan("span"));
  exporter.Stop();
  CHECK(Dropped(registry, "stopped") == 1);
  CHECK(exporter.Start().code() == absl::StatusCode::kFailedPrecondition);
}

TEST_CASE("spans made under Tracing arrive as one tree") {
  Collector collector;
  REQUIRE(collector.Up());
  metrics::Registry registry;
  TracingOptions options;
  options.export_spans = true;
  options.otlp = FastOptions(collector);
  Tracing tracing(options, registry);
  REQUIRE(tracing.exporting());
  REQUIRE(tracing.Start().ok());
  {
    Span rpc(tracing.tracer(), "rpc", Kind::kServer, std::nullopt);
    Span repository("repository");
    Span sql("sql", Kind::kClient);
  }
  tracing.Stop();
  std::map<std::string, otlp::trace::v1::Span> spans;
  for (const auto& span : collector.spans()) spans[span.name()] = span;
  REQUIRE(spans.size() == 3);
  CHECK(spans["rpc"].parent_span_id().empty());
  CHECK(spans["repository"].parent_span_id() == spans["rpc"].span_id());
  CHECK(spans["sql"].parent_span_id() == spans["repository"].span_id());
  CHECK(spans["sql"].trace_id() == spans["rpc"].trace_id());
}

}  // namespace
}  // namespace saldo::trace
