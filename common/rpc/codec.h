// Messages from and to the bytes of a call. Not for services: see dispatcher.h.
#pragma once

#include "absl/status/status.h"
#include "google/protobuf/message.h"
#include "grpcpp/support/byte_buffer.h"

namespace saldo::rpc::internal {

// INVALID_ARGUMENT when the bytes are no such message. Names the texts that are not UTF-8, where
// these are the reason; gRPC itself would say UNIMPLEMENTED and nothing else.
absl::Status Decode(const grpc::ByteBuffer& bytes, google::protobuf::Message* message);

absl::Status Encode(const google::protobuf::Message& message, grpc::ByteBuffer* bytes);

}  // namespace saldo::rpc::internal
