#include "cli/call/call.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/dynamic_message.h>
#include <google/protobuf/util/json_util.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <iostream>
#include <iterator>
#include <memory>
#include <string_view>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "cli/args.h"
#include "cli/call/stream.h"
#include "cli/json.h"
#include "common/base/status_macros.h"
#include "common/observability/log.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "hablof/logistic_package_api/v1/logistic_package_api.pb.h"
#include "saldo/v1/account_service.pb.h"
#include "saldo/v1/lock_service.pb.h"
#include "saldo/v1/state_service.pb.h"
#include "saldo/v1/task_service.pb.h"
#include "saldo/v1/wallet_service.pb.h"

namespace saldo::cli {
namespace {

namespace pb = google::protobuf;

constexpr absl::Duration kTimeout = absl::Seconds(10);
constexpr absl::Duration kTimeoutMax = absl::Hours(1);  // and of a stream, when none is given
// Above what a server may send; gRPC's own bound of 4 MiB is below it.
constexpr int kAnswerBytesMax = 64 << 20;

// Every service whose methods can be called by name. Naming a message links its file in.
std::vector<const pb::ServiceDescriptor*> Services() {
  return {v1::WriteEventsRequest::descriptor()->file()->FindServiceByName("AccountService"),
          v1::StatePut::descriptor()->file()->FindServiceByName("StateService"),
          hablof::logistic_package_api::v1::Package::descriptor()->file()->FindServiceByName(
              "LogisticPackageApiService"),
          v1::LockToken::descriptor()->file()->FindServiceByName("LockService"),
          v1::Task::descriptor()->file()->FindServiceByName("TaskService"),
          v1::Wallet::descriptor()->file()->FindServiceByName("WalletService")};
}

// Whether methods of several services have this name.
bool IsShared(const std::string& method) {
  const auto services = Services();
  return std::count_if(services.begin(), services.end(), [&](const pb::ServiceDescriptor* service) {
           return service->FindMethodByName(method) != nullptr;
         }) > 1;
}

// "CreateWallet", or "StateService.Get" where others have a Get, too.
std::string ShortName(const pb::MethodDescriptor& method) {
  return IsShared(method.name()) ? absl::StrCat(method.service()->name(), ".", method.name())
                                 : method.name();
}

// Also by the full name, as StateService.Get where Get is enough, or as gRPC has it.
bool IsName(const std::string& name, const pb::MethodDescriptor& method) {
  return name == ShortName(method) ||
         name == absl::StrCat(method.service()->name(), ".", method.name()) ||
         name == absl::StrCat(method.service()->full_name(), "/", method.name());
}

std::vector<const pb::MethodDescriptor*> Methods() {
  std::vector<const pb::MethodDescriptor*> methods;
  for (const pb::ServiceDescriptor* service : Services()) {
    for (int i = 0; i < service->method_count(); ++i) methods.push_back(service->method(i));
  }
  return methods;
}

CommandSpec Spec() {
  CommandSpec spec;
  spec.usage = "saldo call [OPTIONS] METHOD [JSON]";
  spec.about =
      "Calls METHOD with the request JSON ('{}' when left out, standard input for '-') and prints "
      "the answer.\nA stream takes one request a line, and answers with a line for each.\n\n"
      "Methods:";
  for (const pb::MethodDescriptor* method : Methods()) {
    absl::StrAppend(&spec.about, "\n  ", ShortName(*method),
                    method->client_streaming() ? "  stream of {" : "  {");
    const pb::Descriptor* input = method->input_type();
    for (int f = 0; f < input->field_count(); ++f) {
      absl::StrAppend(&spec.about, f == 0 ? "" : ", ", input->field(f)->json_name());
    }
    absl::StrAppend(&spec.about, "}");
  }
  spec.options = {
      {"address", "HOST:PORT", "the server; 127.0.0.1:8082"},
      {"timeout", "TIME", "how long to wait for the answer; 10s. For all of a stream's; 1h"},
      {"log-level", "LEVEL", "have the server log this call at debug, info, warning or error"}};
  spec.operands_min = 1;
  spec.operands_max = 2;
  return spec;
}

// Of which methods someone may have meant by a name that is none: "; did you mean A or B?".
std::string Guess(const std::string& name) {
  const std::string wanted = absl::AsciiStrToLower(name);
  std::vector<std::string> same, similar;
  for (const pb::MethodDescriptor* method : Methods()) {
    const std::string known = absl::AsciiStrToLower(method->name());
    if (known == wanted) same.push_back(ShortName(*method));
    if (absl::StrContains(known, wanted)) similar.push_back(ShortName(*method));
  }
  const std::vector<std::string>& guesses = same.empty() ? similar : same;
  if (name.empty() || guesses.empty()) return "";
  return absl::StrCat("; did you mean ", absl::StrJoin(guesses, " or "), "?");
}

absl::StatusOr<const pb::MethodDescriptor*> FindMethod(const std::string& name) {
  for (const pb::MethodDescriptor* method : Methods()) {
    if (IsName(name, *method)) return method;
  }
  return UsageError(absl::StrCat("there is no method '", name, "'", Guess(name)));
}

absl::Status CheckLevel(const Args& args) {
  log::Level level;
  const absl::Status status = log::ParseLevel(args.Get("log-level", "debug"), &level);
  return status.ok() ? status : UsageError(std::string(status.message()));
}

std::string ToJson(const pb::Message& message, bool lines = true) {
  pb::util::JsonPrintOptions options;
  options.add_whitespace = lines;
  options.always_print_primitive_fields = true;
  return MessageToJson(message, options).value_or(message.ShortDebugString() + "\n");
}

const char* CodeName(grpc::StatusCode code) {
  static constexpr const char* kNames[] = {"OK",
                                           "CANCELLED",
                                           "UNKNOWN",
                                           "INVALID_ARGUMENT",
                                           "DEADLINE_EXCEEDED",
                                           "NOT_FOUND",
                                           "ALREADY_EXISTS",
                                           "PERMISSION_DENIED",
                                           "RESOURCE_EXHAUSTED",
                                           "FAILED_PRECONDITION",
                                           "ABORTED",
                                           "OUT_OF_RANGE",
                                           "UNIMPLEMENTED",
                                           "INTERNAL",
                                           "UNAVAILABLE",
                                           "DATA_LOSS",
                                           "UNAUTHENTICATED"};
  return code >= 0 && static_cast<size_t>(code) < std::size(kNames) ? kNames[code] : "UNKNOWN";
}

// The code, the message, and the details that the server sent along.
void PrintError(const grpc::Status& status) {
  absl::FPrintF(stderr, "%s: %s\n", CodeName(status.error_code()), status.error_message());
  google::rpc::Status rich;
  if (status.error_details().empty() || !rich.ParseFromString(status.error_details())) return;
  for (const pb::Any& detail : rich.details()) absl::FPrintF(stderr, "%s", ToJson(detail));
}

std::shared_ptr<grpc::Channel> Connect(const std::string& address) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(kAnswerBytesMax);
  return grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments);
}

grpc::Status Call(const std::shared_ptr<grpc::Channel>& channel, grpc::ClientContext& context,
                  const pb::MethodDescriptor& method, const pb::Message& request,
                  pb::Message& response) {
  grpc::GenericStub stub(channel);
  const grpc::Slice bytes(request.SerializeAsString());
  const grpc::ByteBuffer sent(&bytes, 1);
  grpc::ByteBuffer received;
  grpc::Status status;
  absl::Notification done;
  stub.UnaryCall(&context, absl::StrCat("/", method.service()->full_name(), "/", method.name()), {},
                 &sent, &received, [&](grpc::Status result) {
                   status = std::move(result);
                   done.Notify();
                 });
  done.WaitForNotification();
  if (!status.ok()) return status;
  std::vector<grpc::Slice> slices;
  std::string answer;
  if (received.Dump(&slices).ok()) {
    for (const grpc::Slice& slice : slices) {
      answer.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
    }
  }
  if (response.ParseFromString(answer)) return status;
  return {grpc::StatusCode::INTERNAL, "the answer is not a " + response.GetTypeName()};
}

absl::StatusOr<int> RunStream(const std::shared_ptr<grpc::Channel>& channel,
                              grpc::ClientContext& context, const std::string& json) {
  LineReader lines = json == "-" ? LineReader(STDIN_FILENO) : LineReader(std::string_view(json));
  int64_t refused = 0;
  const StreamOutcome outcome =
      CallStream(channel, context, lines, [&refused](const v1::WriteEventsStreamResponse& answer) {
        if (answer.has_error()) ++refused;
        absl::PrintF("%s\n", ToJson(answer, /*lines=*/false));
        std::fflush(stdout);
      });
  if (!outcome.status.ok()) PrintError(outcome.status);
  SALDO_RETURN_IF_ERROR(outcome.input);
  return outcome.status.ok() && refused == 0 ? 0 : 1;
}

absl::StatusOr<int> RunUnary(const std::shared_ptr<grpc::Channel>& channel,
                             grpc::ClientContext& context, const pb::MethodDescriptor& method,
                             std::string json) {
  if (json == "-") json.assign(std::istreambuf_iterator<char>(std::cin), {});
  pb::MessageFactory* factory = pb::MessageFactory::generated_factory();
  const std::unique_ptr<pb::Message> request(factory->GetPrototype(method.input_type())->New());
  const std::unique_ptr<pb::Message> response(factory->GetPrototype(method.output_type())->New());
  if (const auto parsed = pb::util::JsonStringToMessage(json, request.get()); !parsed.ok()) {
    return UsageError(absl::StrCat("the request is not a ", method.input_type()->name(),
                                   " in JSON: ", std::string(parsed.message())));
  }
  const grpc::Status status = Call(channel, context, method, *request, *response);
  if (!status.ok()) {
    PrintError(status);
    return 1;
  }
  absl::PrintF("%s", ToJson(*response));
  return 0;
}

}  // namespace

absl::StatusOr<int> RunCall(const std::vector<std::string>& arguments) {
  const CommandSpec spec = Spec();
  SALDO_ASSIGN_OR_RETURN(const Args args, Args::Parse(spec, arguments));
  if (args.help()) {
    absl::PrintF("%s", HelpText(spec));
    return 0;
  }
  SALDO_ASSIGN_OR_RETURN(const pb::MethodDescriptor* method, FindMethod(args.operands()[0]));
  SALDO_ASSIGN_OR_RETURN(
      const absl::Duration timeout,
      args.GetDuration("timeout", method->client_streaming() ? kTimeoutMax : kTimeout,
                       kTimeoutMax));
  SALDO_ASSIGN_OR_RETURN(const std::string address, args.GetAddress("address", "127.0.0.1:8082"));
  SALDO_RETURN_IF_ERROR(CheckLevel(args));
  const std::string json = args.operands().size() > 1 ? args.operands()[1] : "{}";

  // The details of errors are shown as JSON too, so their types must be linked in.
  google::rpc::BadRequest::descriptor();
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(absl::Now() + timeout));
  if (args.Has("log-level")) context.AddMetadata("log_level", args.Get("log-level"));
  const std::shared_ptr<grpc::Channel> channel = Connect(address);
  return method->client_streaming() ? RunStream(channel, context, json)
                                    : RunUnary(channel, context, *method, json);
}

}  // namespace saldo::cli
