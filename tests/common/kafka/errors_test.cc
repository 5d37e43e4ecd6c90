#include "common/kafka/errors.h"

#include <catch2/catch.hpp>

namespace saldo::kafka {
namespace {

TEST_CASE("every error has a class that says what may be done about it") {
  struct Row {
    ErrorCode code;
    std::string_view name;
    ErrorClass error_class;
    absl::StatusCode status;
  };
  const Row rows[] = {
      {0, "NO_ERROR", ErrorClass::kNone, absl::StatusCode::kOk},
      {10, "MSG_SIZE_TOO_LARGE", ErrorClass::kBatchRefused, absl::StatusCode::kInvalidArgument},
      {18, "RECORD_LIST_TOO_LARGE", ErrorClass::kBatchRefused, absl::StatusCode::kInvalidArgument},
      {2, "INVALID_MSG", ErrorClass::kBatchRefused, absl::StatusCode::kInvalidArgument},
      {4, "INVALID_MSG_SIZE", ErrorClass::kBatchRefused, absl::StatusCode::kInvalidArgument},
      {87, "INVALID_RECORD", ErrorClass::kBatchRefused, absl::StatusCode::kInvalidArgument},
      {17, "TOPIC_EXCEPTION", ErrorClass::kPermanent, absl::StatusCode::kInvalidArgument},
      {29, "TOPIC_AUTHORIZATION_FAILED", ErrorClass::kPermanent,
       absl::StatusCode::kPermissionDenied},
      {44, "POLICY_VIOLATION", ErrorClass::kPermanent, absl::StatusCode::kInvalidArgument},
      {-186, "_INVALID_ARG", ErrorClass::kPermanent, absl::StatusCode::kInvalidArgument},
      {3, "UNKNOWN_TOPIC_OR_PART", ErrorClass::kRetriable, absl::StatusCode::kNotFound},
      {-188, "_UNKNOWN_TOPIC", ErrorClass::kRetriable, absl::StatusCode::kNotFound},
      {-190, "_UNKNOWN_PARTITION", ErrorClass::kRetriable, absl::StatusCode::kNotFound},
      {-192, "_MSG_TIMED_OUT", ErrorClass::kRetriable, absl::StatusCode::kDeadlineExceeded},
      {-195, "_TRANSPORT", ErrorClass::kRetriable, absl::StatusCode::kUnavailable},
      {5, "LEADER_NOT_AVAILABLE", ErrorClass::kRetriable, absl::StatusCode::kUnavailable},
      {6, "NOT_LEADER_FOR_PARTITION", ErrorClass::kRetriable, absl::StatusCode::kUnavailable},
      {19, "NOT_ENOUGH_REPLICAS", ErrorClass::kRetriable, absl::StatusCode::kUnavailable},
      {-152, "_PURGE_QUEUE", ErrorClass::kRetriable, absl::StatusCode::kCancelled},
      {-151, "_PURGE_INFLIGHT", ErrorClass::kRetriable, absl::StatusCode::kCancelled},
      {-184, "_QUEUE_FULL", ErrorClass::kRetriable, absl::StatusCode::kResourceExhausted},
      {-1, "UNKNOWN", ErrorClass::kRetriable, absl::StatusCode::kUnavailable},
      {-150, "_FATAL", ErrorClass::kFatal, absl::StatusCode::kFailedPrecondition},
      {45, "OUT_OF_ORDER_SEQUENCE_NUMBER", ErrorClass::kFatal,
       absl::StatusCode::kFailedPrecondition},
      {90, "PRODUCER_FENCED", ErrorClass::kFatal, absl::StatusCode::kFailedPrecondition},
      {31, "CLUSTER_AUTHORIZATION_FAILED", ErrorClass::kFatal, absl::StatusCode::kPermissionDenied},
  };
  for (const Row& row : rows) {
    INFO(row.name);
    CHECK(ErrorName(row.code) == row.name);
    CHECK(ErrorClassName(Classify(row.code)) == ErrorClassName(row.error_class));
    CHECK(ToStatus(row.code, "test").code() == row.status);
  }
}

TEST_CASE("an error of a newer broker is retriable, and never lost") {
  CHECK(Classify(12345) == ErrorClass::kRetriable);
  CHECK(ToStatus(12345, "test").code() == absl::StatusCode::kUnavailable);
}

TEST_CASE("a status says what was tried and carries the name of the error") {
  const absl::Status status = ToStatus(kErrorMessageTooLarge, "deliver to Kafka");
  CHECK(std::string(status.message()) ==
        "deliver to Kafka: Broker: Message size too large (MSG_SIZE_TOO_LARGE)");
  CHECK(ErrorNameOf(status) == "MSG_SIZE_TOO_LARGE");
  CHECK(ErrorNameOf(absl::InternalError("other")).empty());
}

}  // namespace
}  // namespace saldo::kafka
