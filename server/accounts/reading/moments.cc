#include "server/accounts/reading/moments.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/base/strings.h"

namespace saldo::accounts {
namespace {

constexpr int kFirstYear = 1900;
constexpr int kEndYear = 2200;
constexpr std::string_view kRange = "must be from 1900-01-01 until 2200-01-01";

// Digits and nothing else.
std::optional<int> Number(std::string_view digits) {
  int number = 0;
  if (!std::all_of(digits.begin(), digits.end(), absl::ascii_isdigit)) return std::nullopt;
  if (!absl::SimpleAtoi(AsAbsl(digits), &number)) return std::nullopt;
  return number;
}

std::optional<absl::CivilDay> ParseDay(std::string_view text) {
  if (text.size() != 10 || text[4] != '-' || text[7] != '-') return std::nullopt;
  const auto year = Number(text.substr(0, 4)), month = Number(text.substr(5, 2)),
             day = Number(text.substr(8, 2));
  if (!year.has_value() || !month.has_value() || !day.has_value()) return std::nullopt;
  const absl::CivilDay civil(*year, *month, *day);
  // A day that no month has would have become one of another month.
  if (civil.month() != *month || civil.day() != *day) return std::nullopt;
  return civil;
}

}  // namespace

absl::Time EarliestMoment() {
  return absl::FromCivil(absl::CivilDay(kFirstYear, 1, 1), absl::UTCTimeZone());
}
absl::Time LatestMoment() {
  return absl::FromCivil(absl::CivilDay(kEndYear, 1, 1), absl::UTCTimeZone());
}

std::optional<absl::CivilDay> CheckDay(std::string_view field, std::string_view text,
                                       rpc::BadRequestBuilder& bad) {
  const std::optional<absl::CivilDay> day = ParseDay(text);
  if (!day.has_value()) {
    bad.Add(field, "must be a day such as 2026-03-01");
  } else if (*day < absl::CivilDay(kFirstYear, 1, 1) || *day > absl::CivilDay(kEndYear, 1, 1)) {
    bad.Add(field, kRange);
    return std::nullopt;
  }
  return day;
}

AskedMoment CheckMoment(std::string_view field, const v1::Moment& moment,
                        rpc::BadRequestBuilder& bad) {
  if (moment.has_day())
    return {.time = {}, .day = CheckDay(absl::StrCat(AsAbsl(field), ".day"), moment.day(), bad)};
  if (!moment.has_time()) {
    bad.Add(field, "must have a time or a day");
    return {};
  }
  const std::string path = absl::StrCat(AsAbsl(field), ".time");
  const int64_t seconds = moment.time().seconds();
  const int32_t nanos = moment.time().nanos();
  if (nanos < 0 || nanos > 999'999'999) bad.Add(path, "has nanos outside of 0 to 999,999,999");
  if (seconds < absl::ToUnixSeconds(EarliestMoment()) ||
      seconds > absl::ToUnixSeconds(LatestMoment()) ||
      (seconds == absl::ToUnixSeconds(LatestMoment()) && nanos > 0)) {
    bad.Add(path, kRange);
    return {};
  }
  return {.time = absl::FromUnixSeconds(seconds) + absl::Microseconds(nanos / 1000),
          .day = std::nullopt};
}

std::string ShowMoment(absl::Time time) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%E*SZ", time, absl::UTCTimeZone());
}

bool IsPeriodStart(v1::Period period, absl::CivilDay day) {
  switch (period) {
    case v1::PERIOD_MONTH:
      return day.day() == 1;
    case v1::PERIOD_YEAR:
      return day.day() == 1 && day.month() == 1;
    default:
      return true;
  }
}

int64_t PeriodsBetween(v1::Period period, absl::CivilDay from, absl::CivilDay to) {
  switch (period) {
    case v1::PERIOD_MONTH:
      return absl::CivilMonth(to) - absl::CivilMonth(from);
    case v1::PERIOD_YEAR:
      return absl::CivilYear(to) - absl::CivilYear(from);
    default:
      return to - from;
  }
}

}  // namespace saldo::accounts
