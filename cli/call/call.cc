#include "cli/call/call.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/dynamic_message.h>
#include <google/protobuf/util/json_util.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <cstdio>
#include <iostream>
#include <iterator>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "cli/args.h"
#include "common/base/status_macros.h"
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

CommandSpec Spec() {
  CommandSpec spec;
  spec.usage = "saldo call [OPTIONS] METHOD [JSON]";
  spec.about =
      "Calls METHOD with the request JSON ('{}' when left out, standard input for '-') and prints "
      "the answer.\n\nMethods:";
  for (const pb::ServiceDescriptor* service : Services()) {
    for (int i = 0; i < service->method_count(); ++i) {
      const pb::MethodDescriptor* method = service->method(i);
      if (method->client_streaming()) continue;
      absl::StrAppend(&spec.about, "\n  ", ShortName(*method), "  {");
      const pb::Descriptor* input = method->input_type();
      for (int f = 0; f < input->field_count(); ++f) {
        absl::StrAppend(&spec.about, f == 0 ? "" : ", ", input->field(f)->json_name());
      }
      absl::StrAppend(&spec.about, "}");
    }
  }
  spec.options = {{"address", "HOST:PORT", "the server; 127.0.0.1:8082"},
                  {"timeout", "TIME", "how long to wait for the answer; 10s"},
                  {"log-level", "LEVEL", "have the server log this call at debug, info, ..."}};
  spec.operands_min = 1;
  spec.operands_max = 2;
  return spec;
}

absl::StatusOr<const pb::MethodDescriptor*> FindMethod(const std::string& name) {
  std::string known;
  for (const pb::ServiceDescriptor* service : Services()) {
    for (int i = 0; i < service->method_count(); ++i) {
      const pb::MethodDescriptor* method = service->method(i);
      if (method->client_streaming()) continue;  // one answer is what this command shows
      if (IsName(name, *method)) return method;
      absl::StrAppend(&known, known.empty() ? "" : ", ", ShortName(*method));
    }
  }
  return UsageError(absl::StrCat("there is no method '", name, "'; there are ", known));
}

std::string ToJson(const pb::Message& message) {
  pb::util::JsonPrintOptions options;
  options.add_whitespace = true;
  options.always_print_primitive_fields = true;
  std::string json;
  const auto status = pb::util::MessageToJsonString(message, &json, options);
  return status.ok() ? json : absl::StrCat(message.ShortDebugString(), "\n");
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

grpc::Status Call(const Args& args, absl::Duration timeout, const pb::MethodDescriptor& method,
                  const pb::Message& request, pb::Message& response) {
  const std::string address = args.Get("address", "127.0.0.1:8082");
  grpc::GenericStub stub(grpc::CreateChannel(address, grpc::InsecureChannelCredentials()));
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(absl::Now() + timeout));
  if (args.Has("log-level")) context.AddMetadata("log_level", args.Get("log-level"));
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

}  // namespace

absl::StatusOr<int> RunCall(const std::vector<std::string>& arguments) {
  const CommandSpec spec = Spec();
  SALDO_ASSIGN_OR_RETURN(const Args args, Args::Parse(spec, arguments));
  if (args.help()) {
    absl::PrintF("%s", HelpText(spec));
    return 0;
  }
  SALDO_ASSIGN_OR_RETURN(const absl::Duration timeout,
                         args.GetDuration("timeout", absl::Seconds(10), absl::Hours(1)));
  SALDO_ASSIGN_OR_RETURN(const pb::MethodDescriptor* method, FindMethod(args.operands()[0]));
  std::string json = args.operands().size() > 1 ? args.operands()[1] : "{}";
  if (json == "-") json.assign(std::istreambuf_iterator<char>(std::cin), {});

  // The details of errors are shown as JSON too, so their types must be linked in.
  google::rpc::BadRequest::descriptor();
  pb::MessageFactory* factory = pb::MessageFactory::generated_factory();
  const std::unique_ptr<pb::Message> request(factory->GetPrototype(method->input_type())->New());
  const std::unique_ptr<pb::Message> response(factory->GetPrototype(method->output_type())->New());
  if (const auto parsed = pb::util::JsonStringToMessage(json, request.get()); !parsed.ok()) {
    return UsageError(absl::StrCat("the request is not a ", method->input_type()->name(),
                                   " in JSON: ", std::string(parsed.message())));
  }
  const grpc::Status status = Call(args, timeout, *method, *request, *response);
  if (!status.ok()) {
    PrintError(status);
    return 1;
  }
  absl::PrintF("%s", ToJson(*response));
  return 0;
}

}  // namespace saldo::cli
