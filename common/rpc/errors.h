// Errors as clients get them: a code, a message in plain English, and the standard details of
// google.rpc. Details travel inside absl::Status as payloads, so that every layer can attach them.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "grpcpp/support/status.h"

namespace saldo::rpc {

// Collects what is wrong with a request, field by field.
class BadRequestBuilder {
 public:
  // `field` is the path in the request ("events[3].amount"); `description` says what is wrong and
  // which limit holds. What would make the answer too large for a header is counted only.
  void Add(std::string_view field, std::string_view description);

  bool ok() const { return found_ == 0; }
  // OK when nothing was added, else INVALID_ARGUMENT whose message lists the fields and whose
  // detail is a BadRequest.
  absl::Status Build() const;

 private:
  google::rpc::BadRequest details_;
  size_t found_ = 0;
  size_t bytes_ = 0;
};

// "package 7 not found"
absl::Status NotFound(std::string_view what, std::string_view id);

// The status with google.rpc.RetryInfo: the caller may try again after `delay`.
absl::Status WithRetryInfo(absl::Status status, absl::Duration delay);

// The status with google.rpc.ErrorInfo. `reason` is UPPER_SNAKE_CASE and never changes, as programs
// depend on it; `domain` says who defines it.
absl::Status WithErrorInfo(absl::Status status, std::string_view reason, std::string_view domain,
                           const std::map<std::string, std::string>& metadata = {});

// What a client gets for `status`, code for code, with its google.rpc details. Where a message is
// meant for operators (INTERNAL, UNKNOWN, DATA_LOSS, and UNAVAILABLE or ABORTED without details,
// which come from a library or a database) the client gets a fixed text with the trace id instead.
// Long messages are cut, and details that do not fit into a header are left out.
grpc::Status ToGrpcStatus(const absl::Status& status, std::string_view trace_id);

// The same as a message, for an answer that tells of an error of its own.
google::rpc::Status ToStatusMessage(const absl::Status& status, std::string_view trace_id);

// The reverse, for callers: details become payloads again.
absl::Status FromGrpcStatus(const grpc::Status& status);

// The detail of type `Message` of a status, if it carries one.
template <typename Message>
bool GetDetail(const absl::Status& status, Message* message) {
  const auto payload =
      status.GetPayload("type.googleapis.com/" + Message::descriptor()->full_name());
  return payload.has_value() && message->ParseFromString(std::string(*payload));
}

}  // namespace saldo::rpc
