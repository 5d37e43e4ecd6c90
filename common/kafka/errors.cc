#include "common/kafka/errors.h"

#include <librdkafka/rdkafka.h>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "common/base/strings.h"

namespace saldo::kafka {
namespace {

constexpr absl::string_view kNamePayload = "saldo.kafka/error_name";

static_assert(kErrorUnknownTopicOrPartition == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART);
static_assert(kErrorLeaderNotAvailable == RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE);
static_assert(kErrorNotLeaderForPartition == RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION);
static_assert(kErrorMessageTooLarge == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE);
static_assert(kErrorInvalidTopic == RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION);
static_assert(kErrorNotEnoughReplicas == RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS);
static_assert(kErrorTopicAuthorizationFailed == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED);
static_assert(kErrorPolicyViolation == RD_KAFKA_RESP_ERR_POLICY_VIOLATION);
static_assert(kErrorOutOfOrderSequenceNumber == RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
static_assert(kErrorInvalidRecord == RD_KAFKA_RESP_ERR_INVALID_RECORD);
static_assert(kErrorLocalFatal == RD_KAFKA_RESP_ERR__FATAL);
static_assert(kErrorLocalPurgedInQueue == RD_KAFKA_RESP_ERR__PURGE_QUEUE);
static_assert(kErrorLocalQueueFull == RD_KAFKA_RESP_ERR__QUEUE_FULL);
static_assert(kErrorLocalAllBrokersDown == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN);
static_assert(kErrorLocalUnknownTopic == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC);
static_assert(kErrorLocalMessageTimedOut == RD_KAFKA_RESP_ERR__MSG_TIMED_OUT);
static_assert(kErrorLocalTransport == RD_KAFKA_RESP_ERR__TRANSPORT);

absl::StatusCode StatusCodeOf(ErrorCode code) {
  switch (code) {
    case RD_KAFKA_RESP_ERR__QUEUE_FULL:
    case RD_KAFKA_RESP_ERR_THROTTLING_QUOTA_EXCEEDED:
    case RD_KAFKA_RESP_ERR__CRIT_SYS_RESOURCE:
      return absl::StatusCode::kResourceExhausted;
    case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
    case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
    case RD_KAFKA_RESP_ERR_GROUP_ID_NOT_FOUND:
    case RD_KAFKA_RESP_ERR_RESOURCE_NOT_FOUND:
      return absl::StatusCode::kNotFound;
    case RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS:
      return absl::StatusCode::kAlreadyExists;
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED:
      return absl::StatusCode::kPermissionDenied;
    case RD_KAFKA_RESP_ERR__AUTHENTICATION:
    case RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED:
    case RD_KAFKA_RESP_ERR_UNSUPPORTED_SASL_MECHANISM:
      return absl::StatusCode::kUnauthenticated;
    case RD_KAFKA_RESP_ERR__TIMED_OUT:
    case RD_KAFKA_RESP_ERR__TIMED_OUT_QUEUE:
    case RD_KAFKA_RESP_ERR__MSG_TIMED_OUT:
    case RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT:
      return absl::StatusCode::kDeadlineExceeded;
    case RD_KAFKA_RESP_ERR__PURGE_QUEUE:
    case RD_KAFKA_RESP_ERR__PURGE_INFLIGHT:
    case RD_KAFKA_RESP_ERR__INTR:
      return absl::StatusCode::kCancelled;
    case RD_KAFKA_RESP_ERR__INVALID_ARG:
    case RD_KAFKA_RESP_ERR_INVALID_PARTITIONS:
    case RD_KAFKA_RESP_ERR_INVALID_REPLICATION_FACTOR:
    case RD_KAFKA_RESP_ERR_INVALID_REPLICA_ASSIGNMENT:
    case RD_KAFKA_RESP_ERR_INVALID_CONFIG:
    case RD_KAFKA_RESP_ERR_INVALID_REQUEST:
      return absl::StatusCode::kInvalidArgument;
    default:
      break;
  }
  switch (Classify(code)) {
    case ErrorClass::kNone:
      return absl::StatusCode::kOk;
    case ErrorClass::kPermanent:
    case ErrorClass::kBatchRefused:
      return absl::StatusCode::kInvalidArgument;
    case ErrorClass::kFatal:
      return absl::StatusCode::kFailedPrecondition;
    case ErrorClass::kRetriable:
      break;
  }
  return absl::StatusCode::kUnavailable;
}

}  // namespace

ErrorClass Classify(ErrorCode code) {
  switch (code) {
    case RD_KAFKA_RESP_ERR_NO_ERROR:
      return ErrorClass::kNone;

    case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
    case RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE:
    case RD_KAFKA_RESP_ERR_INVALID_MSG_SIZE:
    case RD_KAFKA_RESP_ERR_INVALID_MSG:
    case RD_KAFKA_RESP_ERR_INVALID_RECORD:
    case RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP:
      return ErrorClass::kBatchRefused;

    case RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION:
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_POLICY_VIOLATION:
    case RD_KAFKA_RESP_ERR_INVALID_REQUIRED_ACKS:
    case RD_KAFKA_RESP_ERR_UNSUPPORTED_FOR_MESSAGE_FORMAT:
    case RD_KAFKA_RESP_ERR_UNSUPPORTED_COMPRESSION_TYPE:
    case RD_KAFKA_RESP_ERR__INVALID_ARG:
    case RD_KAFKA_RESP_ERR__BAD_COMPRESSION:
      return ErrorClass::kPermanent;

    // What the library raises as fatal for an idempotent producer.
    case RD_KAFKA_RESP_ERR__FATAL:
    case RD_KAFKA_RESP_ERR__FENCED:
    case RD_KAFKA_RESP_ERR__GAPLESS_GUARANTEE:
    case RD_KAFKA_RESP_ERR__INCONSISTENT:
    case RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE:
    case RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER:
    case RD_KAFKA_RESP_ERR_DUPLICATE_SEQUENCE_NUMBER:
    case RD_KAFKA_RESP_ERR_UNKNOWN_PRODUCER_ID:
    case RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH:
    case RD_KAFKA_RESP_ERR_INVALID_PRODUCER_ID_MAPPING:
    case RD_KAFKA_RESP_ERR_PRODUCER_FENCED:
    case RD_KAFKA_RESP_ERR_UNSUPPORTED_VERSION:
    case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED:
      return ErrorClass::kFatal;

    default:
      return ErrorClass::kRetriable;
  }
}

std::string_view ErrorClassName(ErrorClass error_class) {
  switch (error_class) {
    case ErrorClass::kNone:
      return "none";
    case ErrorClass::kRetriable:
      return "retriable";
    case ErrorClass::kPermanent:
      return "permanent";
    case ErrorClass::kBatchRefused:
      return "batch_refused";
    case ErrorClass::kFatal:
      return "fatal";
  }
  return "unknown";
}

std::string_view ErrorName(ErrorCode code) {
  const char* name = rd_kafka_err2name(static_cast<rd_kafka_resp_err_t>(code));
  return name != nullptr ? name : "UNKNOWN";
}

absl::Status ToStatus(ErrorCode code, std::string_view context) {
  if (code == kNoError) return absl::OkStatus();
  return ToStatus(code, context, rd_kafka_err2str(static_cast<rd_kafka_resp_err_t>(code)));
}

absl::Status ToStatus(ErrorCode code, std::string_view context, std::string_view detail) {
  if (code == kNoError) return absl::OkStatus();
  const std::string_view name = ErrorName(code);
  absl::Status status(StatusCodeOf(code),
                      absl::StrCat(AsAbsl(context), ": ", AsAbsl(detail), " (", AsAbsl(name), ")"));
  status.SetPayload(kNamePayload, absl::Cord(AsAbsl(name)));
  return status;
}

std::string ErrorNameOf(const absl::Status& status) {
  const auto payload = status.GetPayload(kNamePayload);
  return payload.has_value() ? std::string(*payload) : std::string();
}

}  // namespace saldo::kafka
