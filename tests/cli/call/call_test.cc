#include "cli/call/call.h"

#include <grpcpp/grpcpp.h>

#include <catch2/catch.hpp>
#include <memory>
#include <string>

#include "cli/args.h"
#include "common/devstack/child_process.h"
#include "common/devstack/files.h"
#include "common/devstack/loopback.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "hablof/logistic_package_api/v1/logistic_package_api.grpc.pb.h"
#include "saldo/v1/account_service.grpc.pb.h"
#include "tests/support/test_env.h"

namespace saldo::cli {
namespace {

namespace api = hablof::logistic_package_api::v1;

// Answers with what it was asked, or with a rich error.
class EchoService final : public api::LogisticPackageApiService::Service {
 public:
  grpc::Status DescribePackageV1(grpc::ServerContext* context,
                                 const api::DescribePackageV1Request* request,
                                 api::DescribePackageV1Response* response) override {
    response->mutable_value()->set_id(request->package_id());
    const auto level = context->client_metadata().find("log_level");
    if (level != context->client_metadata().end()) {
      response->mutable_value()->set_title({level->second.data(), level->second.size()});
    }
    return grpc::Status::OK;
  }
  grpc::Status UpdatePackageV1(grpc::ServerContext*, const api::UpdatePackageV1Request*,
                               api::UpdatePackageV1Response*) override {
    google::rpc::ErrorInfo info;
    for (char key = 'z'; key >= 'a'; --key) (*info.mutable_metadata())[std::string(1, key)] = "";
    google::rpc::Status rich;
    rich.add_details()->PackFrom(info);
    return {grpc::StatusCode::ABORTED, "many", rich.SerializeAsString()};
  }
  grpc::Status CreatePackageV1(grpc::ServerContext*, const api::CreatePackageV1Request*,
                               api::CreatePackageV1Response*) override {
    google::rpc::BadRequest bad;
    bad.add_field_violations()->set_field("maximum_volume");
    google::rpc::Status rich;
    rich.set_code(grpc::StatusCode::INVALID_ARGUMENT);
    rich.add_details()->PackFrom(bad);
    return {grpc::StatusCode::INVALID_ARGUMENT, "bad volume", rich.SerializeAsString()};
  }
};

// Writes every request but those called "bad", and ends the stream at one called "end".
class StreamService final : public v1::AccountService::Service {
 public:
  grpc::Status WriteEventsStream(
      grpc::ServerContext*,
      grpc::ServerReaderWriter<v1::WriteEventsStreamResponse, v1::WriteEventsRequest>* stream)
      override {
    v1::WriteEventsRequest request;
    for (int batch = 1; stream->Read(&request); ++batch) {
      if (request.request_id() == "end") return {grpc::StatusCode::UNAVAILABLE, "stops"};
      v1::WriteEventsStreamResponse answer;
      answer.set_request_id(request.request_id());
      if (request.request_id() == "bad") {
        answer.mutable_error()->set_message("is bad");
      } else {
        answer.mutable_written()->set_batch_id(batch);
      }
      stream->Write(answer);
    }
    return grpc::Status::OK;
  }
};

struct Outcome {
  int code;
  std::string text;
};

class Fixture {
 public:
  Fixture() {
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port_);
    builder.RegisterService(&service_);
    builder.RegisterService(&stream_service_);
    server_ = builder.BuildAndStart();
    REQUIRE(server_ != nullptr);
  }
  ~Fixture() { server_->Shutdown(); }

  Outcome Call(std::vector<std::string> arguments) {
    std::vector<std::string> argv = {*devstack::SiblingProgram("saldo"), "call",
                                     "--address=127.0.0.1:" + std::to_string(port_)};
    argv.insert(argv.end(), arguments.begin(), arguments.end());
    return Run(std::move(argv));
  }
  // A stream of what `writer` writes, a script. The end of the call kills a writer that goes on.
  Outcome Piped(const std::string& writer) {
    return Run({"bash", "-c",
                "exec \"$0\" call --address=127.0.0.1:" + std::to_string(port_) +
                    " WriteEventsStream - < <(" + writer + ")",
                *devstack::SiblingProgram("saldo")});
  }

 private:
  Outcome Run(std::vector<std::string> argv) {
    testing::TempDir dir;
    devstack::ChildOptions options;
    options.argv = std::move(argv);
    options.log_file = dir.File("log");
    auto child = devstack::ChildProcess::Start(std::move(options));
    REQUIRE(child.ok());
    const auto ended = (*child)->Wait(absl::Seconds(60));
    REQUIRE(ended.ok());
    return {ended->code, *devstack::ReadFile(dir.File("log"))};
  }

  EchoService service_;
  StreamService stream_service_;
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

TEST_CASE_METHOD(Fixture, "a call prints the answer as JSON, in the spelling of old clients") {
  const Outcome outcome = Call({"DescribePackageV1", "{\"PackageID\":7}", "--log-level=debug"});
  CHECK(outcome.code == 0);
  CHECK_THAT(outcome.text, Catch::Contains("\"ID\": \"7\"") &&
                               Catch::Contains("\"Title\": \"debug\"") &&
                               Catch::Contains("\"Reusable\": false"));
  CHECK_THAT(Call({"DescribePackageV1"}).text, Catch::Contains("\"ID\": \"0\""));
}

TEST_CASE_METHOD(Fixture, "a method may be named with its service") {
  for (const std::string name :
       {"LogisticPackageApiService.DescribePackageV1",
        "hablof.logistic_package_api.v1.LogisticPackageApiService/DescribePackageV1"}) {
    INFO(name);
    CHECK_THAT(Call({name}).text, Catch::Contains("\"ID\": \"0\""));
  }
  CHECK_THAT(Call({"StateService.Get"}).text, Catch::Contains("UNIMPLEMENTED"));
}

TEST_CASE_METHOD(Fixture, "a failed call shows its code and details") {
  const Outcome outcome = Call({"CreatePackageV1", "{}"});
  CHECK(outcome.code == 1);
  CHECK_THAT(outcome.text, Catch::Contains("INVALID_ARGUMENT: bad volume") &&
                               Catch::Contains("\"field\": \"maximum_volume\""));
  CHECK_THAT(Call({"RemovePackageV1"}).text, Catch::Contains("UNIMPLEMENTED"));
}

TEST_CASE_METHOD(Fixture, "the keys of maps come in their order") {
  const std::string text = Call({"UpdatePackageV1"}).text;
  size_t at = text.find("metadata");
  REQUIRE(at != std::string::npos);
  for (char key = 'a'; key <= 'z'; ++key) {
    INFO(text);
    at = text.find(std::string("\"") + key + "\"", at);
    REQUIRE(at != std::string::npos);
  }
}

TEST_CASE_METHOD(Fixture, "what cannot be sent is a usage error") {
  CHECK(Call({"NoSuchMethod"}).code == 2);
  CHECK(Call({"DescribePackageV1", "{\"Nope\":1}"}).code == 2);
  CHECK(Call({"DescribePackageV1", "{", "--timeout=1s"}).code == 2);
  CHECK(Call({"DescribePackageV1", "{}", "--timeout=never"}).code == 2);
  CHECK(Call({"DescribePackageV1", "{}", "--log-level=loud"}).code == 2);
  CHECK(Call({}).code == 2);
}

TEST_CASE_METHOD(Fixture, "a stream answers each line by a line") {
  const Outcome outcome =
      Call({"WriteEventsStream", "{\"requestId\":\"a\"}\n \n{\"requestId\":\"b\"}"});
  CHECK(outcome.code == 0);
  CHECK_THAT(outcome.text, Catch::Matches("\\{\"requestId\":\"a\",.*\"batchId\":\"1\".*\\}\n"
                                          "\\{\"requestId\":\"b\",.*\"batchId\":\"2\".*\\}\n"));
  const Outcome refused =
      Call({"WriteEventsStream", "{\"requestId\":\"bad\"}\n{\"requestId\":\"c\"}"});
  CHECK(refused.code == 1);
  CHECK_THAT(refused.text, Catch::Contains("is bad") && Catch::Contains("\"batchId\":\"2\""));
}

TEST_CASE_METHOD(Fixture, "a stream that ends early says why") {
  const Outcome ended =
      Call({"WriteEventsStream", "{\"requestId\":\"a\"}\n{\"requestId\":\"end\"}"});
  CHECK(ended.code == 1);
  CHECK_THAT(ended.text,
             Catch::Contains("\"requestId\":\"a\"") && Catch::Contains("UNAVAILABLE: stops"));
  const Outcome unread =
      Call({"WriteEventsStream", "{\"requestId\":\"a\"}\n{\"nope\":1}\n{\"requestId\":\"b\"}"});
  CHECK(unread.code == 2);
  CHECK_THAT(unread.text, Catch::Contains("\"requestId\":\"a\"") &&
                              Catch::Contains("line 2 is not a WriteEventsRequest") &&
                              !Catch::Contains("\"requestId\":\"b\""));
}

TEST_CASE_METHOD(Fixture, "a stream reads its input line by line, the last without an end") {
  const Outcome outcome = Piped("printf '%s\\n%s' '{\"requestId\":\"a\"}' '{\"requestId\":\"b\"}'");
  CHECK(outcome.code == 0);
  CHECK_THAT(outcome.text,
             Catch::Contains("\"batchId\":\"1\"") && Catch::Contains("\"requestId\":\"b\""));
}

TEST_CASE_METHOD(Fixture, "a stream that the server ends is over while its input stays open") {
  // Far longer than the call is waited for.
  const Outcome outcome =
      Piped("echo '{\"requestId\":\"a\"}'; echo '{\"requestId\":\"end\"}'; exec sleep 600");
  CHECK(outcome.code == 1);
  CHECK_THAT(outcome.text,
             Catch::Contains("\"requestId\":\"a\"") && Catch::Contains("UNAVAILABLE: stops"));
}

TEST_CASE("a method that there is not, or an address that is none, is told apart") {
  struct Row {
    std::vector<std::string> arguments;
    const char* reason;
  };
  for (const Row& row : std::vector<Row>{
           {{"Get"}, "did you mean StateService.Get or LockService.Get"},
           {{"getbalance"}, "did you mean GetBalance?"},
           {{"Frobnicate"}, "there is no method 'Frobnicate'"},
           {{"GetBalance", "--address="}, "--address= is not of the form HOST:PORT"},
           {{"GetBalance", "--address=host"}, "--address=host is not of the form HOST:PORT"}}) {
    const auto result = RunCall(row.arguments);
    CHECK(IsUsageError(result.status()));
    CHECK_THAT(std::string(result.status().message()), Catch::Contains(row.reason));
  }
}

TEST_CASE("a server that is not there is said within the time given") {
  const int port = *devstack::FreePort();
  const auto result =
      RunCall({"--address=127.0.0.1:" + std::to_string(port), "--timeout=2s", "ListPackagesV1"});
  REQUIRE(result.ok());
  CHECK(*result == 1);
}

}  // namespace
}  // namespace saldo::cli
