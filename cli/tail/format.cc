#include "cli/tail/format.h"

#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <optional>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "cli/json.h"
#include "hablof/proto/v1/package_event.pb.h"
#include "saldo/v1/account_event.pb.h"
#include "saldo/v1/state_event.pb.h"
#include "saldo/v1/wallet_event.pb.h"

namespace saldo::cli {
namespace {

namespace pb = google::protobuf;

// Any bytes may parse as a message, so it must also know all its fields and carry ids.
bool ParseEvent(const std::string& value, hablof::proto::v1::PackageEvent& event) {
  return event.ParseFromString(value) && event.id() != 0 && event.package_id() != 0 &&
         hablof::proto::v1::PackageEvent::GetReflection()->GetUnknownFields(event).empty();
}

std::string EventToJson(hablof::proto::v1::PackageEvent event) {
  pb::util::JsonPrintOptions options;
  options.always_print_primitive_fields = true;
  options.preserve_proto_field_names = true;
  std::string json;
  pb::Value payload;
  const bool readable = pb::util::JsonStringToMessage(event.payload(), &payload).ok();
  const std::string text = event.payload();
  if (readable) event.clear_payload();
  if (!pb::util::MessageToJsonString(event, &json, options).ok()) return event.ShortDebugString();
  // The payload is JSON itself: unfolded instead of in base64. No other field holds free text.
  constexpr absl::string_view kEmptyPayload = "\"payload\":\"\"";
  if (const size_t at = json.find(kEmptyPayload.data()); readable && at != std::string::npos) {
    json.replace(at, kEmptyPayload.size(), absl::StrCat("\"payload\":", text));
  }
  return json;
}

template <typename Event>
std::optional<std::string> ToJson(const std::string& value) {
  Event event;
  if (!event.ParseFromString(value)) return std::nullopt;
  return MessageToJson(event, {});
}

// By what the message says that it is, where that is known here.
std::string FormatBody(const kafka::ReceivedMessage& message) {
  const std::string* type = message.FindHeader("ce_type");
  std::optional<std::string> json;
  if (type != nullptr && *type == v1::AccountEvent::descriptor()->full_name())
    json = ToJson<v1::AccountEvent>(*message.value);
  if (type != nullptr && *type == v1::StateEvent::descriptor()->full_name())
    json = ToJson<v1::StateEvent>(*message.value);
  if (type != nullptr && *type == v1::WalletEvent::descriptor()->full_name())
    json = ToJson<v1::WalletEvent>(*message.value);
  if (json.has_value()) return *json;
  return FormatValue(*message.value);
}

}  // namespace

std::string FormatValue(const std::string& value) {
  hablof::proto::v1::PackageEvent event;
  if (ParseEvent(value, event)) return EventToJson(event);
  const bool text = std::none_of(value.begin(), value.end(), [](char c) {
    return absl::ascii_iscntrl(static_cast<unsigned char>(c)) && c != '\t';
  });
  return text ? value : absl::StrCat("hex:", absl::BytesToHexString(value));
}

std::string FormatMessage(const kafka::ReceivedMessage& message) {
  std::string text = absl::StrCat(
      message.topic, "[", message.partition, "]@", message.offset, "  key ",
      message.key.has_value() ? FormatValue(*message.key) : "none", "  ",
      absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", message.timestamp, absl::UTCTimeZone()), "\n");
  for (const auto& [name, value] : message.headers) {
    absl::StrAppend(&text, "  ", name, ": ", FormatValue(value), "\n");
  }
  absl::StrAppend(&text, "  ", message.value.has_value() ? FormatBody(message) : "(no value)",
                  "\n");
  return text;
}

}  // namespace saldo::cli
