#include "cli/json.h"

#include <google/protobuf/any.pb.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/util/type_resolver.h>
#include <google/protobuf/util/type_resolver_util.h>

#include <memory>

namespace saldo::cli {
namespace {

namespace pb = google::protobuf;

constexpr const char* kUrlPrefix = "type.googleapis.com";

std::string OrderedBytes(const pb::Message& message) {
  std::string bytes;
  pb::io::StringOutputStream output(&bytes);
  pb::io::CodedOutputStream coded(&output);
  coded.SetSerializationDeterministic(true);
  message.SerializeToCodedStream(&coded);
  coded.Trim();
  return bytes;
}

// An Any holds bytes, in whatever order its sender wrote them.
void OrderContent(pb::Any& any) {
  std::string name;
  if (!pb::Any::ParseAnyTypeUrl(any.type_url(), &name)) return;
  const pb::Descriptor* type = pb::DescriptorPool::generated_pool()->FindMessageTypeByName(name);
  if (type == nullptr) return;
  const std::unique_ptr<pb::Message> content(
      pb::MessageFactory::generated_factory()->GetPrototype(type)->New());
  if (content->ParseFromString(any.value())) any.set_value(OrderedBytes(*content));
}

}  // namespace

std::optional<std::string> MessageToJson(const pb::Message& message,
                                         const pb::util::JsonPrintOptions& options) {
  const std::unique_ptr<pb::util::TypeResolver> types(
      pb::util::NewTypeResolverForDescriptorPool(kUrlPrefix, pb::DescriptorPool::generated_pool()));
  const std::unique_ptr<pb::Message> copy(message.New());
  copy->CopyFrom(message);
  if (auto* any = dynamic_cast<pb::Any*>(copy.get())) OrderContent(*any);
  std::string json;
  const auto status = pb::util::BinaryToJsonString(
      types.get(), std::string(kUrlPrefix) + "/" + message.GetDescriptor()->full_name(),
      OrderedBytes(*copy), &json, options);
  if (!status.ok()) return std::nullopt;
  return json;
}

}  // namespace saldo::cli
