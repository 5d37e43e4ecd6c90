// What went wrong in Kafka or in the client library, and what may be done about it.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace saldo::kafka {

// An error of the Kafka protocol (> 0, or -1 for "unknown"), of the client library (< -1), or
// 0 for none: the values of rd_kafka_resp_err_t.
using ErrorCode = int;

// Those that callers and tests name.
inline constexpr ErrorCode kNoError = 0;
inline constexpr ErrorCode kErrorUnknownTopicOrPartition = 3;
inline constexpr ErrorCode kErrorLeaderNotAvailable = 5;
inline constexpr ErrorCode kErrorNotLeaderForPartition = 6;
inline constexpr ErrorCode kErrorMessageTooLarge = 10;
inline constexpr ErrorCode kErrorInvalidTopic = 17;
inline constexpr ErrorCode kErrorNotEnoughReplicas = 19;
inline constexpr ErrorCode kErrorTopicAuthorizationFailed = 29;
inline constexpr ErrorCode kErrorPolicyViolation = 44;
inline constexpr ErrorCode kErrorOutOfOrderSequenceNumber = 45;
inline constexpr ErrorCode kErrorInvalidRecord = 87;
inline constexpr ErrorCode kErrorLocalFatal = -150;
inline constexpr ErrorCode kErrorLocalPurgedInQueue = -152;
inline constexpr ErrorCode kErrorLocalQueueFull = -184;
inline constexpr ErrorCode kErrorLocalAllBrokersDown = -187;
inline constexpr ErrorCode kErrorLocalUnknownTopic = -188;
inline constexpr ErrorCode kErrorLocalMessageTimedOut = -192;
inline constexpr ErrorCode kErrorLocalTransport = -195;

enum class ErrorClass {
  kNone,
  // May succeed when sent again later. Every error that is not known is taken as this.
  kRetriable,
  // This message, as it is, will never be accepted.
  kPermanent,
  // The broker refused a whole batch for at least one of its messages, and does not say which.
  // Sent again alone, a message that is not to blame succeeds, and the others fail the same way.
  kBatchRefused,
  // This producer can send nothing more and must be made anew; the message may be sent by the next.
  kFatal,
};

// The class of an error in the report on a message.
ErrorClass Classify(ErrorCode code);
std::string_view ErrorClassName(ErrorClass error_class);

// "MSG_SIZE_TOO_LARGE", "_TRANSPORT"; constant. For metrics and logs.
std::string_view ErrorName(ErrorCode code);

// OK for kNoError. Otherwise the message reads "<context>: <description> (<name>)", the name is a
// payload of the status, and the code is the nearest that absl has:
// UNAVAILABLE or DEADLINE_EXCEEDED for what passes by itself.
absl::Status ToStatus(ErrorCode code, std::string_view context);
// As above, with `detail` in place of the description.
absl::Status ToStatus(ErrorCode code, std::string_view context, std::string_view detail);

// The name that ToStatus stored; empty when there is none.
std::string ErrorNameOf(const absl::Status& status);

}  // namespace saldo::kafka
