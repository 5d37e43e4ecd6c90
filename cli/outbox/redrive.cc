#include "cli/outbox/redrive.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "cli/outbox/store.h"
#include "common/base/status_macros.h"
#include "common/postgres/error.h"

namespace saldo::cli::outbox {
namespace {

using postgres::Connection;

std::vector<int64_t> IdsOf(absl::Span<const DeadSize> letters) {
  std::vector<int64_t> ids;
  for (const DeadSize& letter : letters) ids.push_back(letter.id);
  return ids;
}

// How many of the first fit into one transaction.
size_t Fitting(absl::Span<const DeadSize> letters) {
  size_t count = 0;
  for (int64_t bytes = 0; count < letters.size(); ++count) {
    bytes += letters[count].bytes;
    const bool full = bytes > kRedriveBytesMax || count >= static_cast<size_t>(kRedriveMessagesMax);
    if (full && count > 0) break;
  }
  return count;
}

absl::Status RedriveEach(Connection& connection, const CallContext& context,
                         absl::Span<const DeadSize> letters, bool all_or_none,
                         RedriveResult* result) {
  while (!letters.empty()) {
    const size_t count = Fitting(letters);
    const absl::StatusOr<int64_t> done =
        Redrive(connection, context, IdsOf(letters.first(count)), all_or_none);
    if (postgres::IsCommitUnknown(done.status())) {
      return absl::UnknownError(absl::StrCat(
          "the connection was lost during a commit, so messages ", letters.front().id, " to ",
          letters[count - 1].id, " may or may not be sent anew: `saldo outbox dead` tells"));
    }
    SALDO_RETURN_IF_ERROR(done.status());
    result->messages += *done;
    ++result->transactions;
    letters.remove_prefix(count);
  }
  return absl::OkStatus();
}

absl::Status TryIds(Connection& connection, const CallContext& context, std::vector<int64_t> ids,
                    RedriveResult* result) {
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  SALDO_ASSIGN_OR_RETURN(const std::vector<DeadSize> found, FindWaiting(connection, context, ids));
  SALDO_RETURN_IF_ERROR(NotWaiting(ids, IdsOf(found)));
  return RedriveEach(connection, context, found, /*all_or_none=*/true, result);
}

absl::Status TryAll(Connection& connection, const CallContext& context, int64_t limit,
                    RedriveResult* result) {
  // One that fails again meanwhile comes back under a higher id, and waits for the next command.
  SALDO_ASSIGN_OR_RETURN(const int64_t last, LastDead(connection, context));
  int64_t after = 0;
  while (limit > 0) {
    SALDO_ASSIGN_OR_RETURN(
        const std::vector<DeadSize> letters,
        ListWaiting(connection, context, after, last, std::min(limit, kRedriveMessagesMax)));
    if (letters.empty()) break;
    SALDO_RETURN_IF_ERROR(RedriveEach(connection, context, letters, /*all_or_none=*/false, result));
    after = letters.back().id;
    limit -= static_cast<int64_t>(letters.size());
  }
  return absl::OkStatus();
}

}  // namespace

RedriveResult RedriveIds(Connection& connection, const CallContext& context,
                         std::vector<int64_t> ids) {
  RedriveResult result;
  result.status = TryIds(connection, context, std::move(ids), &result);
  return result;
}

RedriveResult RedriveAll(Connection& connection, const CallContext& context, int64_t limit) {
  RedriveResult result;
  result.status = TryAll(connection, context, limit, &result);
  return result;
}

}  // namespace saldo::cli::outbox
