#include "server/packages/event.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/rpc/timestamps.h"
#include "google/protobuf/util/json_util.h"

namespace saldo::packages {
namespace {

constexpr std::string_view kType = "hablof.proto.v1.PackageEvent";

absl::StatusOr<std::string> ToJson(const Package& package) {
  google::protobuf::util::JsonPrintOptions options;
  // A false Reusable is told, not left out: subscribers must not guess.
  options.always_print_primitive_fields = true;
  std::string json;
  const auto status =
      google::protobuf::util::MessageToJsonString(ToMessage(package), &json, options);
  if (!status.ok())
    return absl::InternalError(absl::StrCat("package as JSON: ", status.ToString()));
  return json;
}

}  // namespace

absl::StatusOr<outbox::Message> EventMessage(std::string_view topic, const Change& change,
                                             const Package& package) {
  hablof::proto::v1::PackageEvent event;
  event.set_id(static_cast<uint64_t>(change.event_id));
  event.set_package_id(static_cast<uint64_t>(package.id));
  event.set_type(change.type);
  *event.mutable_created() = rpc::ToTimestamp(change.made);
  SALDO_ASSIGN_OR_RETURN(*event.mutable_payload(), ToJson(package));
  return outbox::Message{.topic = topic,
                         .key = absl::StrCat(package.id),
                         .payload = event.SerializeAsString(),
                         .type = kType};
}

}  // namespace saldo::packages
