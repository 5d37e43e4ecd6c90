#include "common/rpc/errors.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/strings.h"
#include "google/rpc/status.pb.h"

namespace saldo::rpc {
namespace {

constexpr absl::string_view kTypePrefix = "type.googleapis.com/";
constexpr absl::string_view kDetailPrefix = "type.googleapis.com/google.rpc.";

// A client refuses headers of more than 8 KiB unless told otherwise. The message goes twice: as
// grpc-message, where a byte that is not ASCII takes three, and inside the details in base64.
constexpr size_t kMessageBytesMax = 1024;
constexpr size_t kDetailsBytesMax = 3072;
constexpr size_t kViolationBytesMax = 768;

// The text cut to `limit` bytes, not inside a character.
std::string CutUtf8(absl::string_view text, size_t limit) {
  if (text.size() <= limit) return std::string(text);
  while (limit > 0 && (static_cast<unsigned char>(text[limit]) & 0xC0) == 0x80) --limit;
  return absl::StrCat(text.substr(0, limit), "...");
}

void SetDetail(absl::Status* status, const google::protobuf::Message& detail) {
  status->SetPayload(absl::StrCat(kTypePrefix, detail.GetDescriptor()->full_name()),
                     absl::Cord(detail.SerializeAsString()));
}

bool HasDetails(const absl::Status& status) {
  bool found = false;
  status.ForEachPayload([&found](absl::string_view type, const absl::Cord&) {
    found = found || absl::StartsWith(type, kDetailPrefix);
  });
  return found;
}

std::string PublicMessage(const absl::Status& status, std::string_view trace_id) {
  switch (status.code()) {
    case absl::StatusCode::kInternal:
    case absl::StatusCode::kUnknown:
    case absl::StatusCode::kDataLoss:
      return absl::StrCat("internal error; trace ", AsAbsl(trace_id));
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kAborted:
      if (HasDetails(status)) break;
      return absl::StrCat("temporarily not possible, try again; trace ", AsAbsl(trace_id));
    default:
      break;
  }
  return CutUtf8(status.message(), kMessageBytesMax);
}

}  // namespace

void BadRequestBuilder::Add(std::string_view field, std::string_view description) {
  ++found_;
  bytes_ += field.size() + description.size();
  // The first one is always told, if need be in part.
  if (found_ > 1 && bytes_ > kViolationBytesMax) return;
  google::rpc::BadRequest::FieldViolation* violation = details_.add_field_violations();
  violation->set_field(CutUtf8(AsAbsl(field), kViolationBytesMax / 2));
  violation->set_description(CutUtf8(AsAbsl(description), kViolationBytesMax / 2));
}

absl::Status BadRequestBuilder::Build() const {
  if (ok()) return absl::OkStatus();
  std::string message;
  for (const auto& violation : details_.field_violations()) {
    absl::StrAppend(&message, message.empty() ? "" : "; ", violation.field(), ": ",
                    violation.description());
  }
  const size_t untold = found_ - static_cast<size_t>(details_.field_violations_size());
  if (untold > 0) absl::StrAppend(&message, "; and ", untold, " more");
  absl::Status status = absl::InvalidArgumentError(message);
  SetDetail(&status, details_);
  return status;
}

absl::Status NotFound(std::string_view what, std::string_view id) {
  return absl::NotFoundError(absl::StrCat(AsAbsl(what), " ", AsAbsl(id), " not found"));
}

absl::Status WithRetryInfo(absl::Status status, absl::Duration delay) {
  google::rpc::RetryInfo info;
  info.mutable_retry_delay()->set_seconds(absl::IDivDuration(delay, absl::Seconds(1), &delay));
  info.mutable_retry_delay()->set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(delay)));
  SetDetail(&status, info);
  return status;
}

absl::Status WithErrorInfo(absl::Status status, std::string_view reason, std::string_view domain,
                           const std::map<std::string, std::string>& metadata) {
  google::rpc::ErrorInfo info;
  info.set_reason(std::string(reason));
  info.set_domain(std::string(domain));
  for (const auto& [key, value] : metadata) (*info.mutable_metadata())[key] = value;
  SetDetail(&status, info);
  return status;
}

google::rpc::Status ToStatusMessage(const absl::Status& status, std::string_view trace_id) {
  google::rpc::Status wire;
  if (status.ok()) return wire;
  wire.set_code(static_cast<int>(status.code()));
  wire.set_message(PublicMessage(status, trace_id));
  // Only the details made for clients: other payloads are notes between our own layers.
  status.ForEachPayload([&wire](absl::string_view type, const absl::Cord& payload) {
    if (!absl::StartsWith(type, kDetailPrefix)) return;
    google::protobuf::Any* detail = wire.add_details();
    detail->set_type_url(std::string(type));
    detail->set_value(std::string(payload));
  });
  if (wire.ByteSizeLong() > kDetailsBytesMax) wire.clear_details();
  return wire;
}

grpc::Status ToGrpcStatus(const absl::Status& status, std::string_view trace_id) {
  if (status.ok()) return grpc::Status::OK;
  const google::rpc::Status wire = ToStatusMessage(status, trace_id);
  const std::string details = wire.details_size() > 0 ? wire.SerializeAsString() : "";
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()), wire.message(), details);
}

absl::Status FromGrpcStatus(const grpc::Status& status) {
  if (status.ok()) return absl::OkStatus();
  absl::Status result(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
  google::rpc::Status wire;
  if (!status.error_details().empty() && wire.ParseFromString(status.error_details())) {
    for (const auto& detail : wire.details()) {
      result.SetPayload(detail.type_url(), absl::Cord(detail.value()));
    }
  }
  return result;
}

}  // namespace saldo::rpc
