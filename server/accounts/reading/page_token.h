// Where a page of events ended: an opaque text that only fits the query that it was made for. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/time/time.h"
#include "saldo/v1/account_service.pb.h"

namespace saldo::accounts {

struct PagePosition {
  // The query's range, resolved when its first page was read, so that all pages have the same.
  absl::Time from;
  absl::Time to;
  // The last event of the page.
  absl::Time occurred_at;
  int64_t batch_id = 0;
  int32_t ordinal = 0;
};

// `request` without regard to its page_token.
std::string MakePageToken(const v1::ListEventsRequest& request, const PagePosition& position);

// Nothing when the request's token was not made by MakePageToken for the same query.
std::optional<PagePosition> ReadPageToken(const v1::ListEventsRequest& request);

}  // namespace saldo::accounts
