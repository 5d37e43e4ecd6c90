#include "common/rpc/field_checks.h"

#include <algorithm>
#include <limits>
#include <optional>

#include "absl/strings/str_cat.h"
#include "common/observability/text.h"

namespace saldo::rpc {
namespace {

constexpr uint64_t kInt64Max = std::numeric_limits<int64_t>::max();

}  // namespace

int64_t CheckId(std::string_view field, uint64_t value, BadRequestBuilder& bad) {
  if (value >= 1 && value <= kInt64Max) return static_cast<int64_t>(value);
  bad.Add(field, absl::StrCat("must be from 1 to ", kInt64Max, ", is ", value));
  return 0;
}

void CheckRequestId(std::string_view id, BadRequestBuilder& bad) {
  const bool printable =
      std::all_of(id.begin(), id.end(), [](char c) { return c >= 0x20 && c < 0x7f; });
  if (!id.empty() && id.size() <= kRequestIdBytesMax && printable) return;
  bad.Add("request_id",
          absl::StrCat("must be 1 to ", kRequestIdBytesMax, " printable ASCII characters"));
}

void CheckText(std::string_view field, std::string_view text, TextLimits limits,
               BadRequestBuilder& bad) {
  const std::optional<size_t> characters = text::CountUtf8(text);
  if (!characters.has_value()) {
    bad.Add(field, "must be valid UTF-8");
  } else if (text.find('\0') != std::string_view::npos) {
    bad.Add(field, "must not contain the character U+0000");
  } else if (*characters < limits.min || *characters > limits.max) {
    bad.Add(field, absl::StrCat("must have ", limits.min, " to ", limits.max, " characters, has ",
                                *characters));
  }
}

Page CheckPage(uint64_t offset, uint64_t limit, const PageLimits& limits, BadRequestBuilder& bad) {
  if (offset > kInt64Max) {
    bad.Add("offset", absl::StrCat("must be at most ", kInt64Max, ", is ", offset));
  }
  const auto most = static_cast<uint64_t>(limits.max_limit);
  return {.offset = static_cast<int64_t>(offset),
          .limit = limit == 0 ? limits.default_limit
                              : static_cast<int64_t>(std::min<uint64_t>(limit, most))};
}

}  // namespace saldo::rpc
