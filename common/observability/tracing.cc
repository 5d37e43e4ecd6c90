#include "common/observability/tracing.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <limits>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "common/base/status_macros.h"

namespace saldo::trace {
namespace {

constexpr char kPrefix[] = "OTEL_";
constexpr char kDefaultPort[] = ":4317";

using Pairs = std::vector<std::pair<std::string, std::string>>;

struct Variable {
  std::string name;
  std::string value;  // not empty

  absl::Status Fault(absl::string_view expected) const {
    return absl::InvalidArgumentError(absl::StrCat(name, " must be ", expected));
  }
};

class Variables {
 public:
  explicit Variables(const std::function<std::optional<std::string>(const std::string&)>& read)
      : read_(read) {}

  std::optional<Variable> Get(absl::string_view name) const {
    Variable variable{absl::StrCat(kPrefix, name), ""};
    if (auto value = read_(variable.name)) {
      variable.value = std::string(absl::StripAsciiWhitespace(*value));
    }
    if (variable.value.empty()) return std::nullopt;
    return variable;
  }

  // A setting of the exporter: for traces alone, else for all signals.
  std::optional<Variable> GetOtlp(absl::string_view name) const {
    if (auto own = Get(absl::StrCat("EXPORTER_OTLP_TRACES_", name))) return own;
    return Get(absl::StrCat("EXPORTER_OTLP_", name));
  }

 private:
  const std::function<std::optional<std::string>(const std::string&)>& read_;
};

absl::StatusOr<int64_t> ParseInt(const Variable& variable, int64_t min, int64_t max) {
  int64_t number = 0;
  if (!absl::SimpleAtoi(variable.value, &number) || number < min || number > max) {
    return variable.Fault(absl::StrCat("a whole number from ", min, " to ", max));
  }
  return number;
}

int HexValue(char c) {
  if (absl::ascii_isdigit(static_cast<unsigned char>(c))) return c - '0';
  const char lower = absl::ascii_tolower(static_cast<unsigned char>(c));
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

std::optional<std::string> PercentDecode(absl::string_view in) {
  std::string out;
  for (size_t i = 0; i < in.size(); ++i) {
    if (in[i] != '%') {
      out.push_back(in[i]);
      continue;
    }
    const int high = i + 2 < in.size() ? HexValue(in[i + 1]) : -1;
    const int low = i + 2 < in.size() ? HexValue(in[i + 2]) : -1;
    if (high < 0 || low < 0) return std::nullopt;
    out.push_back(static_cast<char>(high << 4 | low));
    i += 2;
  }
  return out;
}

absl::StatusOr<Pairs> ParsePairs(const Variable& variable) {
  Pairs pairs;
  for (absl::string_view item : absl::StrSplit(variable.value, ',', absl::SkipWhitespace())) {
    const std::pair<absl::string_view, absl::string_view> parts =
        absl::StrSplit(item, absl::MaxSplits('=', 1));
    const auto key = PercentDecode(absl::StripAsciiWhitespace(parts.first));
    const auto value = PercentDecode(absl::StripAsciiWhitespace(parts.second));
    if (!absl::StrContains(item, "=") || !key || key->empty() || !value) {
      // The value may be a secret, so it is not shown.
      return variable.Fault("a list such as key=value,key2=value2, with percent-encoded values");
    }
    pairs.emplace_back(*key, *value);
  }
  return pairs;
}

// What gRPC takes as metadata: anything else would end the process inside it.
bool IsMetadata(const std::string& key, const std::string& value) {
  const auto key_char = [](char c) {
    return absl::ascii_islower(static_cast<unsigned char>(c)) ||
           absl::ascii_isdigit(static_cast<unsigned char>(c)) || c == '-' || c == '_' || c == '.';
  };
  const auto value_char = [](char c) { return c >= 0x20 && c < 0x7F; };
  return std::all_of(key.begin(), key.end(), key_char) && !absl::StartsWith(key, "grpc-") &&
         !absl::EndsWith(key, "-bin") && std::all_of(value.begin(), value.end(), value_char);
}

absl::Status ParseHeaders(const Variable& variable, OtlpOptions* options) {
  SALDO_ASSIGN_OR_RETURN(Pairs headers, ParsePairs(variable));
  for (auto& [key, value] : headers) {
    absl::AsciiStrToLower(&key);
    if (!IsMetadata(key, value)) {
      return variable.Fault(
          absl::StrCat("fit for gRPC metadata, but the header \"", key, "\" is not"));
    }
  }
  options->headers = std::move(headers);
  return absl::OkStatus();
}

absl::Status ParseEndpoint(const Variable& variable, OtlpOptions* options) {
  constexpr char kExpected[] = "http://host:port or https://host:port";
  absl::string_view rest = variable.value;
  if (absl::ConsumePrefix(&rest, "https://")) {
    options->tls = true;
  } else if (!absl::ConsumePrefix(&rest, "http://")) {
    return variable.Fault(kExpected);
  }
  absl::ConsumeSuffix(&rest, "/");
  if (rest.empty() || rest.find_first_of("/?#@ ") != absl::string_view::npos) {
    return variable.Fault(kExpected);
  }
  // The colons of an IPv6 address stand in brackets.
  const size_t bracket = rest.rfind(']');
  const size_t colon = rest.rfind(':');
  const bool has_port =
      colon != absl::string_view::npos && (bracket == absl::string_view::npos || colon > bracket);
  if (has_port) {
    int port = 0;
    if (colon == 0 || !absl::SimpleAtoi(rest.substr(colon + 1), &port) || port < 1 ||
        port > 65535) {
      return variable.Fault(kExpected);
    }
  }
  options->target = absl::StrCat(rest, has_port ? "" : kDefaultPort);
  return absl::OkStatus();
}

absl::Status ParseSampler(const Variables& variables, TracingOptions* options) {
  const auto sampler = variables.Get("TRACES_SAMPLER");
  absl::string_view kind = sampler ? absl::string_view(sampler->value) : "parentbased_always_on";
  options->follow_parent = absl::ConsumePrefix(&kind, "parentbased_");
  if (kind == "always_on") {
    options->ratio = 1;
  } else if (kind == "always_off") {
    options->ratio = 0;
  } else if (kind == "traceidratio") {
    options->ratio = 1;
    const auto argument = variables.Get("TRACES_SAMPLER_ARG");
    if (argument && (!absl::SimpleAtod(argument->value, &options->ratio) ||
                     !(options->ratio >= 0 && options->ratio <= 1))) {
      return argument->Fault("a ratio from 0 to 1");
    }
  } else {
    return sampler->Fault(
        "always_on, always_off, traceidratio, or parentbased_ followed by one of these");
  }
  return absl::OkStatus();
}

absl::Status ParseBatching(const Variables& variables, OtlpOptions* options) {
  constexpr int64_t kSpansMax = 1'000'000;
  constexpr int64_t kMillisecondsMax = 3'600'000;
  if (const auto spans = variables.Get("BSP_MAX_QUEUE_SIZE")) {
    SALDO_ASSIGN_OR_RETURN(options->queue_spans_max, ParseInt(*spans, 1, kSpansMax));
  }
  options->batch_spans_max = std::min(options->batch_spans_max, options->queue_spans_max);
  if (const auto spans = variables.Get("BSP_MAX_EXPORT_BATCH_SIZE")) {
    SALDO_ASSIGN_OR_RETURN(options->batch_spans_max,
                           ParseInt(*spans, 1, static_cast<int64_t>(options->queue_spans_max)));
  }
  if (const auto delay = variables.Get("BSP_SCHEDULE_DELAY")) {
    SALDO_ASSIGN_OR_RETURN(const int64_t ms, ParseInt(*delay, 1, kMillisecondsMax));
    options->batch_delay = absl::Milliseconds(ms);
  }
  if (const auto timeout = variables.GetOtlp("TIMEOUT")) {
    SALDO_ASSIGN_OR_RETURN(const int64_t ms, ParseInt(*timeout, 1, kMillisecondsMax));
    options->export_timeout = absl::Milliseconds(ms);
  }
  return absl::OkStatus();
}

std::string HostName() {
  char name[256] = {};
  return gethostname(name, sizeof(name) - 1) == 0 ? name : "";
}

void SetResource(absl::string_view key, AttributeValue value, OtlpOptions* options) {
  for (auto& [known, old] : options->resource) {
    if (known == key) {
      old = std::move(value);
      return;
    }
  }
  options->resource.emplace_back(key, std::move(value));
}

absl::Status ParseResource(const Variables& variables, std::string_view service_name,
                           OtlpOptions* options) {
  SetResource("service.name", std::string(service_name), options);
  SetResource("host.name", HostName(), options);
  SetResource("process.pid", int64_t{getpid()}, options);
  SetResource("telemetry.sdk.language", std::string("cpp"), options);
  SetResource("telemetry.sdk.name", std::string("saldo"), options);
  if (const auto attributes = variables.Get("RESOURCE_ATTRIBUTES")) {
    SALDO_ASSIGN_OR_RETURN(const Pairs pairs, ParsePairs(*attributes));
    for (const auto& [key, value] : pairs) SetResource(key, value, options);
  }
  if (const auto name = variables.Get("SERVICE_NAME")) {
    SetResource("service.name", name->value, options);
  }
  return absl::OkStatus();
}

// Decides whether spans are exported, and where to.
absl::Status ParseExporter(const Variables& variables, TracingOptions* options) {
  const auto endpoint = variables.GetOtlp("ENDPOINT");
  const auto exporter = variables.Get("TRACES_EXPORTER");
  if (exporter && exporter->value != "otlp" && exporter->value != "none") {
    return exporter->Fault("otlp or none");
  }
  options->export_spans = exporter ? exporter->value == "otlp" : endpoint.has_value();
  if (!options->export_spans) return absl::OkStatus();
  const auto protocol = variables.GetOtlp("PROTOCOL");
  if (protocol && protocol->value != "grpc") return protocol->Fault("grpc, the only one spoken");
  if (endpoint) SALDO_RETURN_IF_ERROR(ParseEndpoint(*endpoint, &options->otlp));
  if (const auto headers = variables.GetOtlp("HEADERS")) {
    SALDO_RETURN_IF_ERROR(ParseHeaders(*headers, &options->otlp));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<TracingOptions> ParseTracingOptions(
    std::string_view service_name,
    const std::function<std::optional<std::string>(const std::string& name)>& variable) {
  const Variables variables(variable);
  TracingOptions options;
  const auto disabled = variables.Get("SDK_DISABLED");
  if (disabled && absl::EqualsIgnoreCase(disabled->value, "true")) return options;
  SALDO_RETURN_IF_ERROR(ParseExporter(variables, &options));
  if (!options.export_spans) return options;
  SALDO_RETURN_IF_ERROR(ParseSampler(variables, &options));
  SALDO_RETURN_IF_ERROR(ParseBatching(variables, &options.otlp));
  SALDO_RETURN_IF_ERROR(ParseResource(variables, service_name, &options.otlp));
  return options;
}

absl::StatusOr<std::unique_ptr<Tracing>> Tracing::FromEnvironment(std::string_view service_name,
                                                                  metrics::Registry& registry) {
  SALDO_ASSIGN_OR_RETURN(
      const TracingOptions options,
      ParseTracingOptions(service_name, [](const std::string& name) -> std::optional<std::string> {
        const char* value = std::getenv(name.c_str());
        if (value == nullptr) return std::nullopt;
        return value;
      }));
  return std::make_unique<Tracing>(options, registry);
}

Tracing::Tracing(const TracingOptions& options, metrics::Registry& registry)
    : exporter_(options.export_spans ? std::make_unique<OtlpExporter>(options.otlp, registry)
                                     : nullptr),
      tracer_(exporter_.get(), options.ratio, options.follow_parent) {}

absl::Status Tracing::Start() {
  return exporter_ != nullptr ? exporter_->Start() : absl::OkStatus();
}

void Tracing::Stop() {
  if (exporter_ != nullptr) exporter_->Stop();
}

}  // namespace saldo::trace
