#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <catch2/catch.hpp>
#include <memory>
#include <string>

#include "grpcpp/impl/codegen/proto_utils.h"
#include "grpcpp/support/byte_buffer.h"
#include "grpcpp/support/sync_stream.h"
#include "tests/common/rpc/echo_server.h"

namespace saldo::rpc::testing {
namespace {

// The messages of the reflection service come linked with gRPC's library, but without headers.
std::unique_ptr<google::protobuf::Message> NewMessage(const std::string& name) {
  const auto* descriptor =
      google::protobuf::DescriptorPool::generated_pool()->FindMessageTypeByName(
          "grpc.reflection.v1alpha." + name);
  REQUIRE(descriptor != nullptr);
  return std::unique_ptr<google::protobuf::Message>(
      google::protobuf::MessageFactory::generated_factory()->GetPrototype(descriptor)->New());
}

// The answer to a request whose `field` is `value`, as text; empty when the server has no
// reflection.
std::string Ask(EchoServer& server, const std::string& field, const std::string& value) {
  auto request = NewMessage("ServerReflectionRequest");
  request->GetReflection()->SetString(request.get(),
                                      request->GetDescriptor()->FindFieldByName(field), value);
  const grpc::Slice slice(request->SerializeAsString());

  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(absl::Now() + kPatience));
  const grpc::internal::RpcMethod method(
      "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
      grpc::internal::RpcMethod::BIDI_STREAMING, server.channel);
  std::unique_ptr<grpc::ClientReaderWriter<grpc::ByteBuffer, grpc::ByteBuffer>> stream(
      grpc::internal::ClientReaderWriterFactory<grpc::ByteBuffer, grpc::ByteBuffer>::Create(
          server.channel.get(), method, &context));
  grpc::ByteBuffer answer;
  stream->Write(grpc::ByteBuffer(&slice, 1));
  stream->WritesDone();
  const bool answered = stream->Read(&answer);
  const grpc::Status status = stream->Finish();
  if (!answered) {
    CHECK(status.error_code() == grpc::StatusCode::UNIMPLEMENTED);
    return "";
  }
  grpc::Slice bytes;
  REQUIRE(answer.DumpToSingleSlice(&bytes).ok());
  auto response = NewMessage("ServerReflectionResponse");
  REQUIRE(response->ParseFromArray(bytes.begin(), static_cast<int>(bytes.size())));
  return response->DebugString();
}

TEST_CASE("reflection lists the services with health, and has their schemas") {
  EchoServer server;
  REQUIRE(server.Start().ok());
  const std::string services = Ask(server, "list_services", "*");
  INFO(services);
  CHECK(services.find("\"saldo.rpc.testing.Echo\"") != std::string::npos);
  CHECK(services.find("\"grpc.health.v1.Health\"") != std::string::npos);
  for (const char* symbol : {"saldo.rpc.testing.Echo", "grpc.health.v1.Health"}) {
    const std::string file = Ask(server, "file_containing_symbol", symbol);
    INFO(file);
    CHECK(file.find("file_descriptor_proto") != std::string::npos);
  }
}

TEST_CASE("reflection can be switched off") {
  ServerOptions options = LoopbackOptions();
  options.reflection = false;
  EchoServer server(options);
  REQUIRE(server.Start().ok());
  CHECK(Ask(server, "list_services", "*").empty());
}

}  // namespace
}  // namespace saldo::rpc::testing
