#include "common/observability/tracing.h"

#include <catch2/catch.hpp>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/match.h"

namespace saldo::trace {
namespace {

using Environment = std::map<std::string, std::string>;

absl::StatusOr<TracingOptions> Parse(const Environment& environment) {
  return ParseTracingOptions("saldo-test",
                             [&](const std::string& name) -> std::optional<std::string> {
                               const auto found = environment.find(name);
                               if (found == environment.end()) return std::nullopt;
                               return found->second;
                             });
}

std::map<std::string, std::string> Texts(const OtlpOptions& options) {
  std::map<std::string, std::string> texts;
  for (const auto& [key, value] : options.resource) {
    if (const auto* text = std::get_if<std::string>(&value)) {
      REQUIRE(texts.emplace(key, *text).second);
    }
  }
  return texts;
}

TEST_CASE("spans are exported where an endpoint or an exporter is named") {
  struct Row {
    Environment environment;
    bool exported;
  };
  const std::string endpoint = "OTEL_EXPORTER_OTLP_ENDPOINT";
  const std::vector<Row> rows = {
      {{}, false},
      {{{endpoint, ""}}, false},
      {{{endpoint, "http://c:1"}}, true},
      {{{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://c:1"}}, true},
      {{{"OTEL_TRACES_EXPORTER", "otlp"}}, true},
      {{{"OTEL_TRACES_EXPORTER", "none"}, {endpoint, "http://c:1"}}, false},
      {{{"OTEL_SDK_DISABLED", "true"}, {endpoint, "http://c:1"}}, false},
      {{{"OTEL_SDK_DISABLED", "TRUE"}, {endpoint, "http://c:1"}}, false},
      {{{"OTEL_SDK_DISABLED", "false"}, {endpoint, "http://c:1"}}, true},
  };
  for (size_t i = 0; i < rows.size(); ++i) {
    INFO("row " << i);
    const auto options = Parse(rows[i].environment);
    REQUIRE(options.ok());
    CHECK(options->export_spans == rows[i].exported);
  }
}

TEST_CASE("endpoints are read") {
  struct Row {
    std::string value;
    std::string target;  // "" where it is an error
    bool tls = false;
  };
  const std::vector<Row> rows = {
      {"http://collector:4317", "collector:4317"},
      {"http://collector", "collector:4317"},
      {"http://collector/", "collector:4317"},
      {"https://collector:443", "collector:443", true},
      {"http://[::1]:4400", "[::1]:4400"},
      {"http://[::1]", "[::1]:4317"},
      {"collector:4317", ""},
      {"ftp://collector", ""},
      {"http://", ""},
      {"http://:4317", ""},
      {"http://collector:0", ""},
      {"http://collector:65536", ""},
      {"http://collector:port", ""},
      {"http://collector/v1/traces", ""},
      {"http://user@collector", ""},
  };
  for (const Row& row : rows) {
    INFO(row.value);
    const auto options = Parse({{"OTEL_EXPORTER_OTLP_ENDPOINT", row.value}});
    CHECK(options.ok() == !row.target.empty());
    if (!options.ok()) {
      CHECK(options.status().code() == absl::StatusCode::kInvalidArgument);
      CHECK(absl::StrContains(options.status().message(), "OTEL_EXPORTER_OTLP_ENDPOINT"));
      continue;
    }
    CHECK(options->otlp.target == row.target);
    CHECK(options->otlp.tls == row.tls);
  }
  const auto traces = Parse({{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://all:1"},
                             {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://traces:2"}});
  REQUIRE(traces.ok());
  CHECK(traces->otlp.target == "traces:2");
  const auto fallback = Parse({{"OTEL_TRACES_EXPORTER", "otlp"}});
  REQUIRE(fallback.ok());
  CHECK(fallback->otlp.target == "localhost:4317");
}

TEST_CASE("samplers are read") {
  struct Row {
    std::string sampler;
    std::string argument;
    double ratio;
    bool follow_parent;
  };
  const std::vector<Row> rows = {
      {"", "", 1, true},
      {"always_on", "", 1, false},
      {"always_off", "", 0, false},
      {"traceidratio", "0.25", 0.25, false},
      {"traceidratio", "", 1, false},
      {"parentbased_always_on", "0.5", 1, true},
      {"parentbased_always_off", "", 0, true},
      {"parentbased_traceidratio", "0.1", 0.1, true},
  };
  for (const Row& row : rows) {
    INFO(row.sampler << " " << row.argument);
    const auto options = Parse({{"OTEL_TRACES_EXPORTER", "otlp"},
                                {"OTEL_TRACES_SAMPLER", row.sampler},
                                {"OTEL_TRACES_SAMPLER_ARG", row.argument}});
    REQUIRE(options.ok());
    CHECK(options->ratio == row.ratio);
    CHECK(options->follow_parent == row.follow_parent);
  }
}

TEST_CASE("limits, headers and the resource are read") {
  const auto options = Parse({
      {"OTEL_TRACES_EXPORTER", "otlp"},
      {"OTEL_EXPORTER_OTLP_TIMEOUT", "2500"},
      {"OTEL_EXPORTER_OTLP_HEADERS", "Authorization=Basic%20abc%3D%3D, x-tenant=a=b"},
      {"OTEL_BSP_MAX_QUEUE_SIZE", "100"},
      {"OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "10"},
      {"OTEL_BSP_SCHEDULE_DELAY", "20"},
      {"OTEL_RESOURCE_ATTRIBUTES", "deployment.environment=test,team=%D1%81,service.name=lost"},
      {"OTEL_SERVICE_NAME", "named"},
  });
  REQUIRE(options.ok());
  CHECK(options->otlp.export_timeout == absl::Milliseconds(2500));
  CHECK(options->otlp.queue_spans_max == 100);
  CHECK(options->otlp.batch_spans_max == 10);
  CHECK(options->otlp.batch_delay == absl::Milliseconds(20));
  using Header = std::pair<std::string, std::string>;
  CHECK(options->otlp.headers ==
        std::vector<Header>{{"authorization", "Basic abc=="}, {"x-tenant", "a=b"}});
  const auto texts = Texts(options->otlp);
  CHECK(texts.at("service.name") == "named");
  CHECK(texts.at("deployment.environment") == "test");
  CHECK(texts.at("team") == "с");
  CHECK(texts.at("telemetry.sdk.language") == "cpp");

  const auto defaults = Parse({{"OTEL_TRACES_EXPORTER", "otlp"}});
  REQUIRE(defaults.ok());
  CHECK(defaults->otlp.queue_spans_max == 4096);
  CHECK(defaults->otlp.batch_spans_max == 512);
  CHECK(defaults->otlp.batch_delay == absl::Seconds(1));
  CHECK(defaults->otlp.export_timeout == absl::Seconds(10));
  CHECK(Texts(defaults->otlp).at("service.name") == "saldo-test");

  const auto small = Parse({{"OTEL_TRACES_EXPORTER", "otlp"}, {"OTEL_BSP_MAX_QUEUE_SIZE", "3"}});
  REQUIRE(small.ok());
  CHECK(small->otlp.batch_spans_max == 3);
}

TEST_CASE("a malformed variable is named, and a secret in it is not shown") {
  const std::vector<std::pair<std::string, std::string>> rows = {
      {"OTEL_TRACES_EXPORTER", "zipkin"},
      {"OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"},
      {"OTEL_EXPORTER_OTLP_TIMEOUT", "10s"},
      {"OTEL_EXPORTER_OTLP_TIMEOUT", "0"},
      {"OTEL_EXPORTER_OTLP_HEADERS", "hunter2"},
      {"OTEL_EXPORTER_OTLP_HEADERS", "key=hunter2%"},
      {"OTEL_EXPORTER_OTLP_HEADERS", "key=hunter2%zz"},
      {"OTEL_EXPORTER_OTLP_HEADERS", "=hunter2"},
      {"OTEL_EXPORTER_OTLP_HEADERS", "key=hunter2%0A"},
      {"OTEL_EXPORTER_OTLP_HEADERS", "bad key=hunter2"},
      {"OTEL_EXPORTER_OTLP_HEADERS", "key-bin=hunter2"},
      {"OTEL_EXPORTER_OTLP_HEADERS", "grpc-timeout=hunter2"},
      {"OTEL_RESOURCE_ATTRIBUTES", "alone"},
      {"OTEL_TRACES_SAMPLER", "sometimes"},
      {"OTEL_TRACES_SAMPLER_ARG", "1.5"},
      {"OTEL_TRACES_SAMPLER_ARG", "nan"},
      {"OTEL_BSP_MAX_QUEUE_SIZE", "0"},
      {"OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "4097"},
      {"OTEL_BSP_SCHEDULE_DELAY", "-1"},
  };
  for (const auto& [name, value] : rows) {
    INFO(name << "=" << value);
    Environment environment = {{"OTEL_TRACES_EXPORTER", "otlp"},
                               {"OTEL_TRACES_SAMPLER", "traceidratio"}};
    environment[name] = value;
    const auto options = Parse(environment);
    REQUIRE(options.status().code() == absl::StatusCode::kInvalidArgument);
    CHECK(absl::StrContains(options.status().message(), name));
    CHECK_FALSE(absl::StrContains(options.status().message(), "hunter2"));
  }
}

TEST_CASE("without an exporter spans are not recorded") {
  metrics::Registry registry;
  Tracing tracing(TracingOptions{}, registry);
  CHECK_FALSE(tracing.exporting());
  REQUIRE(tracing.Start().ok());
  {
    const Span span(tracing.tracer(), "root", Kind::kServer, std::nullopt);
    CHECK_FALSE(span.recording());
    CHECK(span.context().valid());
  }
  tracing.Stop();
}

}  // namespace
}  // namespace saldo::trace
