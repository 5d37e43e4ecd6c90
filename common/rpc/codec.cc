#include "common/rpc/codec.h"

#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/observability/text.h"
#include "common/rpc/errors.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/unknown_field_set.h"
#include "grpcpp/impl/codegen/proto_utils.h"
#include "grpcpp/support/slice.h"

namespace saldo::rpc::internal {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::UnknownField;
using google::protobuf::UnknownFieldSet;
using Traits = grpc::SerializationTraits<Message>;

// Deeper messages than protobuf parses are not looked at.
constexpr int kDepthMax = 100;

std::string ToString(const grpc::ByteBuffer& bytes) {
  std::vector<grpc::Slice> slices;
  std::string text;
  if (!bytes.Dump(&slices).ok()) return text;
  for (const grpc::Slice& slice : slices) {
    text.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  }
  return text;
}

// Adds every text in `bytes`, read as a message of `type`, that is not UTF-8.
void FindBadTexts(const Descriptor& type, const std::string& bytes, const std::string& path,
                  int depth, BadRequestBuilder& bad) {
  UnknownFieldSet fields;
  if (depth > kDepthMax || !fields.ParseFromString(bytes)) return;
  std::map<int, int> seen;  // of each repeated field
  for (int i = 0; i < fields.field_count(); ++i) {
    const UnknownField& field = fields.field(i);
    if (field.type() != UnknownField::TYPE_LENGTH_DELIMITED) continue;
    const FieldDescriptor* known = type.FindFieldByNumber(field.number());
    if (known == nullptr) continue;
    std::string name = absl::StrCat(path, known->name());
    // A map's entry is named by its key alone, which may be what is wrong.
    if (known->is_repeated() && !known->is_map())
      absl::StrAppend(&name, "[", seen[field.number()]++, "]");
    if (known->type() == FieldDescriptor::TYPE_STRING) {
      if (!text::CountUtf8(field.length_delimited()).has_value()) {
        bad.Add(name, "must be valid UTF-8");
      }
    } else if (known->type() == FieldDescriptor::TYPE_MESSAGE) {
      FindBadTexts(*known->message_type(), field.length_delimited(), name + ".", depth + 1, bad);
    }
  }
}

}  // namespace

absl::Status Decode(const grpc::ByteBuffer& bytes, Message* message) {
  {
    // Only reads, though its parameter is not const. gRPC's Deserialize would use the bytes up.
    grpc::ProtoBufferReader reader(const_cast<grpc::ByteBuffer*>(&bytes));
    if (reader.status().ok() && message->ParseFromZeroCopyStream(&reader)) return absl::OkStatus();
  }
  BadRequestBuilder bad;
  const Descriptor& type = *message->GetDescriptor();
  FindBadTexts(type, ToString(bytes), "", 0, bad);
  if (!bad.ok()) return bad.Build();
  return absl::InvalidArgumentError(absl::StrCat("the request's bytes are no ", type.full_name()));
}

absl::Status Encode(const Message& message, grpc::ByteBuffer* bytes) {
  bool own = false;
  const grpc::Status status = Traits::Serialize(message, bytes, &own);
  if (status.ok()) return absl::OkStatus();
  return absl::InternalError(absl::StrCat("cannot encode the answer: ", status.error_message()));
}

}  // namespace saldo::rpc::internal
