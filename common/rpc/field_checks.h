// Checks of request fields that many services share. Each adds what is wrong to the builder.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "common/rpc/errors.h"

namespace saldo::rpc {

// An id as the database keeps it: 1 to 2^63-1. Returns it; 0 when it is not one.
int64_t CheckId(std::string_view field, uint64_t value, BadRequestBuilder& bad);

// The field "request_id", which makes a change idempotent: 1 to 64 printable ASCII characters.
inline constexpr size_t kRequestIdBytesMax = 64;
void CheckRequestId(std::string_view id, BadRequestBuilder& bad);

struct TextLimits {
  size_t min;  // in characters (code points)
  size_t max;
};
// Well-formed UTF-8 without NUL, which PostgreSQL does not store, of a length within the limits.
void CheckText(std::string_view field, std::string_view text, TextLimits limits,
               BadRequestBuilder& bad);

struct PageLimits {
  int64_t default_limit = 100;  // when a request asks for 0
  int64_t max_limit = 1000;     // when it asks for more
};
struct Page {
  int64_t offset;
  int64_t limit;  // 1 to PageLimits::max_limit
};
// The fields "offset" and "limit" of a request for a list.
Page CheckPage(uint64_t offset, uint64_t limit, const PageLimits& limits, BadRequestBuilder& bad);

}  // namespace saldo::rpc
