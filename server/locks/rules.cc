#include "server/locks/rules.h"

#include <algorithm>
#include <optional>
#include <string_view>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/base/status_macros.h"
#include "common/observability/text.h"
#include "common/rpc/errors.h"
#include "common/rpc/timestamps.h"
#include "google/protobuf/duration.pb.h"

namespace saldo::locks {
namespace {

using rpc::BadRequestBuilder;

absl::Duration CheckDuration(std::string_view field, const google::protobuf::Duration& given,
                             absl::Duration min, absl::Duration max, BadRequestBuilder& bad) {
  constexpr int64_t kSecondsMax = 315'576'000'000;  // as far as a Duration goes
  const bool valid =
      std::abs(given.seconds()) <= kSecondsMax && std::abs(given.nanos()) < 1'000'000'000 &&
      (given.seconds() == 0 || given.nanos() == 0 || (given.seconds() < 0) == (given.nanos() < 0));
  const absl::Duration duration =
      valid ? absl::Trunc(absl::Seconds(given.seconds()) + absl::Nanoseconds(given.nanos()),
                          absl::Microseconds(1))
            : -absl::InfiniteDuration();
  if (min <= duration && duration <= max) return duration;
  bad.Add(field, absl::StrCat("must be from ", absl::FormatDuration(min), " to ",
                              absl::FormatDuration(max)));
  return min;
}

void CheckOwner(const std::string& owner, BadRequestBuilder& bad) {
  const bool printable =
      std::all_of(owner.begin(), owner.end(), [](char c) { return c >= 0x20 && c < 0x7f; });
  if (owner.empty() || owner.size() > kOwnerBytesMax || !printable)
    bad.Add("owner", absl::StrCat("must be 1 to ", kOwnerBytesMax, " printable ASCII characters"));
}

void CheckToken(int64_t token, BadRequestBuilder& bad) {
  if (token <= 0) bad.Add("token", "must be above 0");
}

// Of any request that names a lock, once its other fields were checked.
template <typename Request>
absl::StatusOr<Place> Locate(const Request& request, const keys::ShardedTypes& types,
                             BadRequestBuilder& bad) {
  std::optional<keys::Located> located =
      types.Locate(keys::KeyedKind::kLock, "", request.type(), request.key(), bad);
  SALDO_RETURN_IF_ERROR(bad.Build());
  if (!located.has_value()) {
    SALDO_RETURN_IF_ERROR(types.CheckAny());
    return absl::UnavailableError("the types of locks are not loaded yet");
  }
  SALDO_RETURN_IF_ERROR(types.Check(*located));
  return Place{.shard = located->shard,
               .lock = {.types = std::move(located->types),
                        .type = located->type,
                        .key = std::move(located->key)}};
}

constexpr char kVersion = '1';

}  // namespace

absl::StatusOr<AcquireCheck> Check(const v1::AcquireLockRequest& request,
                                   const keys::ShardedTypes& types) {
  BadRequestBuilder bad;
  AcquireCheck check;
  CheckOwner(request.owner(), bad);
  check.claim.owner = request.owner();
  if (request.mode() != v1::LOCK_MODE_EXCLUSIVE && request.mode() != v1::LOCK_MODE_SHARED)
    bad.Add("mode", "must be LOCK_MODE_EXCLUSIVE or LOCK_MODE_SHARED");
  check.claim.exclusive = request.mode() == v1::LOCK_MODE_EXCLUSIVE;
  check.claim.ttl = CheckDuration("ttl", request.ttl(), kTtlMin, kTtlMax, bad);
  check.wait = CheckDuration("wait", request.wait(), absl::ZeroDuration(), kWaitMax, bad);
  SALDO_ASSIGN_OR_RETURN(Place place, Locate(request, types, bad));
  check.shard = place.shard;
  check.claim.lock = std::move(place.lock);
  return check;
}

absl::StatusOr<TokenCheck> Check(const v1::RenewLockRequest& request,
                                 const keys::ShardedTypes& types) {
  BadRequestBuilder bad;
  CheckToken(request.token(), bad);
  const absl::Duration ttl = CheckDuration("ttl", request.ttl(), kTtlMin, kTtlMax, bad);
  SALDO_ASSIGN_OR_RETURN(Place place, Locate(request, types, bad));
  return TokenCheck{.place = std::move(place), .token = request.token(), .ttl = ttl};
}

absl::StatusOr<TokenCheck> Check(const v1::ReleaseLockRequest& request,
                                 const keys::ShardedTypes& types) {
  BadRequestBuilder bad;
  CheckToken(request.token(), bad);
  SALDO_ASSIGN_OR_RETURN(Place place, Locate(request, types, bad));
  return TokenCheck{.place = std::move(place), .token = request.token(), .ttl = {}};
}

absl::StatusOr<Place> Check(const v1::GetLockRequest& request, const keys::ShardedTypes& types) {
  BadRequestBuilder bad;
  return Locate(request, types, bad);
}

std::string MakePageToken(const std::string& type, const std::string& key, int64_t token) {
  // No name has a '/', and a number has none either; the key is what remains.
  return absl::WebSafeBase64Escape(
      absl::StrCat(std::string(1, kVersion), "/", type, "/", token, "/", key));
}

absl::StatusOr<ListCheck> Check(const v1::ListLocksRequest& request,
                                const keys::ShardedTypes& types) {
  BadRequestBuilder bad;
  ListCheck check;
  if (request.page_size() < 0) bad.Add("page_size", "must not be negative");
  check.limit = request.page_size() == 0 ? kPageDefault : std::min(request.page_size(), kPageMax);
  check.type = types.FindType(&check.types, keys::KeyedKind::kLock, "", request.type(), bad);
  if (!request.page_token().empty()) {
    std::string text;
    const bool readable = absl::WebSafeBase64Unescape(request.page_token(), &text);
    const std::vector<std::string> parts = absl::StrSplit(text, absl::MaxSplits('/', 3));
    if (!readable || parts.size() != 4 || parts[0] != std::string(1, kVersion) ||
        parts[1] != request.type() || !absl::SimpleAtoi(parts[2], &check.after_token) ||
        !text::CountUtf8(parts[3]).has_value() || absl::StrContains(parts[3], '\0')) {
      bad.Add("page_token", "is not one of a page of this type");
    } else {
      check.after_key = parts[3];
    }
  }
  SALDO_RETURN_IF_ERROR(bad.Build());
  if (check.type == nullptr) {
    SALDO_RETURN_IF_ERROR(types.CheckAny());
    return absl::UnavailableError("the types of locks are not loaded yet");
  }
  return check;
}

v1::LockHolder ToMessage(const Holder& holder) {
  v1::LockHolder message;
  message.set_token(holder.token);
  message.set_owner(holder.owner);
  message.set_mode(holder.exclusive ? v1::LOCK_MODE_EXCLUSIVE : v1::LOCK_MODE_SHARED);
  *message.mutable_acquired_at() = rpc::ToTimestamp(holder.acquired_at);
  *message.mutable_expires_at() = rpc::ToTimestamp(holder.expires_at);
  return message;
}

}  // namespace saldo::locks
