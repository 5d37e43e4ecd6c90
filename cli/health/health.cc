#include "cli/health/health.h"

#include <grpcpp/grpcpp.h>

#include <cstdio>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "cli/args.h"
#include "cli/health/http_probe.h"
#include "common/base/status_macros.h"
#include "grpc/health/v1/health.grpc.pb.h"

namespace saldo::cli {
namespace {

using grpc::health::v1::HealthCheckResponse;

constexpr const char* kDefaultAddress = "127.0.0.1:8082";

CommandSpec Spec() {
  CommandSpec spec;
  spec.usage = "saldo health [--address=HOST:PORT] [--ready=URL]";
  spec.about =
      "Asks a running program how it is: saldo-server by the standard gRPC health service, each "
      "program by its status page.\nWithout --ready, or with --address, gRPC is asked. Says "
      "nothing "
      "and ends with 0 when all is well; else it says what is wrong and ends with 1.";
  spec.options = {{"address", "HOST:PORT", "saldo-server's gRPC; 127.0.0.1:8082"},
                  {"service", "NAME", "one gRPC service; the server as a whole"},
                  {"ready", "URL", "a page that answers 200: http://127.0.0.1:8001/ready"},
                  {"timeout", "TIME", "how long to wait for each answer; 3s"}};
  return spec;
}

absl::Status ProbeGrpc(const std::string& address, const std::string& service,
                       absl::Duration timeout) {
  const auto stub = grpc::health::v1::Health::NewStub(
      grpc::CreateChannel(address, grpc::InsecureChannelCredentials()));
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(absl::Now() + timeout));
  grpc::health::v1::HealthCheckRequest request;
  request.set_service(service);
  HealthCheckResponse response;
  const grpc::Status status = stub->Check(&context, request, &response);
  if (!status.ok()) return absl::UnavailableError(status.error_message());
  if (response.status() == HealthCheckResponse::SERVING) return absl::OkStatus();
  return absl::FailedPreconditionError(HealthCheckResponse::ServingStatus_Name(response.status()));
}

// 0 when it is well, else 1.
int Tell(const std::string& asked, const absl::Status& status) {
  if (status.ok()) return 0;
  const absl::string_view what = absl::StripTrailingAsciiWhitespace(status.message());
  absl::FPrintF(stderr, "%s: %s\n", asked, what);
  return 1;
}

}  // namespace

absl::StatusOr<int> RunHealth(const std::vector<std::string>& arguments) {
  const CommandSpec spec = Spec();
  SALDO_ASSIGN_OR_RETURN(const Args args, Args::Parse(spec, arguments));
  if (args.help()) {
    absl::PrintF("%s", HelpText(spec));
    return 0;
  }
  SALDO_ASSIGN_OR_RETURN(const absl::Duration timeout,
                         args.GetDuration("timeout", absl::Seconds(3), absl::Minutes(1)));
  const bool asks_grpc = args.Has("address") || args.Has("service") || !args.Has("ready");
  int result = 0;
  if (args.Has("ready")) {
    const std::string url = args.Get("ready");
    const absl::StatusOr<HttpUrl> parsed = ParseHttpUrl(url);
    if (!parsed.ok()) return UsageError(std::string(parsed.status().message()));
    result |= Tell(url, ProbeHttp(*parsed, timeout));
  }
  if (asks_grpc) {
    SALDO_ASSIGN_OR_RETURN(const std::string address, args.GetAddress("address", kDefaultAddress));
    result |= Tell(address, ProbeGrpc(address, args.Get("service"), timeout));
  }
  return result;
}

}  // namespace saldo::cli
