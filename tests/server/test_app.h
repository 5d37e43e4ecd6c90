// A whole saldo-server in this process, on free ports and a database of its own, with a client.
#pragma once

#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "common/rpc/errors.h"
#include "grpcpp/completion_queue.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/generic/generic_stub.h"
#include "grpcpp/support/byte_buffer.h"
#include "hablof/logistic_package_api/v1/logistic_package_api.grpc.pb.h"
#include "hablof/proto/v1/package_event.pb.h"
#include "saldo/v1/account_service.grpc.pb.h"
#include "server/app.h"
#include "tests/support/migrated_database.h"

namespace saldo::server {

namespace api = hablof::logistic_package_api::v1;
using Api = api::LogisticPackageApiService;

// Longer than anything a test waits for when all is well.
constexpr absl::Duration kPatience = absl::Seconds(30);

inline ServerConfig LoopbackConfig(const std::string& dsn) {
  ServerConfig config;
  for (http::HttpOptions* endpoint : {&config.metrics, &config.status}) {
    endpoint->address = "127.0.0.1";
    endpoint->port = 0;
  }
  config.grpc.address = "127.0.0.1";
  config.grpc.port = 0;
  config.postgres.connection.dsn = dsn;
  return config;
}

// A client's call with a deadline.
struct ClientCall {
  explicit ClientCall(absl::Duration timeout = kPatience) {
    context.set_deadline(absl::ToChronoTime(absl::Now() + timeout));
  }
  grpc::ClientContext context;
};

inline std::shared_ptr<grpc::Channel> ChannelTo(int port) {
  grpc::ChannelArguments arguments;
  // A connection of its own, whatever other channels there are.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  return grpc::CreateCustomChannel("127.0.0.1:" + std::to_string(port),
                                   grpc::InsecureChannelCredentials(), arguments);
}

// One call with bytes as they go over the wire, and the answer's. `path` is
// "/package.Service/Method".
inline grpc::Status RawCall(const std::shared_ptr<grpc::Channel>& channel, const std::string& path,
                            const std::string& request, std::string* response) {
  grpc::GenericStub stub(channel);
  ClientCall call;
  const grpc::Slice slice(request);
  const grpc::ByteBuffer buffer(&slice, 1);
  grpc::CompletionQueue queue;
  const auto reader = stub.PrepareUnaryCall(&call.context, path, buffer, &queue);
  reader->StartCall();
  grpc::ByteBuffer answer;
  grpc::Status status;
  reader->Finish(&answer, &status, nullptr);
  void* tag = nullptr;
  bool ok = false;
  queue.Next(&tag, &ok);
  queue.Shutdown();
  while (queue.Next(&tag, &ok)) {
  }
  grpc::Slice bytes;
  if (status.ok() && answer.DumpToSingleSlice(&bytes).ok()) {
    *response = std::string(reinterpret_cast<const char*>(bytes.begin()), bytes.size());
  }
  return status;
}

struct TestApp {
  testing::MigratedDatabase database;
  App app;
  std::shared_ptr<grpc::Channel> channel;
  std::unique_ptr<Api::Stub> stub;
  std::unique_ptr<v1::AccountService::Stub> accounts;

  TestApp() : TestApp([](ServerConfig&) {}) {}
  template <typename Change>
  explicit TestApp(Change change) : app(Config(change)) {
    const absl::Status status = app.Start();
    if (!status.ok()) throw std::runtime_error(status.ToString());
    channel = ChannelTo(app.grpc_port());
    stub = Api::NewStub(channel);
    accounts = v1::AccountService::NewStub(channel);
  }

  // One call by its method, as &Api::Stub::CreatePackageV1 gives it.
  template <typename Request, typename Response>
  absl::Status Call(grpc::Status (Api::Stub::*method)(grpc::ClientContext*, const Request&,
                                                      Response*),
                    const Request& request, Response* response,
                    absl::Duration timeout = kPatience) {
    ClientCall call(timeout);
    return rpc::FromGrpcStatus((stub.get()->*method)(&call.context, request, response));
  }

  absl::Status Write(const v1::WriteEventsRequest& request, v1::WriteEventsResponse* response,
                     absl::Duration timeout = kPatience) {
    ClientCall call(timeout);
    return rpc::FromGrpcStatus(accounts->WriteEvents(&call.context, request, response));
  }

  // The id of a package that is created now.
  uint64_t Create(const std::string& title = "box") {
    api::CreatePackageV1Request request;
    request.set_title(title);
    request.set_material("wood");
    request.set_maximum_volume(1);
    api::CreatePackageV1Response response;
    const absl::Status status = Call(&Api::Stub::CreatePackageV1, request, &response);
    if (!status.ok()) throw std::runtime_error(status.ToString());
    return response.id();
  }

  // The events in the outbox, in the order of batches.
  std::vector<hablof::proto::v1::PackageEvent> Events() const {
    std::vector<hablof::proto::v1::PackageEvent> events;
    const std::string rows =
        database.Query("SELECT encode(payload, 'hex') FROM outbox ORDER BY batch_id, ordinal");
    for (const absl::string_view row : absl::StrSplit(rows, '\n', absl::SkipEmpty())) {
      hablof::proto::v1::PackageEvent event;
      if (!event.ParseFromString(absl::HexStringToBytes(row))) throw std::runtime_error("event");
      events.push_back(event);
    }
    return events;
  }

  // The value of a sample in the metrics, by its name and labels as they are exposed, but for the
  // label of the only shard.
  std::string Metric(const std::string& sample) const {
    const std::string all =
        absl::StrReplaceAll(app.registry().Text(),
                            {{"{shard=\"0\"}", ""}, {"{shard=\"0\",", "{"}, {",shard=\"0\"", ""}});
    for (const absl::string_view line : absl::StrSplit(all, '\n')) {
      const std::string text(line);
      if (text.rfind(sample + " ", 0) == 0) return text.substr(sample.size() + 1);
    }
    return "";
  }

 private:
  template <typename Change>
  ServerConfig Config(Change change) const {
    ServerConfig config = LoopbackConfig(database.dsn());
    change(config);
    return config;
  }
};

}  // namespace saldo::server
