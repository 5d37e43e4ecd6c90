#include "server/shards/errors.h"

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "common/rpc/errors.h"
#include "google/rpc/error_details.pb.h"

namespace saldo::shards {
namespace {

constexpr char kDomain[] = "saldo";
constexpr absl::Duration kRetryDelay = absl::Seconds(1);
constexpr char kErrorInfoUrl[] = "type.googleapis.com/google.rpc.ErrorInfo";

bool IsOfRequest(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kNotFound:
    case absl::StatusCode::kAlreadyExists:
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kOutOfRange:
    case absl::StatusCode::kPermissionDenied:
    case absl::StatusCode::kUnauthenticated:
    case absl::StatusCode::kCancelled:
      return true;
    default:
      return false;
  }
}

}  // namespace

absl::Status ShardUnavailable(const std::string& shard) {
  return rpc::WithRetryInfo(rpc::WithErrorInfo(absl::UnavailableError(absl::StrFormat(
                                                   "shard \"%s\" is not available", shard)),
                                               kUnavailableReason, kDomain, {{"shard", shard}}),
                            kRetryDelay);
}

absl::Status OfShard(const std::string& shard, const absl::Status& status) {
  if (status.ok() || IsOfRequest(status)) return status;
  google::rpc::ErrorInfo info;
  const bool has_info = rpc::GetDetail(status, &info);
  if (has_info && info.reason() == kUnavailableReason) return status;
  google::rpc::RetryInfo retry;
  // Without details it is of a library or a database: that it is away is all that callers learn.
  if (absl::IsUnavailable(status) && !has_info && !rpc::GetDetail(status, &retry)) {
    return ShardUnavailable(shard);
  }
  absl::Status named(status.code(), absl::StrFormat("shard \"%s\": %s", shard, status.message()));
  status.ForEachPayload([&named](absl::string_view url, const absl::Cord& payload) {
    named.SetPayload(url, payload);
  });
  if (has_info) {
    (*info.mutable_metadata())["shard"] = shard;
    named.SetPayload(kErrorInfoUrl, absl::Cord(info.SerializeAsString()));
  }
  return named;
}

}  // namespace saldo::shards
